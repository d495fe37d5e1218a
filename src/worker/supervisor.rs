//! Keeps one worker running: starts it, watches that it delivers, restarts it with a bounded back-off.

use std::collections::BTreeSet;
use std::pin::pin;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use super::process::{Sender, Worker};
use crate::media::protocol::{FromWorker, PULSE, SourceState, Start, Task, ToWorker, VERSION};

/// A worker that starts may take this long to what it is there for: plugins are loaded, devices opened.
const START_TIMEOUT: Duration = Duration::from_secs(15);

/// A process that has said something and then nothing for so long stands still, whatever its task.
const SILENCE: Duration = PULSE.saturating_mul(4);

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

/// Names of encoders, shared by all workers of a program's life.
pub type LeftOut = watch::Sender<BTreeSet<String>>;

fn leave_out(left_out: &LeftOut, encoder: String) {
    tracing::warn!(
        encoder,
        "this encoder is left out from now on: it hangs or is slow to fail; `siaran check` tries it again"
    );
    left_out.send_if_modified(|encoders| encoders.insert(encoder));
}

/// What to run and how to tell that it is well.
#[derive(Debug, Clone)]
pub struct Supervision {
    pub base_ns: u64,
    /// Encoders that kept a worker waiting or took it with them. The supervisor adds to them; no worker tries them again.
    pub left_out: LeftOut,
    pub task: Task,
    /// The parts that must come, if any.
    pub parts_due: Option<PartsDue>,
}

/// What a worker owes once its parts have begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartsDue {
    /// The rendition that leads: while its parts stay away, those of the others wait for them.
    pub rendition: u8,
    /// Longest time without one.
    pub within: Duration,
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

/// Why a conversation is over.
enum End {
    Finished,
    Failed(String),
    /// Its socket fails, which its death would explain better.
    Broken(String),
    /// Whoever gave the commands is gone.
    Released,
}

async fn converse(
    worker: &mut Worker,
    supervision: &Supervision,
    commands: &mut mpsc::Receiver<ToWorker>,
    events: &mpsc::Sender<Event>,
) -> Result<(), String> {
    let left_out = supervision.left_out.borrow().iter().cloned().collect();
    let start = Start { version: VERSION, base_ns: supervision.base_ns, left_out, task: supervision.task.clone() };
    if let Err(end) = send(&mut worker.sender, &ToWorker::Start(start)).await {
        return conclude(end, worker, events).await;
    }
    if events.send(Event::Started { process: worker.pid() }).await.is_err() {
        return Ok(());
    }
    let mut watchdog = Watchdog::new(supervision.parts_due, Instant::now());
    let mut trying = None;
    let end = {
        // Beside the listening: a process that stands still takes no commands, and must be found out all the same.
        let mut talking = pin!(talk(&mut worker.sender, commands));
        loop {
            tokio::select! {
                // What has arrived counts, however late this task comes to see it.
                biased;
                message = worker.receiver.receive() => match message {
                    Ok(Some(message)) => {
                        watchdog.heard(&message, Instant::now());
                        match message {
                            FromWorker::Pulse => {}
                            FromWorker::Trying { encoder } => trying = Some(encoder),
                            FromWorker::Tried { encoder, slow } => {
                                trying = None;
                                if slow {
                                    leave_out(&supervision.left_out, encoder);
                                }
                            }
                            FromWorker::Ended => break End::Finished,
                            FromWorker::Hello { version } if version != VERSION => {
                                break End::Failed(format!("it speaks version {version}, not {VERSION}"));
                            }
                            message => if events.send(Event::Message(message)).await.is_err() { break End::Finished },
                        }
                    }
                    Ok(None) => break End::Broken(String::from("it closed its socket")),
                    Err(error) => break End::Broken(format!("its messages cannot be read: {error}")),
                },
                end = &mut talking => break end,
                () = sleep_until(watchdog.deadline(Instant::now())) => {
                    break End::Failed(String::from(watchdog.verdict(Instant::now())));
                }
            }
        }
    };
    if let (End::Failed(_) | End::Broken(_), Some(encoder)) = (&end, trying) {
        leave_out(&supervision.left_out, encoder);
    }
    conclude(end, worker, events).await
}

async fn conclude(end: End, worker: &mut Worker, events: &mpsc::Sender<Event>) -> Result<(), String> {
    match end {
        End::Finished => Ok(()),
        End::Failed(reason) => Err(reason),
        End::Broken(reason) => Err(worker.last_words(&reason).await),
        End::Released => drain(worker, events).await,
    }
}

/// Passes commands on as long as somebody gives them and the worker takes them.
async fn talk(sender: &mut Sender, commands: &mut mpsc::Receiver<ToWorker>) -> End {
    while let Some(command) = commands.recv().await {
        if let Err(end) = send(sender, &command).await {
            return end;
        }
    }
    End::Released
}

/// Asks the worker to stop and passes on what it still has.
async fn drain(worker: &mut Worker, events: &mpsc::Sender<Event>) -> Result<(), String> {
    if let Err(End::Failed(reason) | End::Broken(reason)) = send(&mut worker.sender, &ToWorker::Stop).await {
        return Err(worker.last_words(&reason).await);
    }
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

async fn send(sender: &mut Sender, message: &ToWorker) -> Result<(), End> {
    match tokio::time::timeout(Duration::from_secs(3), sender.send(message)).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(End::Broken(format!("it cannot be told anything: {error}"))),
        Err(_) => Err(End::Failed(String::from("it takes no commands"))),
    }
}

/// Until when the worker must have said what, or else counts as hanging.
struct Watchdog {
    parts_due: Option<PartsDue>,
    /// Of the next message of any kind; none before the first.
    message: Option<Instant>,
    /// Of the next part that is due, or of the first sign of life.
    part: Option<Instant>,
}

impl Watchdog {
    fn new(parts_due: Option<PartsDue>, now: Instant) -> Self {
        Self { parts_due, message: None, part: Some(now + START_TIMEOUT) }
    }

    fn heard(&mut self, message: &FromWorker, now: Instant) {
        self.message = Some(now + SILENCE);
        self.part = match (self.parts_due, message) {
            (None, _) => None,
            (Some(due), FromWorker::Part(part)) if part.rendition == due.rendition => Some(now + due.within),
            // A source that is found to be lost costs a moment until the slate's first part.
            (Some(due), FromWorker::State(state)) if *state != SourceState::Starting => {
                self.part.max(Some(now + due.within))
            }
            // One after the other may be tried.
            (Some(_), FromWorker::Trying { .. } | FromWorker::Tried { .. }) => Some(now + START_TIMEOUT),
            (Some(_), _) => self.part,
        };
    }

    fn deadline(&self, now: Instant) -> Instant {
        self.message.into_iter().chain(self.part).min().unwrap_or(now + START_TIMEOUT)
    }

    /// Why it counts as hanging after its deadline.
    fn verdict(&self, now: Instant) -> &'static str {
        match self.message {
            Some(due) if due > now => "it runs, but gave no picture",
            _ => "it fell silent",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::protocol::Part;

    const WITHIN: Duration = Duration::from_millis(1300);

    fn part(rendition: u8) -> FromWorker {
        let (start, duration, bytes) = (0, 18_000, bytes::Bytes::new());
        FromWorker::Part(Part { rendition, start, duration, independent: true, discontinuity: false, bytes })
    }

    /// When it gives up a worker that pulses in time and sends these renditions' parts five times a second; none while it does
    /// not within a minute.
    fn given_up(parts_due: Option<PartsDue>, renditions: &[u8]) -> Option<Duration> {
        let begin = Instant::now();
        let mut watchdog = Watchdog::new(parts_due, begin);
        for rendition in 0..3 {
            watchdog.heard(&part(rendition), begin);
        }
        (0..300).map(|turn| PULSE * turn).find(|passed| {
            let now = begin + *passed;
            let late = watchdog.deadline(now) <= now;
            watchdog.heard(&FromWorker::Pulse, now);
            renditions.iter().for_each(|rendition| watchdog.heard(&part(*rendition), now));
            late
        })
    }

    #[test]
    fn the_leaders_parts_alone_keep_it_quiet() {
        let due = Some(PartsDue { rendition: 2, within: WITHIN });
        assert_eq!(given_up(due, &[0, 1, 2]), None);
        assert_eq!(given_up(due, &[2]), None, "the others may be left out");
        for stuck in [&[0, 1][..], &[]] {
            let late = given_up(due, stuck).expect("the leader's encoder is stuck");
            assert!((WITHIN..WITHIN + PULSE).contains(&late), "{late:?}");
        }
        assert_eq!(given_up(None, &[]), None, "a publisher may pause");
    }

    #[test]
    fn silence_is_found_out_sooner() {
        let now = Instant::now();
        let mut watchdog = Watchdog::new(None, now);
        assert_eq!(watchdog.deadline(now), now + START_TIMEOUT);
        watchdog.heard(&FromWorker::Pulse, now);
        assert_eq!(watchdog.deadline(now), now + SILENCE);
    }
}
