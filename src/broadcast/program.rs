//! A source that runs: its worker, its preview, and the media that broadcasts take from it. One task owns it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tokio::runtime::Handle;
use tokio::sync::{broadcast, mpsc, watch};
use tokio::time::{Instant, interval};
use tokio_util::sync::CancellationToken;

use super::source::is_publisher;
use super::windows::{self, Show, Windows};
use crate::base::clock;
use crate::media::ladder::Ladder;
use crate::media::protocol::{
    Capture, ErrorCode, FlvTag, FromWorker, Init, Level, Part, SourceState, Stats, Task, ToWorker, VideoInput,
};
use crate::media::shedding::Reason;
use crate::worker::supervisor::{Event, LeftOut, PartsDue, Supervision, supervise};

/// A program that nobody looks at and no broadcast uses is stopped after this.
const IDLE: Duration = Duration::from_secs(20);

/// Segments in the preview's playlist.
const PREVIEW_SEGMENTS: usize = 5;

/// A worker whose parts stay away this long hangs. Parts are at most a second long.
const PARTS_WITHIN: Duration = Duration::from_millis(1300);

/// Media of a program, for broadcasts.
#[derive(Debug, Clone)]
pub enum Media {
    Init(Init),
    Part(Part),
    /// So many renditions, from the best on, are about to stop.
    LeftOut(u8),
    /// The worker was lost: what follows begins anew.
    Interrupted,
    /// The publisher is gone. What follows, if anything does, is the slate.
    Gone,
    /// The publisher was sent away: what it sends cannot be used, for this reason.
    GivenUp(ErrorCode),
    /// The source's own picture follows (again).
    Back,
}

/// How a program is doing.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Status {
    pub condition: Condition,
    /// Why, when something is wrong.
    pub trouble: Option<Trouble>,
    pub stats: Stats,
    /// Newest init of each rendition.
    pub inits: BTreeMap<u8, Init>,
    /// How many renditions, from the best on, are left out at present, and why.
    pub left_out: (u8, Option<Reason>),
    /// Of the last rendition, which alone is left, every other frame is left out as well.
    pub half_rate: bool,
    /// JPEG, newest.
    pub snapshot: Option<Bytes>,
    /// Times that the worker was lost.
    pub restarts: u64,
    /// Process id of the worker.
    pub process: Option<u32>,
}

/// What is wrong with a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// [`ErrorCode::as_str`]'s, `worker_lost`, `too_busy` or `too_hot`: the pages say their own sentence for it.
    pub code: &'static str,
    /// An English sentence for the log and the API.
    pub detail: String,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Condition {
    #[default]
    Starting,
    Running,
    VideoLost,
    AudioLost,
    PublisherGone,
    PublisherStill,
    /// The worker was lost and comes back.
    Restarting,
    /// The source cannot be used, or the worker is lost again and again; `trouble` says why.
    Failed,
}

impl From<SourceState> for Condition {
    fn from(state: SourceState) -> Self {
        match state {
            SourceState::Starting => Condition::Starting,
            SourceState::Running => Condition::Running,
            SourceState::VideoLost => Condition::VideoLost,
            SourceState::AudioLost => Condition::AudioLost,
            SourceState::PublisherGone => Condition::PublisherGone,
            SourceState::PublisherStill => Condition::PublisherStill,
        }
    }
}

/// Everyone's handle to a running program.
pub struct Program {
    pub source_id: String,
    /// What the worker was told to do; a wish for another microphone makes another program.
    pub task: Task,
    pub preview: Windows,
    pub status: watch::Receiver<Status>,
    levels: broadcast::Sender<Level>,
    media: broadcast::Sender<Media>,
    commands: mpsc::Sender<Command>,
    /// Broadcasts that use it.
    users: Arc<AtomicUsize>,
    /// Monotonic nanoseconds of the last look at the preview.
    looked_at: Arc<AtomicU64>,
    stop: CancellationToken,
}

enum Command {
    Keyframe,
    StandIn(Init),
    Publisher(mpsc::Receiver<FlvTag>),
}

/// Holds a program in use.
pub struct InUse(Arc<AtomicUsize>);

impl Drop for InUse {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Status {
    /// Lines of the best rendition that is carried at present, where one is left out.
    pub fn most_lines(&self) -> Option<u32> {
        let (left_out, _) = self.left_out;
        self.inits.get(&left_out).filter(|_| left_out > 0).map(|init| init.height)
    }
}

impl Program {
    /// Starts the source on `runtime`, which outlives every request. `epoch_us` is the wall clock of running time zero,
    /// `base_ns` the monotonic one.
    pub fn start(
        runtime: &Handle,
        source_id: String,
        task: Task,
        (base_ns, epoch_us): (u64, i64),
        left_out: LeftOut,
    ) -> Arc<Program> {
        let mut ladder = Ladder::new(epoch_us, Some(PREVIEW_SEGMENTS), leader(&task));
        let (show, preview) = windows::channel(&mut ladder, renditions(&task));
        let (status_sender, status) = watch::channel(Status::default());
        let (commands, receiver) = mpsc::channel(16);
        let program = Arc::new(Program {
            source_id,
            task: task.clone(),
            preview,
            status,
            levels: broadcast::channel(16).0,
            media: broadcast::channel(256).0,
            commands,
            users: Arc::default(),
            looked_at: Arc::new(AtomicU64::new(clock::monotonic_ns())),
            stop: CancellationToken::new(),
        });
        let runner = Runner {
            supervision: Supervision {
                base_ns,
                left_out,
                // A publisher may pause.
                parts_due: (!is_publisher(&task))
                    .then_some(PartsDue { rendition: leader(&task), within: PARTS_WITHIN }),
                task,
            },
            ladder,
            show,
            status: status_sender,
            levels: program.levels.clone(),
            media: program.media.clone(),
            users: program.users.clone(),
            looked_at: program.looked_at.clone(),
            stop: program.stop.clone(),
            last_error: None,
        };
        runtime.spawn(runner.run(receiver));
        program
    }

    pub fn levels(&self) -> broadcast::Receiver<Level> {
        self.levels.subscribe()
    }

    /// Takes the program's media for a broadcast, and keeps it running meanwhile.
    pub fn attach(&self) -> (broadcast::Receiver<Media>, InUse) {
        self.users.fetch_add(1, Ordering::Relaxed);
        (self.media.subscribe(), InUse(self.users.clone()))
    }

    pub fn is_in_use(&self) -> bool {
        self.users.load(Ordering::Relaxed) > 0
    }

    /// Someone looks at the preview.
    pub fn look(&self) {
        self.looked_at.store(clock::monotonic_ns(), Ordering::Relaxed);
    }

    /// The next frame becomes a keyframe, so that a broadcast can begin at once.
    pub fn keyframe(&self) {
        // A full queue holds such a wish already, or the program is over.
        let _ = self.commands.try_send(Command::Keyframe);
    }

    /// Feeds a publisher that was admitted; the one before it, if any, is gone.
    pub async fn publish(&self, tags: mpsc::Receiver<FlvTag>) {
        let _ = self.commands.send(Command::Publisher(tags)).await;
    }

    /// Shows the slate until the publisher comes, in place of what was on air with this init before the program began.
    pub fn stand_in(&self, init: Init) {
        let _ = self.commands.try_send(Command::StandIn(init));
    }

    pub fn stop(&self) {
        self.stop.cancel();
    }

    /// It has stopped, or is about to.
    pub fn is_over(&self) -> bool {
        self.stop.is_cancelled() || self.commands.is_closed()
    }
}

/// The task's own state.
struct Runner {
    supervision: Supervision,
    ladder: Ladder,
    show: Show,
    status: watch::Sender<Status>,
    levels: broadcast::Sender<Level>,
    media: broadcast::Sender<Media>,
    users: Arc<AtomicUsize>,
    looked_at: Arc<AtomicU64>,
    stop: CancellationToken,
    /// What the worker said before it ended.
    last_error: Option<Trouble>,
}

/// One worker and what is on its way to it.
struct Session {
    events: mpsc::Receiver<Event>,
    commands: mpsc::Sender<ToWorker>,
    /// The publisher's tags, as long as it is there.
    tags: Option<mpsc::Receiver<FlvTag>>,
    /// Sequence headers, which a restarted worker needs again: video, audio.
    headers: [Option<FlvTag>; 2],
    pending: VecDeque<ToWorker>,
    /// The worker runs; while it does not, tags are let go to stay live.
    up: bool,
    stop: CancellationToken,
}

impl Drop for Session {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Runner {
    async fn run(mut self, mut commands: mpsc::Receiver<Command>) {
        let mut ticks = interval(Duration::from_secs(1));
        let publisher = is_publisher(&self.supervision.task);
        let mut session = (!publisher).then(|| self.start_session(None));
        let mut gone_since = Instant::now();
        loop {
            tokio::select! {
                () = self.stop.cancelled() => break,
                command = commands.recv() => match command {
                    None => break,
                    Some(Command::Keyframe) => if let Some(session) = &mut session {
                        session.pending.push_back(ToWorker::Keyframe);
                    },
                    Some(Command::StandIn(init)) => if session.is_none() {
                        self.status.send_modify(|status| drop(status.inits.insert(init.rendition, init)));
                        session = Some(self.start_session(None));
                    },
                    Some(Command::Publisher(tags)) => match &mut session {
                        Some(session) => session.admit(tags),
                        None => {
                            self.interrupt();
                            session = Some(self.start_session(Some(tags)));
                        }
                    },
                },
                happening = next(&mut session) => match happening {
                    Happening::Worker(event) => if let Some(last) = self.on_event(event, session.as_mut()) {
                        session = None;
                        gone_since = Instant::now();
                        self.interrupt();
                        self.publish(last);
                    },
                    Happening::Tag(tag) => if let Some(session) = &mut session { session.take(tag) },
                    // The worker stays, and shows the slate for as long as a broadcast waits for the publisher.
                    Happening::PublisherGone => if let Some(session) = &mut session {
                        session.part();
                        gone_since = Instant::now();
                    },
                    Happening::Sent => {}
                },
                _ = ticks.tick() => {
                    let fed = session.as_ref().is_some_and(|session| session.tags.is_some());
                    let absent = publisher && !fed && gone_since.elapsed() > Duration::from_secs(2);
                    let idle = !publisher && self.is_idle();
                    if (idle || absent) && self.users.load(Ordering::Relaxed) == 0 {
                        break;
                    }
                }
            }
        }
        self.stop.cancel();
        let _ = self.media.send(Media::Gone);
    }

    fn start_session(&mut self, tags: Option<mpsc::Receiver<FlvTag>>) -> Session {
        let (events_sender, events) = mpsc::channel(64);
        let (commands, commands_receiver) = mpsc::channel(64);
        let stop = self.stop.child_token();
        let mut supervision = self.supervision.clone();
        if let Task::Publisher { not_before, .. } = &mut supervision.task {
            *not_before = self.ladder.end();
        }
        tokio::spawn(supervise(supervision, commands_receiver, events_sender, stop.clone()));
        Session { events, commands, tags, headers: [None, None], pending: VecDeque::new(), up: false, stop }
    }

    /// What is to be told when the session is over with this.
    fn on_event(&mut self, event: Event, session: Option<&mut Session>) -> Option<Media> {
        match event {
            Event::Message(message) => {
                let hopeless = hopeless(&message);
                self.on_message(message, session);
                // A publisher whose media cannot be used is sent away: its connection ends with the session.
                return hopeless.map(Media::GivenUp);
            }
            Event::Started { process } => {
                self.leave_out(0);
                self.status.send_modify(|status| {
                    status.process = process;
                    (status.left_out, status.half_rate) = ((0, None), false);
                });
                if let Some(session) = session {
                    session.up = true;
                    let before = self.status.borrow().inits.get(&0).cloned();
                    let before = before.filter(|_| is_publisher(&self.supervision.task));
                    let away = session.tags.is_none();
                    let end = self.ladder.end();
                    session.pending.extend(before.map(|init| ToWorker::StandIn { init, end, away }));
                    session.pending.extend(session.headers.iter().flatten().cloned().map(ToWorker::Tag));
                }
            }
            Event::Lost { reason, hopeless } => {
                let trouble = self.last_error.take().unwrap_or(Trouble { code: "worker_lost", detail: reason });
                if let Some(session) = session {
                    session.up = false;
                    session.pending.clear();
                    if is_publisher(&self.supervision.task) && session.tags.is_none() {
                        // It may not have been able to tell. Without a broadcast there is nothing to come back for.
                        if self.users.load(Ordering::Relaxed) == 0 {
                            return Some(Media::Gone);
                        }
                        self.publish(Media::Gone);
                    }
                }
                self.interrupt();
                self.status.send_modify(|status| {
                    status.restarts += 1;
                    status.condition = if hopeless { Condition::Failed } else { Condition::Restarting };
                    status.trouble = Some(trouble);
                });
            }
            Event::Finished => return Some(Media::Gone),
        }
        None
    }

    fn on_message(&mut self, message: FromWorker, session: Option<&mut Session>) {
        match message {
            FromWorker::Init(init) => {
                self.ladder.init(init.clone());
                self.status.send_modify(|status| drop(status.inits.insert(init.rendition, init.clone())));
                self.publish(Media::Init(init));
            }
            FromWorker::Part(part) => {
                let leads = part.rendition == self.ladder.leader();
                self.ladder.part(part.clone());
                self.show.changes(&mut self.ladder);
                let first = leads && self.show.leading().newest_part() == Some((0, 0));
                if let (true, Some(session)) = (first, session) {
                    // A second keyframe completes the preview's first segment early.
                    session.pending.push_back(ToWorker::Keyframe);
                }
                self.publish(Media::Part(part));
                self.status.send_if_modified(|status| {
                    let was = status.condition;
                    if matches!(was, Condition::Restarting | Condition::Failed) {
                        status.condition = Condition::Running;
                        status.trouble = None;
                    }
                    was != status.condition
                });
            }
            FromWorker::Level(level) => {
                // Nobody may be looking.
                let _ = self.levels.send(level);
            }
            FromWorker::Snapshot { jpeg } => self.status.send_modify(|status| status.snapshot = Some(jpeg)),
            FromWorker::Stats(stats) => self.status.send_modify(|status| status.stats = stats),
            FromWorker::LeftOut { renditions, half_rate, reason } => {
                self.leave_out(renditions);
                self.status
                    .send_modify(|status| (status.left_out, status.half_rate) = ((renditions, reason), half_rate));
            }
            FromWorker::State(state) => {
                self.status.send_modify(|status| {
                    // That another worker begins is not yet that it does better: its first part tells.
                    if state == SourceState::Starting
                        && matches!(status.condition, Condition::Restarting | Condition::Failed)
                    {
                        return;
                    }
                    status.condition = state.into();
                    // What was told of a camera or a microphone explains its loss, which is seen later.
                    if !matches!(state, SourceState::VideoLost | SourceState::AudioLost) {
                        status.trouble = None;
                    }
                });
                match state {
                    SourceState::Running => self.publish(Media::Back),
                    // By now the publisher's last part has come.
                    SourceState::PublisherGone => self.publish(Media::Gone),
                    _ => {}
                }
            }
            FromWorker::Error { code, message, fatal } => {
                tracing::warn!(source = self.supervision_name(), ?code, %message, fatal, "worker reports an error");
                let trouble = Trouble { code: code.as_str(), detail: message };
                self.status.send_modify(|status| {
                    if fatal {
                        status.condition = Condition::Failed;
                    }
                    // Of a camera and its microphone that are both gone, the picture is missed more.
                    let camera =
                        status.trouble.as_ref().is_some_and(|told| told.code == ErrorCode::CameraUnavailable.as_str());
                    if !(camera && code == ErrorCode::MicrophoneUnavailable) {
                        status.trouble = Some(trouble.clone());
                    }
                });
                self.last_error = fatal.then_some(trouble);
            }
            // The supervisor keeps what is told of encoders.
            FromWorker::Hello { .. }
            | FromWorker::Trying { .. }
            | FromWorker::Tried { .. }
            | FromWorker::Pulse
            | FromWorker::Length { .. }
            | FromWorker::Devices(_)
            | FromWorker::Speed(_)
            | FromWorker::Made { .. }
            | FromWorker::Ended => {}
        }
    }

    fn leave_out(&mut self, renditions: u8) {
        self.ladder.leave_out(renditions);
        self.publish(Media::LeftOut(renditions));
    }

    fn interrupt(&mut self) {
        self.ladder.interrupt();
        self.show.changes(&mut self.ladder);
        self.publish(Media::Interrupted);
    }

    fn publish(&self, media: Media) {
        // No broadcast may be attached.
        let _ = self.media.send(media);
    }

    fn is_idle(&self) -> bool {
        let looked_at = self.looked_at.load(Ordering::Relaxed);
        clock::monotonic_ns().saturating_sub(looked_at) > IDLE.as_nanos() as u64
    }

    fn supervision_name(&self) -> &'static str {
        match self.supervision.task {
            Task::Publisher { .. } => "publisher",
            _ => "capture",
        }
    }
}

/// How many renditions a task makes.
pub fn renditions(task: &Task) -> u8 {
    match task {
        Task::Capture(Capture { video: VideoInput::TestPattern | VideoInput::Camera(_), rungs, .. }) => {
            rungs.len() as u8
        }
        _ => 1,
    }
}

/// The rendition that is never left out: the smallest picture, which costs the least to make.
pub fn leader(task: &Task) -> u8 {
    renditions(task).saturating_sub(1)
}

/// Why a publisher's worker has given it up for what it sends.
fn hopeless(message: &FromWorker) -> Option<ErrorCode> {
    use ErrorCode::{BadMedia, NoVideo, UnsupportedCodec};
    match message {
        FromWorker::Error { code: code @ (BadMedia | NoVideo | UnsupportedCodec), fatal: true, .. } => Some(*code),
        _ => None,
    }
}

enum Happening {
    Worker(Event),
    Tag(FlvTag),
    PublisherGone,
    Sent,
}

/// What happens next around a session; never, without one.
async fn next(session: &mut Option<Session>) -> Happening {
    let Some(session) = session else { return std::future::pending().await };
    let Session { events, commands, tags, pending, up, .. } = session;
    let room = pending.is_empty();
    tokio::select! {
        event = events.recv() => Happening::Worker(event.unwrap_or(Event::Finished)),
        // A worker that is behind holds its publisher back, by TCP.
        tag = receive(tags), if room => tag.map_or(Happening::PublisherGone, Happening::Tag),
        permit = commands.reserve(), if !room && *up => {
            if let (Ok(permit), Some(command)) = (permit, pending.pop_front()) {
                permit.send(command);
            }
            Happening::Sent
        }
    }
}

async fn receive(tags: &mut Option<mpsc::Receiver<FlvTag>>) -> Option<FlvTag> {
    match tags {
        Some(tags) => tags.recv().await,
        None => std::future::pending().await,
    }
}

impl Session {
    /// The publisher has come back, or another with the same key.
    fn admit(&mut self, tags: mpsc::Receiver<FlvTag>) {
        // That the one before is gone may not have been noticed yet.
        if self.tags.is_some() {
            self.part();
        }
        self.tags = Some(tags);
    }

    /// The publisher is gone.
    fn part(&mut self) {
        self.tags = None;
        self.headers = [None, None];
        self.pending.push_back(ToWorker::Gone);
    }

    fn take(&mut self, tag: FlvTag) {
        if tag.is_sequence_header() {
            self.headers[tag.kind as usize] = Some(tag.clone());
        }
        if self.up {
            self.pending.push_back(ToWorker::Tag(tag));
        }
    }
}
