//! Keeps one worker running: starts it, watches that it delivers, restarts it with a bounded back-off.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use super::process::Worker;
use crate::media::protocol::{FromWorker, SourceState, Start, Task, ToWorker, VERSION};

/// A worker that starts may take this long to its first sign of life: plugins are loaded, devices opened.
const START_TIMEOUT: Duration = Duration::from_secs(15);

/// A worker that ran this long has proved itself: its next failure is a first one.
const HEALTHY_AFTER: Duration = Duration::from_secs(30);

/// A worker that is lost so often in a row will be lost again.
const HOPELESS_AFTER: usize = 4;

/// Pauses before a restart, from the first failure in a row to the fifth and all later ones.
const BACK_OFF: [Duration; 5] = [
    Duration::ZERO,
    Duration::from_millis(250),
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(5),
];

#[derive(Debug)]
pub enum Event {
    Message(FromWorker),
    /// The worker runs (again) and takes commands; `process` is its id.
    Started {
        process: Option<u32>,
    },
    /// The worker is gone and will be started again after a pause. `hopeless` after several losses in a row.
    Lost {
        reason: String,
        hopeless: bool,
    },
    /// The worker has done its task, or was told to stop: no event follows.
    Finished,
}

/// What to run and how to tell that it is well.
#[derive(Debug, Clone)]
pub struct Supervision {
    pub base_ns: u64,
    pub task: Task,
    /// Longest silence of a worker that has begun to deliver.
    pub watchdog: Watchdog,
}

#[derive(Debug, Clone, Copy)]
pub enum Watchdog {
    /// Some part must come at least this often.
    Parts(Duration),
    /// Some message must come at least this often.
    Messages(Duration),
    /// The worker has nothing to say for hours.
    Off,
}

/// Runs until `stop`, until the worker says that it has ended, or until nobody takes its events.
pub async fn supervise(
    supervision: Supervision,
    mut commands: mpsc::Receiver<ToWorker>,
    events: mpsc::Sender<Event>,
    stop: CancellationToken,
) {
    let mut failures = 0;
    loop {
        let started = Instant::now();
        let outcome = tokio::select! {
            outcome = run_once(&supervision, &mut commands, &events) => outcome,
            () = stop.cancelled() => Outcome::Finished,
            () = events.closed() => Outcome::Finished,
        };
        let reason = match outcome {
            Outcome::Finished => break,
            Outcome::Failed(reason) => reason,
        };
        failures = if started.elapsed() > HEALTHY_AFTER { 0 } else { failures };
        tracing::warn!(%reason, failures, "worker lost");
        let pause = BACK_OFF[failures.min(BACK_OFF.len() - 1)];
        failures += 1;
        if events.send(Event::Lost { reason, hopeless: failures >= HOPELESS_AFTER }).await.is_err() {
            break;
        }
        tokio::select! {
            () = sleep(pause) => {}
            () = stop.cancelled() => break,
        }
    }
    let _ = events.send(Event::Finished).await;
}

enum Outcome {
    Finished,
    Failed(String),
}

async fn run_once(
    supervision: &Supervision,
    commands: &mut mpsc::Receiver<ToWorker>,
    events: &mpsc::Sender<Event>,
) -> Outcome {
    let mut worker = match Worker::spawn() {
        Ok(worker) => worker,
        Err(error) => return Outcome::Failed(format!("cannot start: {error}")),
    };
    let outcome = match converse(&mut worker, supervision, commands, events).await {
        Ok(()) => Outcome::Finished,
        Err(reason) => Outcome::Failed(reason),
    };
    worker.kill().await;
    outcome
}

async fn converse(
    worker: &mut Worker,
    supervision: &Supervision,
    commands: &mut mpsc::Receiver<ToWorker>,
    events: &mpsc::Sender<Event>,
) -> Result<(), String> {
    let start = Start { version: VERSION, base_ns: supervision.base_ns, task: supervision.task.clone() };
    send(worker, &ToWorker::Start(start)).await?;
    if events.send(Event::Started { process: worker.pid() }).await.is_err() {
        return Ok(());
    }
    let mut deadline = Instant::now() + START_TIMEOUT;
    loop {
        tokio::select! {
            message = worker.receiver.receive() => {
                let message = message.map_err(|error| format!("its messages cannot be read: {error}"))?;
                let Some(message) = message else { return Err(worker.last_words().await) };
                deadline = supervision.watchdog.next_deadline(&message, deadline);
                match message {
                    FromWorker::Ended => return Ok(()),
                    FromWorker::Hello { version } if version != VERSION => {
                        return Err(format!("it speaks version {version}, not {VERSION}"));
                    }
                    message => if events.send(Event::Message(message)).await.is_err() { return Ok(()) },
                }
            }
            command = commands.recv() => match command {
                Some(command) => send(worker, &command).await?,
                // Whoever gave the commands is gone: let the worker flush, then end.
                None => return drain(worker, events).await,
            },
            () = sleep_until(deadline) => return Err(String::from("it fell silent")),
        }
    }
}

/// Asks the worker to stop and passes on what it still has.
async fn drain(worker: &mut Worker, events: &mpsc::Sender<Event>) -> Result<(), String> {
    send(worker, &ToWorker::Stop).await?;
    let until = Instant::now() + Duration::from_secs(2);
    loop {
        tokio::select! {
            message = worker.receiver.receive() => match message {
                Ok(Some(FromWorker::Ended) | None) | Err(_) => return Ok(()),
                Ok(Some(message)) => if events.send(Event::Message(message)).await.is_err() { return Ok(()) },
            },
            () = sleep_until(until) => return Ok(()),
        }
    }
}

async fn send(worker: &mut Worker, message: &ToWorker) -> Result<(), String> {
    // A stopped process reads nothing: its socket fills, and the watchdog must not wait behind it.
    match tokio::time::timeout(Duration::from_secs(3), worker.sender.send(message)).await {
        Ok(Ok(())) => Ok(()),
        // It has ended, which tells more than that its socket is closed.
        Ok(Err(_)) => Err(worker.last_words().await),
        Err(_) => Err(String::from("it takes no commands")),
    }
}

impl Watchdog {
    fn next_deadline(self, message: &FromWorker, before: Instant) -> Instant {
        match (self, message) {
            (Watchdog::Off, _) => Instant::now() + Duration::from_secs(365 * 86_400),
            // A source that is found to be lost costs a moment until the slate's first part.
            (Watchdog::Parts(silence), FromWorker::Part(_)) => Instant::now() + silence,
            (Watchdog::Parts(silence), FromWorker::State(state)) if *state != SourceState::Starting => {
                before.max(Instant::now() + silence)
            }
            (Watchdog::Parts(_), _) => before,
            (Watchdog::Messages(silence), _) => Instant::now() + silence,
        }
    }
}
