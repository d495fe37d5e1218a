//! One worker process and the socket to it. Starting and stopping only; when to do so is the supervisor's.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::pin::pin;
use std::process::Stdio;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt, Stream, StreamExt, stream};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::process::{Child, Command};
use tokio_util::codec::{FramedRead, FramedWrite, LengthDelimitedCodec};

use crate::base::clock;
use crate::media::protocol::{FromWorker, MAX_FRAME, Start, Task, ToWorker, VERSION};

/// A process that has closed its socket is gone within this, or hangs.
const EXIT_WITHIN: Duration = Duration::from_millis(200);

/// A running child. Dropping it kills the process.
pub struct Worker {
    child: Child,
    pub receiver: Receiver,
    pub sender: Sender,
}

pub struct Receiver(FramedRead<OwnedReadHalf, LengthDelimitedCodec>);
pub struct Sender(FramedWrite<OwnedWriteHalf, LengthDelimitedCodec>);

impl Worker {
    /// Starts this very executable as `siaran worker capture`, with one end of a socketpair as its standard input.
    pub fn spawn() -> io::Result<Worker> {
        Self::spawn_as("capture", Stdio::null())
    }

    /// Starts one that is shut in, `siaran worker import`, for what strangers made. It may read `file`, which is its standard output.
    pub fn spawn_shut_in(file: Option<File>) -> io::Result<Worker> {
        Self::spawn_as("import", file.map_or_else(Stdio::null, Stdio::from))
    }

    /// Starts one that is shut in and runs when nobody else wants to, `siaran worker ladder`.
    pub fn spawn_idle() -> io::Result<Worker> {
        Self::spawn_as("ladder", Stdio::null())
    }

    fn spawn_as(kind: &str, stdout: Stdio) -> io::Result<Worker> {
        let (ours, theirs) = std::os::unix::net::UnixStream::pair()?;
        ours.set_nonblocking(true)?;
        // The file behind this name is the one that runs, even when an update has replaced it on the disk meanwhile.
        let child = Command::new("/proc/self/exe")
            .arg0("siaran")
            .args(["worker", kind])
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(stdout)
            .kill_on_drop(true)
            // Ctrl-C is for the parent, which closes its broadcasts before it lets its workers go.
            .process_group(0)
            .spawn()?;
        let (read, write) = UnixStream::from_std(ours)?.into_split();
        let codec = LengthDelimitedCodec::builder().max_frame_length(MAX_FRAME).new_codec();
        Ok(Worker {
            child,
            receiver: Receiver(FramedRead::new(read, codec.clone())),
            sender: Sender(FramedWrite::new(write, codec)),
        })
    }

    /// Process id, as long as it runs.
    pub fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// Processor time that it has taken; none when it is gone.
    pub fn processor_time(&self) -> Option<Duration> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid()?)).ok()?;
        // Behind the name in parentheses: utime and stime are fields 14 and 15 of all (proc(5)).
        let mut fields =
            stat.rsplit_once(')')?.1.split_whitespace().skip(11).map_while(|field| field.parse::<u64>().ok());
        let ticks = fields.next()? + fields.next()?;
        Some(Duration::from_millis(ticks * 1000 / rustix::param::clock_ticks_per_second().max(1)))
    }

    /// How a process whose socket fails came out, or `otherwise` where it runs on.
    pub async fn last_words(&mut self, otherwise: &str) -> String {
        match tokio::time::timeout(EXIT_WITHIN, self.child.wait()).await {
            Ok(Ok(status)) => format!("its process ended: {status}"),
            _ => String::from(otherwise),
        }
    }

    /// Ends the process at once and waits until it is gone.
    pub async fn kill(mut self) {
        // It fails only where the process is gone already.
        let _ = self.child.kill().await;
    }
}

impl Receiver {
    /// The next message, or none when the worker has closed its end.
    pub async fn receive(&mut self) -> io::Result<Option<FromWorker>> {
        let Some(frame) = self.0.next().await else { return Ok(None) };
        let message = postcard::from_bytes(&frame?);
        message.map(Some).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
    }
}

impl Sender {
    pub async fn send(&mut self, message: &ToWorker) -> io::Result<()> {
        let frame = postcard::to_stdvec(message).map_err(io::Error::other)?;
        self.0.send(Bytes::from(frame)).await
    }
}

/// Runs a worker for one answer: `pick` is offered each message until it takes one. None when the worker fails or is too slow.
pub async fn ask<T>(task: Task, patience: Duration, pick: impl FnMut(FromWorker) -> Option<T>) -> Option<T> {
    ask_with(task, stream::empty(), patience, pick).await
}

/// The same for a task that is told more, one message after the other as fast as the worker takes them.
pub async fn ask_with<T>(
    task: Task,
    told: impl Stream<Item = ToWorker>,
    patience: Duration,
    mut pick: impl FnMut(FromWorker) -> Option<T>,
) -> Option<T> {
    let worker = match task {
        // What is decoded may have come in a file.
        Task::Picture { .. } | Task::Sheet(_) => Worker::spawn_shut_in(None),
        _ => Worker::spawn(),
    };
    let mut worker = worker.ok()?;
    let start = Start { version: VERSION, base_ns: clock::monotonic_ns(), left_out: Vec::new(), task };
    let answer = tokio::time::timeout(patience, async {
        worker.sender.send(&ToWorker::Start(start)).await.ok()?;
        let mut told = pin!(told);
        while let Some(message) = told.next().await {
            worker.sender.send(&message).await.ok()?;
        }
        loop {
            let message = worker.receiver.receive().await.ok()??;
            if let Some(answer) = pick(message) {
                return Some(answer);
            }
        }
    })
    .await;
    worker.kill().await;
    answer.ok().flatten()
}
