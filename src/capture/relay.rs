//! Puts on air what a source has encoded itself, and the slate in its place while it brings no picture: one timeline, handed
//! over with the fragmenter. The source may go and come back, as another, with other media.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use super::ear::{Ear, Sounds};
use super::encoder::{self, Target};
use super::frame_clock::{FrameClock, Pictures};
use super::link::Outbox;
use super::monitor::Monitor;
use super::program::{Plan, Program, Sound};
use super::slots::Slots;
use super::snapshot::Snapshots;
use super::still::Slate;
use super::{Counters, MediaTime};
use crate::base::clock;
use crate::base::terms::Content;
use crate::media::fragment::{Fragmenter, Tracks};
use crate::media::passthrough::{Event, Passthrough};
use crate::media::protocol::{ErrorCode, FromWorker, Init, SourceState};
use crate::media::rungs::Rung;

const TICK: Duration = Duration::from_millis(50);
/// A picture that stands still for this long is lost, ns; or for three frames of a slow source.
const STILL: u64 = 700_000_000;
/// A camera may take this long to open before the slate is shown, ns.
const OPENING: u64 = 2_000_000_000;
/// Where a publisher's worker was lost, the next keyframe is waited for until it has been dark for this long, ns: many send one each
/// second, some in ten.
const DARK: u64 = 1_600_000_000;
/// Fastest rate of the slate: nothing moves in it.
const SLATE_RATE: u32 = 30;
/// Video bit rate of the slate, kbit/s.
const SLATE_KBPS: u32 = 800;

/// A source and its slate.
pub struct Relay {
    line: Mutex<Line>,
    outbox: Outbox,
    counters: Arc<Counters>,
}

/// What is on air, and what can be.
struct Line {
    passthrough: Passthrough,
    monitor: Monitor,
    maker: Maker,
    time: MediaTime,
    /// Media ended here before this worker began, ticks.
    not_before: u64,
    /// A publisher is connected.
    here: bool,
    /// The source is a camera.
    camera: bool,
    /// Whoever does not begin by then is lost, ns: a camera, or a publisher that was on air already.
    due: Option<u64>,
    /// What was told last.
    state: SourceState,
    /// Frames passed through and dropped so far.
    counted: (u64, u64),
    /// When the last one was passed through, ns.
    progress: u64,
    standby: Option<Standby>,
    /// The sound is there, where somebody tells.
    sound: bool,
    instead: Option<Instead>,
}

/// All that takes time to prepare of a slate.
struct Standby {
    target: Target,
    sound: Option<Sound>,
    /// What is shown and heard, for as long as it gives anything.
    inputs: Option<Inputs>,
    slate: Slate,
    /// Chosen once.
    encoder: Encoder,
    program: Ready,
}

/// Which encoder this machine has, or why none.
type Encoder = Arc<OnceLock<Result<String, String>>>;

/// An encoder that has encoded the slate once, so that only its going on air is left to do; or why there is none.
type Ready = Arc<LazyLock<Result<Arc<Program>, String>, Box<dyn FnOnce() -> Result<Arc<Program>, String> + Send>>>;

/// What a camera gives besides its own H.264.
#[derive(Clone)]
pub struct Inputs {
    pub pictures: Arc<Slots>,
    pub sounds: Sounds,
}

/// What is on air instead of the source.
enum Instead {
    Slate {
        program: Arc<Program>,
        stop: Arc<AtomicBool>,
        clock: JoinHandle<()>,
    },
    /// Nothing, since no slate can be made.
    Hole(Option<Box<Fragmenter>>),
}

impl Relay {
    /// Waits for what a publisher sends. No part begins before `not_before`, ticks.
    pub fn publisher(part_ms: u32, not_before: u64, time: MediaTime, outbox: &Outbox) -> Arc<Self> {
        let maker = Maker { part_ms, outbox: outbox.clone(), counters: Arc::default() };
        Self::start(maker, not_before, None, time)
    }

    /// Waits for what a camera encodes. Until then, and while it is away, `inputs` and else the slate are encoded for
    /// `target`.
    pub fn camera(part_ms: u32, target: Target, inputs: Inputs, time: MediaTime, outbox: &Outbox) -> Arc<Self> {
        let counters = Arc::new(Counters::default());
        let maker = Maker { part_ms, outbox: outbox.clone(), counters: Arc::clone(&counters) };
        let standby = Standby::prepare(target, Some(Sound::default()), Some(inputs), &maker);
        Self::start(maker, 0, Some(standby), time)
    }

    fn start(maker: Maker, not_before: u64, standby: Option<Standby>, time: MediaTime) -> Arc<Self> {
        let Maker { part_ms, outbox, counters } = maker.clone();
        outbox.send(FromWorker::State(SourceState::Starting));
        counters.report(&outbox);
        let line = Line {
            passthrough: Passthrough::new(part_ms),
            monitor: Monitor::start(&outbox),
            maker,
            time,
            not_before,
            here: standby.is_none(),
            camera: standby.is_some(),
            due: standby.is_some().then(|| time.now_ns() + OPENING),
            sound: true,
            state: SourceState::Starting,
            counted: (0, 0),
            progress: 0,
            standby,
            instead: None,
        };
        let relay = Arc::new(Self { line: Mutex::new(line), outbox, counters });
        let ticking = Arc::clone(&relay);
        std::thread::spawn(move || {
            loop {
                std::thread::sleep(TICK);
                ticking.tick();
            }
        });
        relay
    }

    /// Lets `take` give the source's next media, of so many bytes, at the running time that it is told (90 kHz ticks).
    pub fn feed(&self, bytes: usize, take: impl FnOnce(&mut Passthrough, u64) -> Vec<Event>) {
        self.counters.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        let mut line = self.lock();
        let now = line.now();
        let events = take(&mut line.passthrough, now);
        self.follow(&mut line, events, now);
    }

    /// The source is gone; what comes next is another's.
    pub fn gone(&self) {
        let mut line = self.lock();
        self.stand_in(&mut line, SourceState::PublisherGone);
        line.passthrough.forget();
        line.here = false;
    }

    /// What was on air of the publisher before this worker began, until `end` (ticks), is known by its init. If it is away, the
    /// slate is shown at once.
    pub fn stand_in_for(&self, init: &Init, end: u64, away: bool) {
        if let Some(tracks) = Tracks::of(init) {
            let mut line = self.lock();
            line.passthrough.expect(&tracks);
            let standby = Standby::prepare(slate_target(&tracks), slate_sound(&tracks), None, &line.maker);
            line.standby = Some(standby);
            line.due = Some(clock::ticks_to_ns(end) + DARK);
        }
        if away {
            self.gone();
        }
    }

    /// A publisher is there.
    pub fn here(&self) {
        self.lock().here = true;
    }

    /// The camera is gone.
    pub fn lost(&self) {
        let mut line = self.lock();
        if line.instead.is_some() {
            line.passthrough.leave(); // what it had gathered to come back with
        } else if line.passthrough.tracks().is_some() {
            self.stand_in(&mut line, SourceState::VideoLost);
        }
    }

    /// Makes the next frame a keyframe where that is in our hands.
    pub fn keyframe(&self) {
        if let Some(Instead::Slate { program, .. }) = &self.lock().instead {
            program.keyframe();
        }
    }

    /// Whether sound that was encoded beside the picture is of use.
    pub fn wants_sound(&self) -> bool {
        self.lock().instead.is_none()
    }

    /// Whether there is any sound, for as long as the source is on air.
    pub fn tell_sound(&self, there: bool) {
        let mut line = self.lock();
        line.sound = there;
        if matches!(line.state, SourceState::Running | SourceState::AudioLost) && line.instead.is_none() {
            let state = line.running();
            self.tell(&mut line, state);
        }
    }

    /// Sends what is left.
    pub fn stop(&self) {
        let mut line = self.lock();
        line.here = false;
        match line.instead.take() {
            Some(instead) => drop(instead.end()),
            None => drop(self.take_off(&mut line)),
        }
    }

    fn tick(&self) {
        let mut line = self.lock();
        let now = line.now();
        let events = if line.here { line.passthrough.tick(now) } else { Vec::new() };
        self.follow(&mut line, events, now);
    }

    /// Passes on what has come, and changes what is on air if the source's picture has stopped or is there again.
    fn follow(&self, line: &mut Line, events: Vec<Event>, now: u64) {
        self.handle(line, events);
        let clock = line.time.now_ns();
        if line.count(&self.counters) {
            line.progress = clock;
        }
        if line.instead.is_some() {
            if line.passthrough.is_ready(now) {
                self.come_back(line);
            }
        } else if let Some(frame) = line.passthrough.frame_ticks() {
            let patience = STILL.max(u64::from(frame) * 3 * 1_000_000 / 90);
            if clock.saturating_sub(line.progress) > patience {
                self.stand_in(line, line.still());
            }
        } else if line.due.is_some_and(|due| clock > due) {
            self.stand_in(line, line.still());
        }
    }

    fn handle(&self, line: &mut Line, events: Vec<Event>) {
        for event in events {
            match event {
                Event::Init(init) => {
                    line.prepare();
                    let state = line.running();
                    self.tell(line, state);
                    self.outbox.send(FromWorker::Init(init));
                }
                Event::Part(cut) => self.outbox.part(cut),
                Event::Key(config, data) => line.monitor.look(config, data),
                Event::Sound(config, data) if line.here && line.instead.is_none() => line.monitor.listen(config, data),
                Event::Sound(..) => {}
                Event::Fatal(code, message) => self.outbox.fatal(code, message),
            }
        }
    }

    /// The source's picture is lost: the slate goes on air, unless there never was a picture of a publisher to stand in for.
    fn stand_in(&self, line: &mut Line, state: SourceState) {
        if line.instead.is_none() && line.standby.is_some() {
            // Made first: what takes its time shall not be part of the hole.
            let program = line.program();
            let fragmenter = self.take_off(line);
            line.instead = Some(match program {
                Ok(program) => line.show(program, fragmenter),
                Err(reason) => {
                    tracing::error!(reason, "there is no slate");
                    Instead::Hole(fragmenter.map(Box::new))
                }
            });
        }
        self.tell(line, state);
    }

    fn come_back(&self, line: &mut Line) {
        let fragmenter = line.instead.take().and_then(Instead::end);
        let Line { standby, maker, .. } = line;
        if let Some(standby) = standby {
            standby.prepare_again(maker);
        }
        line.progress = line.time.now_ns();
        let events = line.passthrough.begin(fragmenter);
        self.handle(line, events);
    }

    /// Takes the source off the air, with all that it has given; none if it was not on.
    fn take_off(&self, line: &mut Line) -> Option<Fragmenter> {
        let (last, fragmenter) = line.passthrough.leave();
        if let Some(cut) = last {
            self.outbox.part(cut);
        }
        fragmenter
    }

    fn tell(&self, line: &mut Line, state: SourceState) {
        if std::mem::replace(&mut line.state, state) != state {
            tracing::info!(?state, "source");
            self.outbox.send(FromWorker::State(state));
        }
    }

    /// [`Passthrough`] does not panic; if it did, its parts would still be whole.
    fn lock(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Line {
    /// Running time, ticks.
    fn now(&self) -> u64 {
        clock::ns_to_ticks(self.time.now_ns()).max(self.not_before)
    }

    /// How a source is that is on air.
    fn running(&self) -> SourceState {
        if self.sound { SourceState::Running } else { SourceState::AudioLost }
    }

    /// How a source is whose picture has stopped, or does not begin.
    fn still(&self) -> SourceState {
        if self.camera { SourceState::VideoLost } else { SourceState::PublisherStill }
    }

    /// Counts what was passed through and dropped since the last call; whether anything was passed through.
    fn count(&mut self, counters: &Counters) -> bool {
        let (frames, dropped) = (self.passthrough.frames(), self.passthrough.dropped());
        let before = std::mem::replace(&mut self.counted, (frames, dropped));
        counters.frames.fetch_add(frames - before.0, Ordering::Relaxed);
        counters.dropped.fetch_add(dropped - before.1, Ordering::Relaxed);
        frames > before.0
    }

    /// Prepares the slate that fits what is on air.
    fn prepare(&mut self) {
        let Some(tracks) = self.passthrough.tracks().filter(|_| !self.camera) else { return };
        let (target, sound) = (slate_target(tracks), slate_sound(tracks));
        if self.standby.as_ref().is_none_or(|known| known.target != target || known.sound != sound) {
            self.standby = Some(Standby::prepare(target, sound, None, &self.maker));
        }
    }

    /// The slate's encoder.
    fn program(&self) -> Result<Arc<Program>, String> {
        let standby = self.standby.as_ref().ok_or("there was no picture yet")?;
        LazyLock::force(&standby.program).clone()
    }

    /// Shows the slate from where `fragmenter` ends, which may lie ahead of the clock.
    fn show(&mut self, program: Arc<Program>, fragmenter: Option<Fragmenter>) -> Instead {
        let Some(standby) = &self.standby else { return Instead::Hole(fragmenter.map(Box::new)) };
        if let Some(fragmenter) = &fragmenter {
            let ahead = fragmenter.edge().unwrap_or(0).saturating_sub(clock::ns_to_ticks(self.time.now_ns()));
            self.time.ahead_ns += ahead * 1_000_000 / 90;
        }
        if let Err(reason) = program.go_on_air(fragmenter) {
            self.maker.outbox.fatal(ErrorCode::Pipeline, reason);
        }
        standby.show(program, self.time, &self.maker.outbox)
    }
}

/// What it takes to make an encoder.
#[derive(Clone)]
struct Maker {
    part_ms: u32,
    outbox: Outbox,
    counters: Arc<Counters>,
}

impl Standby {
    /// Begins to draw the slate and to get its encoder ready.
    fn prepare(target: Target, sound: Option<Sound>, inputs: Option<Inputs>, maker: &Maker) -> Self {
        let (slate, encoder) = (Slate::start(target), Arc::default());
        let program = Self::ready(target, sound, &slate, &encoder, maker);
        Self { target, sound, inputs, slate, encoder, program }
    }

    /// Gets another encoder ready, for the next time.
    fn prepare_again(&mut self, maker: &Maker) {
        self.program = Self::ready(self.target, self.sound, &self.slate, &self.encoder, maker);
    }

    fn ready(target: Target, sound: Option<Sound>, slate: &Slate, encoder: &Encoder, maker: &Maker) -> Ready {
        let (slate, encoder, maker) = (slate.clone(), Arc::clone(encoder), maker.clone());
        let ready: Ready = Arc::new(LazyLock::new(Box::new(move || {
            let Maker { part_ms, outbox, counters } = maker;
            let encoder = encoder.get_or_init(|| encoder::choose(target, &outbox)).as_deref().map_err(String::clone)?;
            let Target { width, height, frame_rate, kbps, content } = target;
            let rungs = &[Rung { width, height, kbps }];
            let plan = Plan { encoder, content, width, height, frame_rate, rungs, sound, part_ms };
            Ok(Arc::new(Program::stand_by(plan, slate.picture(), &outbox, &counters)?))
        })));
        let begun = Arc::clone(&ready);
        std::thread::spawn(move || LazyLock::force(&begun).is_ok());
        ready
    }

    /// Shows what there is, and else the slate.
    fn show(&self, program: Arc<Program>, time: MediaTime, outbox: &Outbox) -> Instead {
        let inputs = self.inputs.clone();
        let snapshots = inputs.as_ref().and_then(|_| Snapshots::start(self.target, outbox).ok());
        let (pictures, sounds) = match inputs {
            Some(Inputs { pictures, sounds }) => (Pictures::Camera(pictures), sounds),
            None => (Pictures::None, Sounds::Silence),
        };
        let frame_clock = FrameClock {
            program: Arc::clone(&program),
            time,
            target: self.target,
            pictures,
            ear: Ear::new(sounds, outbox),
            slate: self.slate.clone(),
            snapshots,
            outbox: outbox.clone(),
        };
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let clock = std::thread::spawn(move || frame_clock.run(&stopped));
        Instead::Slate { program, stop, clock }
    }
}

impl Instead {
    /// Ends it, and gives the timeline.
    fn end(self) -> Option<Fragmenter> {
        match self {
            Self::Hole(fragmenter) => fragmenter.map(|fragmenter| *fragmenter),
            Self::Slate { program, stop, clock } => {
                stop.store(true, Ordering::Relaxed);
                clock.join().ok();
                program.stop()
            }
        }
    }
}

/// A slate of the size of what it stands in for.
fn slate_target(tracks: &Tracks) -> Target {
    let rate = match tracks.frame_rate_milli {
        0 => SLATE_RATE,
        milli => ((milli + 500) / 1000).clamp(10, SLATE_RATE),
    };
    Target {
        width: tracks.video.width & !1,
        height: tracks.video.height & !1,
        frame_rate: rate,
        kbps: SLATE_KBPS,
        content: Content::Talk,
    }
}

/// Silence like the sound that it stands in for: players take another rate or a new track badly.
fn slate_sound(tracks: &Tracks) -> Option<Sound> {
    tracks.audio.as_ref().map(|audio| Sound { rate: audio.rate, channels: audio.channels.min(2) })
}
