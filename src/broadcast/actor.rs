//! One broadcast on air: a task that owns its state, its playlist and its recorder, from *Go live* to the finished recording.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tokio::time::{Sleep, sleep};

use super::program::{self, Condition, InUse, Media, Program, Trouble};
use super::state::{Effect, Event, State};
use super::viewers::Viewers;
use super::windows::{self, Show, Windows};
use crate::base::clock;
use crate::base::terms::BroadcastState;
use crate::library::Library;
use crate::library::recorder::{Health, Recorder};
use crate::library::space::Fault;
use crate::media::ladder::{self, Ladder};
use crate::media::protocol::ErrorCode;
use crate::media::shedding::Reason;
use crate::store::StoreError;
use crate::store::broadcasts;
use crate::store::media::OnAir;

/// No part after this long: there will be none.
const START_TIMEOUT: Duration = Duration::from_secs(30);

/// Whoever pressed *End* waits no longer than this for the disk.
const END_WITHIN: Duration = Duration::from_secs(4);

/// The picture that stands for the recording is taken when the broadcast has settled.
const THUMBNAIL_AFTER: Duration = Duration::from_secs(10);

/// So often it is noted that a broadcast is on air: by rows of its media, or where there are none, by one of its own.
const NOTED_EVERY: Duration = Duration::from_secs(5);

/// Segments in the playlist of what is not recorded: those that are in memory.
pub const UNRECORDED_SEGMENTS: usize = 8;

/// Everyone's handle to a broadcast on air.
pub struct Live {
    pub id: String,
    pub source_id: String,
    pub windows: Windows,
    pub state: watch::Receiver<State>,
    pub viewers: Arc<Viewers>,
    pub program: Arc<Program>,
    /// None: it is not recorded.
    pub recorder: Option<Arc<Health>>,
    library: Library,
    /// Monotonic nanoseconds of *Go live*; negative when that was in an earlier boot.
    pub since_ns: i64,
    ends: mpsc::Sender<oneshot::Sender<()>>,
}

/// The words for how a broadcast is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Wellbeing {
    Ok,
    VideoLost,
    AudioLost,
    PublisherGone,
    PublisherStill,
    Restarting,
    /// The worker is lost again and again.
    CaptureFailing,
    /// The box cannot carry the best renditions at present.
    Busy,
    /// The same, since it is too hot.
    Hot,
    /// Not even the smallest one with all its frames.
    HalfRate,
    /// There is no room.
    RecordingPaused,
    /// The disk or the database does not take it.
    RecordingFailing,
}

impl Live {
    /// Ends it; returns when the recording can be played to its end. False: the playlist is complete, but the disk or the
    /// database does not take the recording in time; it is tried again for as long as the program runs.
    pub async fn end(&self) -> bool {
        let ending = async {
            let (done, ended) = oneshot::channel();
            // A broadcast that is ending by itself takes no command, but drops the channel when it is done.
            if self.ends.send(done).await.is_ok() {
                let _ = ended.await;
            }
            let mut state = self.state.clone();
            let _ = state.wait_for(|state| state.is_final()).await;
        };
        tokio::time::timeout(END_WITHIN, ending).await.is_ok()
    }

    pub fn wellbeing(&self) -> Wellbeing {
        let condition = self.program.status.borrow().condition;
        match condition {
            _ if self.recording_paused() => match self.library.fault() {
                Some(Fault::Full | Fault::NoInodes) => Wellbeing::RecordingPaused,
                _ => Wellbeing::RecordingFailing,
            },
            _ if *self.state.borrow() == State::Waiting => Wellbeing::PublisherGone,
            Condition::PublisherGone => Wellbeing::PublisherGone,
            Condition::PublisherStill => Wellbeing::PublisherStill,
            Condition::VideoLost => Wellbeing::VideoLost,
            Condition::Failed => Wellbeing::CaptureFailing,
            Condition::AudioLost => Wellbeing::AudioLost,
            Condition::Restarting => Wellbeing::Restarting,
            Condition::Starting | Condition::Running => {
                let status = self.program.status.borrow();
                match status.left_out {
                    _ if status.half_rate => Wellbeing::HalfRate,
                    (_, Some(Reason::Busy)) => Wellbeing::Busy,
                    (_, Some(Reason::Hot)) => Wellbeing::Hot,
                    (_, None) => Wellbeing::Ok,
                }
            }
        }
    }

    /// Why there is no picture or no sound, as far as its worker could tell, or only half of the frames: for staff.
    pub fn trouble(&self) -> Option<Trouble> {
        use Condition::{AudioLost, Failed, VideoLost};
        if self.wellbeing() == Wellbeing::HalfRate {
            let (code, why) = match self.program.status.borrow().left_out {
                (_, Some(Reason::Hot)) => ("too_hot", "is too hot for"),
                _ => ("too_busy", "is too busy for"),
            };
            let detail = format!("The box {why} all frames of the smallest picture; every other one is left out.");
            return Some(Trouble { code, detail });
        }
        let status = self.program.status.borrow();
        status.trouble.clone().filter(|_| matches!(status.condition, Failed | VideoLost | AudioLost))
    }

    /// It should be recorded, and is not at present.
    pub fn recording_paused(&self) -> bool {
        // The disk is asked too: the recorder learns of it with the next segment.
        self.recorder.as_ref().is_some_and(|recorder| recorder.paused() || self.library.fault().is_some())
    }

    /// Its playlist is complete; the recording is being closed.
    pub fn is_ending(&self) -> bool {
        self.windows.leading().ended
    }

    /// Seconds since *Go live*.
    pub fn elapsed_s(&self) -> u64 {
        (clock::monotonic_ns() as i64 - self.since_ns).max(0) as u64 / 1_000_000_000
    }
}

/// What an actor needs to begin.
pub struct Beginning {
    pub id: String,
    pub program: Arc<Program>,
    /// None: it is not recorded.
    pub recorder: Option<Recorder>,
    pub library: Library,
    /// Holds what was recorded before, if the broadcast goes on after a restart.
    pub ladder: Ladder,
    pub state: State,
    pub since_ns: i64,
    /// Monotonic nanoseconds of the broadcast's tick 0; negative when that was in an earlier boot.
    pub base_ns: i64,
    /// Ticks from the broadcast's tick 0 to the running time's.
    pub offset: u64,
    /// How long an RTMP publisher may stay away.
    pub grace: Duration,
}

/// A broadcast that is over, its recording complete.
pub struct Finished {
    pub id: String,
    /// Whoever pressed *End* waits until it is off the registry: from then on it is served from the index.
    pub ends: Vec<oneshot::Sender<()>>,
}

/// Starts the task on `runtime`, which outlives every request. `done` is told when nobody needs the actor any more.
pub fn start(runtime: &Handle, beginning: Beginning, done: mpsc::UnboundedSender<Finished>) -> Arc<Live> {
    let Beginning { id, program, recorder, library, mut ladder, state, since_ns, base_ns, offset, grace } = beginning;
    let (media, in_use) = program.attach();
    let (show, windows) = windows::channel(&mut ladder, program::renditions(&program.task));
    let waiting = (state == State::Waiting).then(|| Box::pin(sleep(grace)));
    let (state_sender, state) = watch::channel(state);
    let (ends, ends_receiver) = mpsc::channel(4);
    let live = Arc::new(Live {
        id: id.clone(),
        source_id: program.source_id.clone(),
        windows,
        state,
        viewers: Arc::default(),
        program: program.clone(),
        recorder: recorder.as_ref().map(Recorder::health),
        library: library.clone(),
        since_ns,
        ends,
    });
    let mut actor = Actor {
        id,
        library,
        ladder,
        recorder,
        show,
        state: state_sender,
        grace,
        program,
        base_ns,
        offset,
        waiting,
        _in_use: in_use,
    };
    let events = actor.ladder.inits_in_force();
    actor.record(events);
    // Subscribed first, asked second: an init that comes between is given twice, which changes nothing.
    actor.take_inits();
    runtime.spawn(async move {
        let id = actor.id.clone();
        let ends = actor.run(media, ends_receiver).await;
        let _ = done.send(Finished { id, ends });
    });
    live
}

struct Actor {
    id: String,
    library: Library,
    ladder: Ladder,
    recorder: Option<Recorder>,
    show: Show,
    state: watch::Sender<State>,
    grace: Duration,
    program: Arc<Program>,
    base_ns: i64,
    offset: u64,
    /// Until when a publisher may come back.
    waiting: Option<Pin<Box<Sleep>>>,
    _in_use: InUse,
}

impl Actor {
    /// Until it is over; gives those who wait for its end.
    async fn run(
        mut self,
        mut media: broadcast::Receiver<Media>,
        mut ends: mpsc::Receiver<oneshot::Sender<()>>,
    ) -> Vec<oneshot::Sender<()>> {
        self.program.keyframe();
        let mut thumbnail_due = Some(Box::pin(sleep(Duration::ZERO)));
        let mut thumbnails = 0;
        let mut note_due = Some(Box::pin(sleep(Duration::ZERO)));
        let mut start_timeout = Box::pin(sleep(START_TIMEOUT));
        let mut waiting_for_end = Vec::new();
        let last = loop {
            let state = *self.state.borrow();
            let happened = tokio::select! {
                biased;
                Some(end) = ends.recv() => {
                    waiting_for_end.push(end);
                    self.on(Event::End)
                }
                received = media.recv() => match received {
                    Ok(item) => self.on_media(item),
                    // Parts were missed: go on at the next keyframe, after a discontinuity.
                    Err(broadcast::error::RecvError::Lagged(missed)) => {
                        tracing::warn!(broadcast = self.id, missed, "the broadcast fell behind its source");
                        self.interrupt();
                        self.take_inits();
                        None
                    }
                    Err(broadcast::error::RecvError::Closed) => self.on(Event::End),
                },
                () = expired(&mut self.waiting) => {
                    self.waiting = None;
                    self.on(Event::GraceOver)
                }
                () = expired(&mut note_due), if state != State::Starting => {
                    self.note_on_air();
                    note_due = Some(Box::pin(sleep(NOTED_EVERY)));
                    None
                }
                () = &mut start_timeout, if state == State::Starting => self.on(Event::NoPicture),
                () = expired(&mut thumbnail_due), if state == State::Live => {
                    let taken = self.take_thumbnail();
                    thumbnails += usize::from(taken);
                    // One at once, so that the library is never without; a better one when the broadcast has settled.
                    thumbnail_due = match (taken, thumbnails) {
                        (false, _) => Some(Box::pin(sleep(Duration::from_millis(500)))),
                        (true, 1) => Some(Box::pin(sleep(THUMBNAIL_AFTER))),
                        _ => None,
                    };
                    None
                }
            };
            if let Some(state) = happened {
                break state;
            }
        };
        self.finish(last).await;
        waiting_for_end
    }

    /// The final state, once it is reached.
    fn on(&mut self, event: Event) -> Option<State> {
        let (state, effects) = self.state.borrow().on(event);
        for effect in effects {
            match effect {
                Effect::Announce(public) => self.announce(*public),
                Effect::StartGrace => self.waiting = Some(Box::pin(sleep(self.grace))),
                Effect::StopGrace => self.waiting = None,
                // It is told once the recording can be played.
                Effect::Finish => return Some(state),
            }
        }
        self.state.send_if_modified(|before| std::mem::replace(before, state) != state);
        None
    }

    fn on_media(&mut self, item: Media) -> Option<State> {
        match item {
            Media::Init(init) => {
                let events = self.ladder.init(init);
                self.record(events);
                None
            }
            Media::Part(mut part) => {
                part.start += self.offset;
                let leads = part.rendition == self.ladder.leader();
                let events = self.ladder.part(part);
                let placed = leads && !events.is_empty();
                self.record(events);
                self.show.changes(&mut self.ladder);
                if !placed {
                    return None;
                }
                if *self.state.borrow() == State::Starting {
                    // A second keyframe completes the first segment early: the first viewers need not wait for a long one.
                    self.program.keyframe();
                }
                self.on(Event::Part)
            }
            Media::LeftOut(renditions) => {
                self.ladder.leave_out(renditions);
                None
            }
            Media::Interrupted => {
                self.interrupt();
                None
            }
            Media::Gone => self.on(Event::SourceGone),
            Media::Back => self.on(Event::SourceBack),
            Media::GivenUp(reason) => {
                self.on(if reason == ErrorCode::NoVideo { Event::NoPicture } else { Event::UnusableMedia })
            }
        }
    }

    /// The inits in force, and what is left out; they may have been among what was missed.
    fn take_inits(&mut self) {
        let (inits, left_out) = {
            let status = self.program.status.borrow();
            (status.inits.clone(), status.left_out.0)
        };
        self.ladder.leave_out(left_out);
        for init in inits.into_values() {
            let events = self.ladder.init(init);
            self.record(events);
        }
    }

    fn interrupt(&mut self) {
        let events = self.ladder.interrupt();
        self.record(events);
        self.show.changes(&mut self.ladder);
    }

    /// Written on the side: a slow disk must not hold the parts back.
    fn announce(&self, state: BroadcastState) {
        let (library, id) = (self.library.clone(), self.id.clone());
        self.aside(async move {
            // Lists go by the row, so it is worth some patience with a database that is held by another program.
            for _ in 0..5 {
                if library.set_state(&id, state).await.is_ok() {
                    return Ok(());
                }
                sleep(Duration::from_secs(1)).await;
            }
            library.set_state(&id, state).await
        });
    }

    /// A start goes on with what was on air a short while ago, whether it was being recorded or not.
    fn note_on_air(&self) {
        if self.recorder.as_ref().is_some_and(|recorder| recorder.health().indexed(NOTED_EVERY)) {
            return;
        }
        let since_zero = (clock::monotonic_ns() as i64).saturating_sub(self.base_ns).max(0) as u64;
        let noted = OnAir {
            at: clock::ns_to_ticks(since_zero),
            next_msn: self.ladder.next_msn(),
            discontinuities: self.ladder.discontinuities(),
        };
        let (library, id, inits) = (self.library.clone(), self.id.clone(), self.ladder.inits());
        self.aside(async move { library.note_on_air(&id, noted, inits).await });
    }

    /// Whether there was a picture to take.
    fn take_thumbnail(&self) -> bool {
        let Some(jpeg) = self.program.status.borrow().snapshot.clone() else { return false };
        let (library, id) = (self.library.clone(), self.id.clone());
        self.aside(async move { library.set_thumbnail(&id, jpeg).await });
        true
    }

    fn aside(&self, writing: impl Future<Output = Result<(), StoreError>> + Send + 'static) {
        let id = self.id.clone();
        tokio::spawn(async move {
            if let Err(error) = writing.await {
                tracing::error!(%error, broadcast = id, "a broadcast's row cannot be written");
            }
        });
    }

    /// The playlist is complete at once, from memory; the recording when the recorder has written its last.
    async fn finish(mut self, state: State) {
        let events = self.ladder.finish();
        self.record(events);
        self.show.changes(&mut self.ladder);
        let recorded = async {
            if let Some(recorder) = self.recorder.take() {
                recorder.finish().await;
            }
        };
        let (noted, ()) = tokio::join!(self.library.note_over(&self.id), recorded);
        if let Err(error) = noted {
            tracing::error!(%error, broadcast = self.id, "its end cannot be noted beside the database");
        }
        let ended_at = clock::wall_ms();
        let outcome = broadcasts::Outcome {
            state: state.public(),
            failure: match state {
                State::Failed(failure) => Some(failure.as_str().to_owned()),
                _ => None,
            },
            ended_at,
            aged_from: clock::trusted().then_some(ended_at),
        };
        close_row(&self.library, &self.id, outcome).await;
        self.state.send_replace(state);
        tracing::info!(broadcast = self.id, state = state.public().as_str(), "broadcast over");
    }

    fn record(&mut self, events: ladder::Events) {
        let Some(recorder) = &mut self.recorder else { return };
        for (rendition, event) in events {
            recorder.record(rendition, event);
        }
    }
}

/// Writes how a broadcast came out; again and again, since the database may be held or fail: without it, nobody can watch the
/// recording.
async fn close_row(library: &Library, id: &str, outcome: broadcasts::Outcome) {
    let mut told = false;
    while let Err(error) = library.finish(id, outcome.clone()).await {
        if !std::mem::replace(&mut told, true) {
            tracing::error!(%error, broadcast = id, "a broadcast's end cannot be written; trying again");
        }
        sleep(Duration::from_secs(1)).await;
    }
}

async fn expired(sleep: &mut Option<Pin<Box<Sleep>>>) {
    match sleep {
        Some(sleep) => sleep.await,
        None => std::future::pending().await,
    }
}
