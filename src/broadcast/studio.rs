//! The registry of what can go on air, what runs, and what is on air. Every page, the API and the RTMP server come here.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::actor::{self, Beginning, Finished, Live, UNRECORDED_SEGMENTS};
use super::calibration;
use super::program::{self, Program};
use super::source::{self, Absent, Source};
use super::state::State;
use crate::accounts::permission::Audience;
use crate::base::config::Config;
use crate::base::terms::{BroadcastState, Content, SourceKind};
use crate::base::{clock, ids};
use crate::library::Library;
use crate::library::recover::Interrupted;
use crate::media::camera::Wanted;
use crate::media::ladder::Ladder;
use crate::media::protocol::{AudioInput, Capture, Device, FlvTag, FromWorker, Task, VideoInput};
use crate::media::rungs;
use crate::store::StoreError;
use crate::store::broadcasts::Broadcast;
use crate::worker::supervisor::{Event, LeftOut, Supervision, supervise};

/// Parts that were listed can be read for so long after the end: three target durations, and some.
const PARTS_STAY: Duration = Duration::from_secs(10);

/// How long a key rests after a person ended its broadcast: OBS and its like connect again within seconds.
const REST: Duration = Duration::from_secs(60);

/// Viewers of an interrupted broadcast wait so long for its camera, then see the slate.
const CAMERA_WITHIN: Duration = Duration::from_secs(2);

/// What *Go live* asks for; texts are checked already.
#[derive(Debug, Clone)]
pub struct NewBroadcast {
    pub title: String,
    pub description: String,
    pub audience: Audience,
    pub source_id: String,
    pub microphone: Option<String>,
    pub content: Content,
    pub account_id: Option<String>,
    pub stream_key_id: Option<String>,
    pub recording: Wish,
}

/// What is to become of a broadcast for which there is no room on the disk.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Wish {
    /// It does not begin.
    #[default]
    Required,
    /// It goes on air without being recorded.
    IfRoom,
}

/// What is asked of a source's program. What is left open is as it runs already, else as is usual.
#[derive(Debug, Clone, Copy, Default)]
pub struct Asked<'a> {
    pub microphone: Option<&'a str>,
    pub content: Option<Content>,
}

#[derive(Debug, thiserror::Error)]
pub enum StudioError {
    #[error(transparent)]
    Absent(#[from] Absent),
    /// Somebody else's broadcast is on air from it.
    #[error("the source is on air already")]
    SourceOnAir { broadcast_id: String },
    /// It could not be recorded for long, and that was asked for.
    #[error("there is no room to record it")]
    NoRoom,
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the recorder cannot start: {0}")]
    Recorder(#[from] std::io::Error),
}

/// Broadcasts on air, by id.
pub type OnAir = Arc<BTreeMap<String, Arc<Live>>>;

/// A cheap handle.
#[derive(Clone)]
pub struct Studio(Arc<Inner>);

struct Inner {
    config: Config,
    library: Library,
    /// Running time zero, monotonic nanoseconds.
    base_ns: u64,
    programs: Mutex<HashMap<String, Arc<Program>>>,
    /// Marked whenever a program begins.
    begun: watch::Sender<()>,
    /// Publishers that are connected: source id to label.
    publishers: watch::Sender<BTreeMap<String, String>>,
    devices: watch::Sender<Vec<Device>>,
    on_air: watch::Sender<OnAir>,
    lately: Mutex<HashMap<String, Arc<Live>>>,
    /// Keys whose broadcast a person ended: monotonic nanoseconds of when.
    resting: Mutex<HashMap<String, u64>>,
    /// Frames of 1280x720 that this machine encodes a second, once that is known.
    encoder_speed: watch::Sender<Option<f32>>,
    left_out: LeftOut,
    done: mpsc::UnboundedSender<Finished>,
    going_live: tokio::sync::Mutex<()>,
    /// The program's own runtime: what is started here outlives the request that asked for it.
    runtime: Handle,
}

impl Studio {
    /// Starts looking for devices. Nothing else runs until somebody asks. `base_ns` is `CLOCK_MONOTONIC` at running time zero.
    pub async fn start(config: Config, library: Library, base_ns: u64, stop: CancellationToken) -> Studio {
        let left_out = LeftOut::new(calibration::left_out(&library).await);
        let (done, finished) = mpsc::unbounded_channel();
        let studio = Studio(Arc::new(Inner {
            config,
            library,
            base_ns,
            programs: Mutex::default(),
            begun: watch::Sender::default(),
            publishers: watch::Sender::default(),
            devices: watch::Sender::default(),
            on_air: watch::Sender::default(),
            lately: Mutex::default(),
            resting: Mutex::default(),
            encoder_speed: watch::Sender::default(),
            left_out,
            done,
            going_live: tokio::sync::Mutex::default(),
            runtime: Handle::current(),
        }));
        tokio::spawn(stop.clone().run_until_cancelled_owned(calibration::calibrate(studio.clone())));
        tokio::spawn(stop.clone().run_until_cancelled_owned(calibration::remember(studio.clone())));
        tokio::spawn(studio.clone().watch_devices(stop));
        tokio::spawn(studio.clone().forget_finished(finished));
        studio
    }

    pub fn sources(&self) -> Vec<Source> {
        let mut sources = source::cameras(&self.0.devices.borrow(), self.wanted());
        sources.extend(self.0.publishers.borrow().iter().map(|(id, label)| source::publisher(id, label)));
        if self.0.config.test_source {
            sources.push(source::test_pattern());
        }
        sources
    }

    /// Encoders that no worker tries, and changes of them.
    pub(super) fn left_out(&self) -> watch::Receiver<BTreeSet<String>> {
        self.0.left_out.subscribe()
    }

    pub(super) fn library(&self) -> &Library {
        &self.0.library
    }

    /// Frames of 1280x720 a second; what begins from now on is planned by it.
    pub(super) fn set_encoder_speed(&self, frames_per_second: f32) {
        self.0.encoder_speed.send_replace(Some(frames_per_second));
    }

    /// Whether any source is looked at or on air.
    pub(super) fn runs_anything(&self) -> bool {
        self.programs().values().any(|program| !program.is_over())
    }

    /// Whether there is such a source now.
    pub fn has(&self, source_id: &str) -> bool {
        self.sources().iter().any(|source| source.id == source_id)
    }

    /// What is made of a camera's picture.
    fn wanted(&self) -> Wanted {
        let config = &self.0.config;
        Wanted { width: config.video_width(), height: config.video_height, frame_rate: config.frame_rate }
    }

    /// Bits per second that a broadcast is likely to need.
    pub fn planned_bitrate(&self) -> u64 {
        rungs::planned_bitrate(&self.0.config)
    }

    /// What is on air; the receiver learns of changes.
    pub fn on_air(&self) -> watch::Receiver<OnAir> {
        self.0.on_air.subscribe()
    }

    /// A broadcast that is on air.
    pub fn live(&self, id: &str) -> Option<Arc<Live>> {
        self.0.on_air.borrow().get(id).cloned()
    }

    /// A broadcast that has just ended: its parts stay for those who saw them listed (RFC 8216bis 6.2.2).
    pub fn lately(&self, id: &str) -> Option<Arc<Live>> {
        lock(&self.0.lately).get(id).cloned()
    }

    /// A broadcast whose media is in memory: on air, or so lately over that what was not recorded is still there.
    pub fn in_memory(&self, id: &str) -> Option<Arc<Live>> {
        self.live(id).or_else(|| self.lately(id).filter(|ended| ended.recorder.is_none()))
    }

    /// The running program of a source, started if need be. For previews.
    pub fn preview(&self, source_id: &str, asked: Asked<'_>) -> Result<Arc<Program>, StudioError> {
        let program = self.program(source_id, asked)?;
        program.look();
        Ok(program)
    }

    /// Puts a source on air. A second press of the button by the same account gives the same broadcast.
    pub async fn go_live(&self, new: NewBroadcast) -> Result<Arc<Live>, StudioError> {
        // On the program's own runtime: a request that is dropped half-way must not leave a row without a broadcast.
        let studio = self.clone();
        let going = self.0.runtime.spawn(async move { studio.go_live_alone(new).await });
        going.await.map_err(std::io::Error::other)?
    }

    /// One at a time, so that two presses at once find each other.
    async fn go_live_alone(&self, new: NewBroadcast) -> Result<Arc<Live>, StudioError> {
        let _alone = self.0.going_live.lock().await;
        if let Some(live) = self.on_air_from(&new.source_id) {
            return self.same_press(live, &new).await;
        }
        let asked = Asked { microphone: new.microphone.as_deref(), content: Some(new.content) };
        let program = self.program(&new.source_id, asked)?;
        let recorded = self.has_room().await;
        if !recorded && new.recording == Wish::Required {
            return Err(StudioError::NoRoom);
        }
        let row = Broadcast { recorded, ..self.row(&new, self.epoch_us()) };
        self.0.library.insert(row.clone()).await?;
        let timeline = Timeline {
            ladder: Ladder::new(row.epoch_us, keep(recorded), program::leader(&program.task)),
            since_ns: clock::monotonic_ns() as i64,
            base_ns: row.base_ns,
        };
        tracing::info!(broadcast = row.id, source = new.source_id, recorded, "going live");
        self.put_on_air(&row, program, timeline, State::Starting)
    }

    fn put_on_air(
        &self,
        row: &Broadcast,
        program: Arc<Program>,
        timeline: Timeline,
        state: State,
    ) -> Result<Arc<Live>, StudioError> {
        let recorder = if row.recorded { Some(self.0.library.recorder(row)?) } else { None };
        let beginning = Beginning {
            id: row.id.clone(),
            program,
            recorder,
            library: self.0.library.clone(),
            ladder: timeline.ladder,
            state,
            since_ns: timeline.since_ns,
            base_ns: timeline.base_ns,
            offset: clock::ns_to_ticks((self.0.base_ns as i64 - timeline.base_ns).max(0) as u64),
            grace: Duration::from_secs(u64::from(self.0.config.rtmp_grace_s)),
        };
        let live = actor::start(&self.0.runtime, beginning, self.0.done.clone());
        self.0.on_air.send_modify(|on_air| {
            Arc::make_mut(on_air).insert(row.id.clone(), live.clone());
        });
        Ok(live)
    }

    /// Goes on with what was on air when the program ended without closing it: at once, or a moment later with a camera, which
    /// need not be there.
    pub fn resume(&self, interrupted: Vec<Interrupted>) {
        for interrupted in interrupted {
            if interrupted.broadcast.source_kind == SourceKind::Camera {
                tokio::spawn(self.clone().resume_camera(interrupted));
            } else {
                self.resume_now(interrupted);
            }
        }
    }

    /// Devices are told a moment after the start.
    async fn resume_camera(self, interrupted: Interrupted) {
        let mut devices = self.0.devices.subscribe();
        let id = &interrupted.broadcast.source;
        let there = |devices: &Vec<Device>| devices.iter().any(|device| device.source_id() == *id);
        // Without it the slate is on air, until its worker has found it.
        let _ = tokio::time::timeout(CAMERA_WITHIN, devices.wait_for(there)).await;
        self.resume_now(interrupted);
    }

    fn resume_now(&self, interrupted: Interrupted) {
        let (id, source_id) = (interrupted.broadcast.id.clone(), interrupted.broadcast.source.clone());
        let free = self.on_air_from(&source_id).is_none();
        let program = match interrupted.broadcast.source_kind {
            SourceKind::Rtmp => Ok(self.run(&source_id, self.publisher_task())),
            SourceKind::Camera => Ok(self.camera_program(&interrupted.broadcast)),
            // What was read in is no source.
            SourceKind::Test | SourceKind::File => self.program(&source_id, asked_of(&interrupted.broadcast)),
        };
        let Some(program) = program.ok().filter(|_| free) else {
            tracing::warn!(broadcast = id, source = source_id, "its source is not there any more");
            return self.give_up(interrupted);
        };
        let Interrupted { broadcast, base_ns, .. } = &interrupted;
        let began_us = broadcast.started_at.map_or(0, |at| at * 1000 - broadcast.epoch_us);
        let ladder = Ladder::new(broadcast.epoch_us, keep(broadcast.recorded), program::leader(&program.task));
        let timeline = Timeline {
            ladder: ladder.resume(interrupted.before()),
            since_ns: base_ns + began_us * 1000,
            base_ns: *base_ns,
        };
        let state = if broadcast.source_kind == SourceKind::Rtmp { State::Waiting } else { State::Live };
        match self.put_on_air(broadcast, program, timeline, state) {
            Ok(live) => {
                tracing::info!(broadcast = id, source = source_id, "on air again");
                if let (State::Waiting, Some(init)) = (state, interrupted.newest_init()) {
                    live.program.stand_in(init.clone());
                }
            }
            Err(error) => {
                tracing::error!(%error, broadcast = id, "it cannot go on air again");
                self.give_up(interrupted);
            }
        }
    }

    fn give_up(&self, interrupted: Interrupted) {
        let library = self.0.library.clone();
        tokio::spawn(async move {
            if let Err(error) = library.give_up(interrupted).await {
                tracing::error!(%error, "an interrupted broadcast cannot be closed; the next start will");
            }
        });
    }

    /// Whether a broadcast can be recorded for a while, if need be after what may go is gone.
    async fn has_room(&self) -> bool {
        let enough = || self.0.library.room().is_ok_and(|room| room.fault().is_none() && room.short_by() == 0);
        if !enough()
            && let Err(error) = self.0.library.retain().await
        {
            tracing::error!(%error, "no room can be made");
        }
        enough()
    }

    /// Ends everything that is on air and stops all programs: the program's shutdown.
    pub async fn close(&self) {
        let on_air = self.0.on_air.borrow().clone();
        futures_util::future::join_all(on_air.values().map(|live| live.end())).await;
        for program in self.programs().values() {
            program.stop();
        }
    }

    /// A publisher with a good key is here; none if one with the same key is here already. It counts as connected until
    /// the guard is dropped.
    pub fn publisher_arrives(&self, key_id: &str, label: &str) -> Option<Connected> {
        let source_id = source::publisher_source_id(key_id);
        let fresh = self.0.publishers.send_if_modified(|publishers| {
            let fresh = !publishers.contains_key(&source_id);
            publishers.entry(source_id.clone()).or_insert_with(|| label.to_owned());
            fresh
        });
        fresh.then(|| Connected { studio: self.clone(), source_id })
    }

    /// The publisher's tags feed its source's program.
    pub async fn publisher_feeds(&self, key_id: &str, tags: mpsc::Receiver<FlvTag>) {
        let source_id = source::publisher_source_id(key_id);
        let program = self.run(&source_id, self.publisher_task());
        program.publish(tags).await;
    }

    fn publisher_task(&self) -> Task {
        Task::Publisher { part_ms: self.0.config.part_ms, not_before: 0 }
    }

    /// A person has just ended what this key put on air: for a while it waits in the studio as a source.
    pub fn rest(&self, key_id: &str) {
        lock(&self.0.resting).insert(key_id.to_owned(), clock::monotonic_ns());
    }

    pub fn rests(&self, key_id: &str) -> bool {
        let mut resting = lock(&self.0.resting);
        resting.retain(|_, since| clock::monotonic_ns().saturating_sub(*since) < REST.as_nanos() as u64);
        resting.contains_key(key_id)
    }

    /// The broadcast on air from a source.
    pub fn on_air_from(&self, source_id: &str) -> Option<Arc<Live>> {
        self.0.on_air.borrow().values().find(|live| live.source_id == source_id && !live.is_ending()).cloned()
    }

    async fn same_press(&self, live: Arc<Live>, new: &NewBroadcast) -> Result<Arc<Live>, StudioError> {
        let row = self.0.library.broadcast(&live.id).await?;
        match row {
            Some(row) if row.account_id.is_some() && row.account_id == new.account_id => Ok(live),
            _ => Err(StudioError::SourceOnAir { broadcast_id: live.id.clone() }),
        }
    }

    fn program(&self, source_id: &str, asked: Asked<'_>) -> Result<Arc<Program>, StudioError> {
        let Asked { microphone, content } = asked;
        let running = self.running(source_id);
        if let Some(program) = &running
            && (program.is_in_use() || source::is_publisher(&program.task) || (microphone, content) == (None, None))
        {
            return Ok(program.clone());
        }
        let devices = self.0.devices.borrow().clone();
        let known = source_id != source::TEST || self.0.config.test_source;
        if !known {
            return Err(Absent::Source.into());
        }
        let (video, mut audio) = source::inputs(source_id, microphone, &devices, self.wanted())?;
        let mut content = content;
        if let Some(Task::Capture(now)) = running.as_ref().map(|program| &program.task) {
            content = content.or(Some(now.content));
            if microphone.is_none() {
                audio = now.audio.clone();
            }
        }
        Ok(self.run(source_id, self.capture_task((video, audio), content.unwrap_or_default())))
    }

    /// A camera's program, also while it or its microphone is not there.
    fn camera_program(&self, broadcast: &Broadcast) -> Arc<Program> {
        let (source_id, microphone) = (&broadcast.source, broadcast.microphone.as_deref());
        self.program(source_id, asked_of(broadcast)).unwrap_or_else(|_| {
            let inputs = source::absent_inputs(source_id, microphone, &self.0.devices.borrow());
            self.run(source_id, self.capture_task(inputs, broadcast.content))
        })
    }

    fn capture_task(&self, (video, audio): (VideoInput, AudioInput), content: Content) -> Task {
        let (config, speed) = (&self.0.config, *self.0.encoder_speed.borrow());
        Task::Capture(Capture {
            video,
            audio,
            content,
            rungs: rungs::carried(rungs::planned(config), content, config.frame_rate, speed),
            frame_rate: rungs::frame_rate(content, config.frame_rate),
            part_ms: config.part_ms,
        })
    }

    /// Learns of each program that begins.
    pub fn begun(&self) -> watch::Receiver<()> {
        self.0.begun.subscribe()
    }

    /// The program of a source that runs now.
    pub fn running(&self, source_id: &str) -> Option<Arc<Program>> {
        self.programs().get(source_id).filter(|program| !program.is_over()).cloned()
    }

    /// The program that does `task`; one that did something else for this source is stopped.
    fn run(&self, source_id: &str, task: Task) -> Arc<Program> {
        let mut programs = self.programs();
        if let Some(program) = programs.get(source_id).filter(|program| !program.is_over()) {
            if program.task == task {
                return program.clone();
            }
            program.stop();
        }
        programs.retain(|_, program| !program.is_over());
        let program = Program::start(
            &self.0.runtime,
            source_id.to_owned(),
            task,
            (self.0.base_ns, self.epoch_us()),
            self.0.left_out.clone(),
        );
        programs.insert(source_id.to_owned(), program.clone());
        self.0.begun.send_replace(());
        program
    }

    fn programs(&self) -> std::sync::MutexGuard<'_, HashMap<String, Arc<Program>>> {
        lock(&self.0.programs)
    }

    /// Wall clock of running time zero, microseconds, by what the wall clock says now.
    fn epoch_us(&self) -> i64 {
        let running_us = clock::monotonic_ns().saturating_sub(self.0.base_ns) / 1000;
        clock::wall_ms() * 1000 - running_us as i64
    }

    fn row(&self, new: &NewBroadcast, epoch_us: i64) -> Broadcast {
        let now = clock::wall_ms();
        Broadcast {
            description: new.description.clone(),
            audience: new.audience,
            pin: (new.audience == Audience::Pin).then(ids::pin),
            state: BroadcastState::Starting,
            source: new.source_id.clone(),
            source_kind: match new.source_id.split_once('-').map_or("test", |(kind, _)| kind) {
                "cam" => SourceKind::Camera,
                "rtmp" => SourceKind::Rtmp,
                _ => SourceKind::Test,
            },
            account_id: new.account_id.clone(),
            stream_key_id: new.stream_key_id.clone(),
            created_at: now,
            started_at: Some(now),
            boot_id: Some(clock::boot().to_owned()),
            base_ns: self.0.base_ns as i64,
            microphone: new.microphone.clone(),
            content: new.content,
            ..Broadcast::bare(&ids::public_id(), &new.title, epoch_us)
        }
    }

    async fn watch_devices(self, stop: CancellationToken) {
        let (events, mut happenings) = mpsc::channel(16);
        let (_commands, receiver) = mpsc::channel(1);
        let supervision = Supervision {
            base_ns: self.0.base_ns,
            left_out: self.0.left_out.clone(),
            task: Task::Devices,
            parts_due: None,
        };
        tokio::spawn(supervise(supervision, receiver, events, stop));
        while let Some(event) = happenings.recv().await {
            if let Event::Message(FromWorker::Devices(devices)) = event {
                tracing::info!(count = devices.len(), "cameras and microphones");
                self.0.devices.send_replace(devices);
            }
        }
    }

    async fn forget_finished(self, mut finished: mpsc::UnboundedReceiver<Finished>) {
        while let Some(Finished { id, ends }) = finished.recv().await {
            let mut ended = None;
            self.0.on_air.send_modify(|on_air| ended = Arc::make_mut(on_air).remove(&id));
            let Some(ended) = ended else { continue };
            lock(&self.0.lately).insert(id.clone(), ended);
            for end in ends {
                // Whoever waited may have gone.
                let _ = end.send(());
            }
            let studio = self.clone();
            tokio::spawn(async move {
                tokio::time::sleep(PARTS_STAY).await;
                lock(&studio.0.lately).remove(&id);
            });
        }
    }
}

/// What an interrupted broadcast was begun with.
fn asked_of(broadcast: &Broadcast) -> Asked<'_> {
    Asked { microphone: broadcast.microphone.as_deref(), content: Some(broadcast.content) }
}

/// What is not recorded cannot be rewound to the beginning.
fn keep(recorded: bool) -> Option<usize> {
    (!recorded).then_some(UNRECORDED_SEGMENTS)
}

/// How a broadcast's own time lies on the clock.
struct Timeline {
    ladder: Ladder,
    /// Monotonic nanoseconds of *Go live*.
    since_ns: i64,
    /// Monotonic nanoseconds of its tick 0.
    base_ns: i64,
}

/// A map that was changed half-way by a panic is still a map.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A publisher is connected as long as this lives.
pub struct Connected {
    studio: Studio,
    source_id: String,
}

impl Drop for Connected {
    fn drop(&mut self) {
        self.studio.0.publishers.send_modify(|publishers| {
            publishers.remove(&self.source_id);
        });
    }
}
