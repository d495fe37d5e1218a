//! Reads in one file, as fast as it goes: what is H.264 and AAC already is passed on, everything else is decoded and encoded. The
//! worker that does this is shut in (`worker::sandbox`), since the file may come from anybody.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use bytes::Bytes;
use gst::prelude::*;

use super::link::Outbox;
use super::program::{codec_data, copy_of};
use crate::base::clock::TIMESCALE;
use crate::media::collate::{self, CollateError, Collator, LONGEST, Output};
use crate::media::fit::Shape;
use crate::media::protocol::{ErrorCode, FromWorker, MAX_FRAME};
use crate::media::tone::{Tone, Transfer};

/// The file: the worker's standard output.
const FILE: &str = "/proc/self/fd/1";
/// How often the bus is looked at for how long the file is.
const LOOK: gst::ClockTime = gst::ClockTime::from_mseconds(200);
/// How long the still picture may take.
const PATIENCE: gst::ClockTime = gst::ClockTime::from_seconds(20);
/// In front of each stream, so that one does not wait for the other.
const QUEUE: &str = "queue name=in max-size-time=3000000000 max-size-bytes=67108864 max-size-buffers=0";
/// From H.264 of any form to access units.
const TO_ACCESS_UNITS: &str =
    "h264parse ! video/x-h264,stream-format=avc,alignment=au ! appsink name=out sync=false async=false";
/// Samples that an AAC encoder puts before the first real one, at 48 kHz, in ticks.
const PRIMING: i64 = 1024 * TIMESCALE as i64 / 48_000;
/// No part may be larger than fits into a message. Bytes.
const LARGEST: usize = MAX_FRAME - (1 << 20);

/// Why a file cannot be read in, with a sentence for the log.
type Failure = (ErrorCode, String);

/// Gets ready what cannot be had any more once the worker is shut in: plugins are looked up, and none that needs a device is taken.
///
/// # Errors
/// A sentence, if GStreamer does not start.
pub fn prepare() -> Result<(), String> {
    gst::init().map_err(|error| error.to_string())?;
    let decoders = gst::ElementFactory::factories_with_type(gst::ElementFactoryType::DECODER, gst::Rank::MARGINAL);
    for factory in decoders {
        let class = factory.metadata("klass").unwrap_or_default();
        if class.contains("Hardware") || factory.name().ends_with("alphadecodebin") {
            factory.set_rank(gst::Rank::NONE);
        }
    }
    Ok(())
}

/// Reads the file in and tells the parent all that comes of it.
pub fn run(encode: bool, from: u64, outbox: &Outbox) -> ! {
    let reader =
        Arc::new(Reader { collator: Mutex::new(Collator::new(!encode)), encode, from, outbox: outbox.clone() });
    let read = reader.read();
    outbox.drain();
    match read {
        Ok(()) => {
            outbox.send(FromWorker::Ended);
            outbox.drain();
            std::process::exit(0)
        }
        Err((code, reason)) => outbox.fatal(code, reason),
    }
}

struct Reader {
    collator: Mutex<Collator>,
    /// Nothing is passed on.
    encode: bool,
    /// Parts that begin before are there already, ticks.
    from: u64,
    outbox: Outbox,
}

/// What the streams' threads find, told to the one that waits on the bus.
#[derive(Default)]
struct Found {
    picture: bool,
    sound: bool,
    locked: bool,
    /// The first frame has come. Before it all streams were told of, but in a file of one kind.
    begun: bool,
    /// Streams may turn up as long as one of both kinds is missing.
    trickles: bool,
    /// No other stream comes.
    known: bool,
    picture_over: bool,
    sound_over: bool,
    failure: Option<Failure>,
}

impl Found {
    /// Nothing follows of what is read.
    fn is_over(&self) -> bool {
        self.begun && (self.picture_over || !self.picture) && (self.sound_over || !self.sound)
    }
}

type Shared = Arc<Mutex<Found>>;

/// What one stream gives.
#[derive(Clone, Copy)]
enum Stream {
    Picture,
    /// Placed so many ticks earlier than it says.
    Sound(i64),
}

impl Reader {
    fn read(self: &Arc<Self>) -> Result<(), Failure> {
        let pipeline = gst::Pipeline::new();
        let found = Shared::default();
        self.build(&pipeline, &found).map_err(|reason| (ErrorCode::MissingPlugin, reason))?;
        let bus = pipeline.bus().ok_or((ErrorCode::Pipeline, String::from("no bus")))?;
        let started = pipeline.set_state(gst::State::Playing);
        let end = if started.is_err() { self.failed(&bus) } else { self.await_end(&pipeline, &bus, &found) };
        let failure = lock(&found).failure.take();
        pipeline.set_state(gst::State::Null).ok();
        match (failure, end) {
            (Some(failure), _) => Err(failure),
            (None, Err((code, reason))) => {
                // What there is of a file that is cut off or damaged is worth more than nothing.
                if !self.collator().has_begun() {
                    return Err((code, reason));
                }
                self.finish()?;
                self.outbox.trouble(ErrorCode::BadMedia, reason);
                Ok(())
            }
            (None, Ok(())) => {
                self.finish()?;
                if self.collator().has_begun() {
                    Ok(())
                } else {
                    Err((ErrorCode::NoMedia, String::from("There is nothing in it that can be played.")))
                }
            }
        }
    }

    fn build(self: &Arc<Self>, pipeline: &gst::Pipeline, found: &Shared) -> Result<(), String> {
        let make = |name: &str| gst::ElementFactory::make(name).build().map_err(|error| error.to_string());
        let (source, parser) = (make("filesrc")?, make("parsebin")?);
        source.set_property("location", FILE);
        pipeline.add_many([&source, &parser]).map_err(|error| error.to_string())?;
        source.link(&parser).map_err(|error| error.to_string())?;
        let (reader, weak, shared) = (Arc::clone(self), pipeline.downgrade(), Arc::clone(found));
        let kind_is_known = AtomicBool::new(false);
        parser.connect("autoplug-continue", false, move |values| {
            let kind = values.get(2).and_then(|caps| caps.get::<gst::Caps>().ok());
            let kind = kind.and_then(|caps| caps.structure(0).map(|kind| kind.name().to_string()));
            // The first that is asked for is the file itself.
            let first = !kind_is_known.swap(true, Ordering::Relaxed);
            if let (true, Some(kind)) = (first, kind)
                && let (Err(failure), Some(pipeline)) = (reader.take_kind(&kind, &shared), weak.upgrade())
            {
                fail(&shared, &pipeline, failure);
            }
            Some(true.to_value())
        });
        let (reader, weak, shared) = (Arc::clone(self), pipeline.downgrade(), Arc::clone(found));
        parser.connect_pad_added(move |_, pad| {
            reader.take_stream(&weak, pad, &shared);
        });
        Ok(())
    }

    /// What kind of file it is.
    fn take_kind(&self, kind: &str, found: &Shared) -> Result<(), Failure> {
        tracing::info!(kind, "a file");
        if kind.starts_with("image/") {
            return Err((ErrorCode::NoMedia, String::from("It is a picture.")));
        }
        match kind {
            "video/mpegts" => self.collator().may_be_torn(),
            "video/x-flv" => lock(found).trickles = true,
            _ => {}
        }
        Ok(())
    }

    /// Notes what a stream is. How it is to be turned is known only right before its first frame, so its branch is made then.
    fn take_stream(self: &Arc<Self>, pipeline: &gst::glib::WeakRef<gst::Pipeline>, pad: &gst::Pad, found: &Shared) {
        let caps = pad.current_caps().unwrap_or_else(|| pad.query_caps(None));
        let name = caps.structure(0).map(|format| format.name().to_string()).unwrap_or_default();
        tracing::info!(name, "a stream");
        let kind = {
            let mut found = lock(found);
            let (is_picture, is_sound) =
                (name.starts_with("video/") || name.starts_with("image/"), name.starts_with("audio/"));
            let first = (is_picture && !found.picture) || (is_sound && !found.sound);
            found.picture |= is_picture;
            found.sound |= is_sound;
            found.locked |= ["application/x-cenc", "application/x-webm-enc"].contains(&name.as_str());
            first.then_some(is_picture)
        };
        let (reader, weak, shared) = (Arc::clone(self), pipeline.clone(), Arc::clone(found));
        pad.add_probe(gst::PadProbeType::DATA_DOWNSTREAM, move |pad, probe| {
            if matches!(&probe.data, Some(gst::PadProbeData::Event(event)) if event.type_() != gst::EventType::Eos) {
                return gst::PadProbeReturn::Ok;
            }
            let Some(pipeline) = weak.upgrade() else { return gst::PadProbeReturn::Remove };
            let complete = {
                let mut found = lock(&shared);
                found.begun = true;
                !found.trickles || (found.picture && found.sound)
            };
            let known = if complete { reader.streams_are_known(&shared) } else { Ok(()) };
            let branched = known.and_then(|()| {
                let branched = reader.branch(&pipeline, pad, kind, &shared);
                branched.map_err(|reason| (ErrorCode::UnsupportedCodec, reason))
            });
            if let Err(failure) = branched {
                fail(&shared, &pipeline, failure);
            }
            gst::PadProbeReturn::Remove
        });
    }

    /// Connects the first picture (`kind` is true) and the first sound (false); the rest is left out.
    fn branch(
        self: &Arc<Self>,
        pipeline: &gst::Pipeline,
        pad: &gst::Pad,
        kind: Option<bool>,
        found: &Shared,
    ) -> Result<(), String> {
        let caps = pad.current_caps().unwrap_or_else(|| pad.query_caps(None));
        let format = caps.structure(0).ok_or("a stream does not say what it is")?;
        let (line, stream) = match kind {
            None => (String::from("fakesink name=in sync=false async=false"), None),
            Some(true) => (self.picture_line(format, &orientation(pad)), Some(Stream::Picture)),
            Some(false) if self.passes_sound(format) => {
                let parsed = "aacparse ! audio/mpeg,mpegversion=4,stream-format=raw";
                (format!("{QUEUE} ! {parsed} ! appsink name=out sync=false async=false"), Some(Stream::Sound(0)))
            }
            Some(false) => (sound_line(), Some(Stream::Sound(PRIMING))),
        };
        let branch = gst::parse::bin_from_description(&line, false).map_err(|error| error.to_string())?;
        if let Some(encoder) = branch.by_name("encoder").filter(|_| self.from > 0) {
            self.leave_out_what_is_there(&encoder)?;
        }
        if let (Some(tone), Some(transfer)) = (branch.by_name("tone"), high_range(format)) {
            map_tones(&tone, transfer)?;
        }
        if let Some(stream) = stream {
            self.listen(&branch, stream, pipeline, found)?;
        }
        pipeline.add(&branch).map_err(|error| error.to_string())?;
        // By hand: a decoder's end is not linked yet either.
        let beginning = branch.by_name("in").and_then(|element| element.static_pad("sink"));
        let beginning = beginning.ok_or("a branch has no beginning")?;
        let sink = gst::GhostPad::with_target(&beginning).map_err(|error| error.to_string())?;
        branch.add_pad(&sink).map_err(|error| error.to_string())?;
        branch.sync_state_with_parent().map_err(|error| error.to_string())?;
        pad.link(&sink).map(drop).map_err(|error| error.to_string())
    }

    /// Frames of parts that are there already are not encoded again.
    fn leave_out_what_is_there(self: &Arc<Self>, encoder: &gst::Element) -> Result<(), String> {
        let pad = encoder.static_pad("sink").ok_or("an encoder has no beginning")?;
        let (reader, first) = (Arc::clone(self), OnceLock::new());
        pad.add_probe(gst::PadProbeType::BUFFER, move |pad, probe| {
            let segment = pad.sticky_event::<gst::event::Segment>(0).map(|event| event.segment().clone());
            let shown = probe.buffer().and_then(|buffer| running(segment.as_ref()?, buffer.pts()?));
            let Some(shown) = shown else { return gst::PadProbeReturn::Ok };
            let first = *first.get_or_init(|| {
                reader.collator().go_on(shown, reader.from);
                shown
            });
            let there = shown - first + (collate::BEGIN as i64) < reader.from as i64;
            if there { gst::PadProbeReturn::Drop } else { gst::PadProbeReturn::Ok }
        });
        Ok(())
    }

    /// Hands what comes out of a branch to the collator.
    fn listen(
        self: &Arc<Self>,
        branch: &gst::Bin,
        stream: Stream,
        pipeline: &gst::Pipeline,
        found: &Shared,
    ) -> Result<(), String> {
        let sink = branch.by_name("out").and_then(|sink| sink.downcast::<gst_app::AppSink>().ok());
        let sink = sink.ok_or("a branch has no end")?;
        let (reader, weak, shared) = (Arc::clone(self), pipeline.downgrade(), Arc::clone(found));
        let (over, weak_over, shared_over) = (Arc::clone(self), pipeline.downgrade(), Arc::clone(found));
        let callbacks = gst_app::AppSinkCallbacks::builder()
            .new_sample(move |sink| {
                let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
                reader.take_sample(&sample, stream).map(|()| gst::FlowSuccess::Ok).map_err(|failure| {
                    if let Some(pipeline) = weak.upgrade() {
                        fail(&shared, &pipeline, failure);
                    }
                    gst::FlowError::Eos
                })
            })
            .eos(move |_| {
                let ended = over.streams_are_known(&shared_over).and_then(|()| {
                    over.with(|collator| match stream {
                        Stream::Picture => collator.picture_over(),
                        Stream::Sound(_) => collator.sound_over(),
                    })
                });
                if let (Err(failure), Some(pipeline)) = (ended, weak_over.upgrade()) {
                    fail(&shared_over, &pipeline, failure);
                }
                let mut found = lock(&shared_over);
                match stream {
                    Stream::Picture => found.picture_over = true,
                    Stream::Sound(_) => found.sound_over = true,
                }
            });
        sink.set_callbacks(callbacks.build());
        Ok(())
    }

    fn take_sample(&self, sample: &gst::Sample, stream: Stream) -> Result<(), Failure> {
        let buffer = sample.buffer().ok_or_else(|| bad("no buffer"))?;
        let Some(at) = ticks(sample, buffer.pts()) else {
            let what = "a frame does not say when it is shown";
            return if self.encode { Ok(()) } else { Err((ErrorCode::CannotPass, String::from(what))) };
        };
        let data = copy_of(buffer).map_err(bad)?;
        let config = codec_data(sample);
        self.with(|collator| match stream {
            Stream::Picture => {
                config.map_or(Ok(()), |config| collator.picture_config(config))?;
                collator.picture(at, data)
            }
            Stream::Sound(early) => {
                config.map_or(Ok(()), |config| collator.sound_config(config))?;
                collator.sound(at - early, data)
            }
        })
    }

    /// No other stream comes.
    fn streams_are_known(&self, found: &Shared) -> Result<(), Failure> {
        let (picture, sound, locked) = {
            let mut found = lock(found);
            if std::mem::replace(&mut found.known, true) {
                return Ok(());
            }
            (found.picture, found.sound, found.locked)
        };
        if locked {
            return Err((ErrorCode::UnsupportedCodec, String::from("It is encrypted.")));
        }
        if !picture && !sound {
            return Err((ErrorCode::NoMedia, String::from("There is neither picture nor sound in it.")));
        }
        if !picture {
            let (avcc, pictures) = still().map_err(|reason| (ErrorCode::NoEncoder, reason))?;
            self.with(|collator| collator.show_still(avcc, pictures).map(|()| Vec::new()))?;
        }
        self.with(|collator| collator.expect(picture, sound))
    }

    /// Until the file's end, or what went wrong. Tells on the way how long it is.
    fn await_end(&self, pipeline: &gst::Pipeline, bus: &gst::Bus, found: &Shared) -> Result<(), Failure> {
        let mut length = None;
        loop {
            let wanted = [gst::MessageType::Eos, gst::MessageType::Error];
            let message = bus.timed_pop_filtered(LOOK, &wanted);
            match message.as_ref().map(|message| message.view()) {
                Some(gst::MessageView::Error(error)) => return Err(failure(error)),
                Some(gst::MessageView::Eos(_)) if !lock(found).begun => return Ok(()),
                _ => {}
            }
            if length.is_none() {
                length = pipeline.query_duration::<gst::ClockTime>();
                if let Some(length) = length {
                    if length.seconds() > (LONGEST / i64::from(TIMESCALE)) as u64 {
                        return Err((ErrorCode::TooLong, String::from("It is longer than 24 hours.")));
                    }
                    self.outbox.send(FromWorker::Length { ms: length.mseconds() });
                }
            }
            // The pipeline itself may say so before all of it is built.
            if lock(found).is_over() {
                return Ok(());
            }
        }
    }

    /// Why the pipeline did not start.
    fn failed(&self, bus: &gst::Bus) -> Result<(), Failure> {
        let message = bus.pop_filtered(&[gst::MessageType::Error]);
        Err(match message.as_ref().map(|message| message.view()) {
            Some(gst::MessageView::Error(error)) => failure(error),
            _ => (ErrorCode::Pipeline, String::from("The file cannot be opened.")),
        })
    }

    fn finish(&self) -> Result<(), Failure> {
        self.with(Collator::finish)
    }

    /// Sends what comes out of the collator, and waits for a parent that is slower.
    fn with(&self, work: impl FnOnce(&mut Collator) -> Result<Vec<Output>, CollateError>) -> Result<(), Failure> {
        let mut collator = self.collator();
        for output in work(&mut collator).map_err(refusal)? {
            match output {
                Output::Init(init) => self.outbox.send(FromWorker::Init(init)),
                Output::Part(cut) if cut.part.start < self.from => {}
                Output::Part(cut) if cut.part.bytes.len() > LARGEST => {
                    return Err((ErrorCode::CannotPass, String::from("its bit rate is too high")));
                }
                Output::Part(cut) => self.outbox.whole(FromWorker::Part(cut.part)),
            }
        }
        Ok(())
    }

    fn collator(&self) -> MutexGuard<'_, Collator> {
        lock(&self.collator)
    }

    fn picture_line(&self, format: &gst::StructureRef, orientation: &str) -> String {
        let number = |field: &str| format.get::<i32>(field).ok().and_then(|number| u32::try_from(number).ok());
        let fraction = |field: &str| {
            let fraction = format.get::<gst::Fraction>(field).ok();
            fraction.map(|fraction| (fraction.numer().max(0) as u32, fraction.denom().max(0) as u32))
        };
        let size = number("width").zip(number("height"));
        let upright = orientation.is_empty() || orientation == "rotate-0";
        let modest = size.is_some_and(|(width, height)| width.max(height) <= 1920 && width.min(height) <= 1088);
        let profile = format.get::<&str>("profile").unwrap_or_default();
        let progressive = format.get::<&str>("interlace-mode").map_or(true, |mode| mode == "progressive");
        let plain = ["constrained-baseline", "baseline", "main", "high", "progressive-high", "constrained-high"];
        let is_h264 = format.name() == "video/x-h264" && plain.contains(&profile) && progressive;
        if !self.encode && is_h264 && upright && modest {
            return format!("{QUEUE} ! {TO_ACCESS_UNITS}");
        }
        let turned = ["rotate-90", "rotate-270", "flip-rotate-90", "flip-rotate-270"].contains(&orientation);
        let aspect = fraction("pixel-aspect-ratio").unwrap_or((1, 1));
        let (size, aspect, known) = match (size, turned) {
            (Some((width, height)), true) => ((height, width), (aspect.1, aspect.0), true),
            (Some(size), false) => (size, aspect, true),
            (None, _) => ((1280, 720), (1, 1), false),
        };
        let shape = Shape::of(size, aspect, fraction("framerate").unwrap_or((0, 1)));
        let Shape { width, height, rate, kbps } = shape;
        let size = if known {
            format!("width={width},height={height}")
        } else {
            format!("width=[16,{width},2],height=[16,{height},2]")
        };
        let key = shape.frames_per_second();
        // Mapped at the size at which it is shown: 8 bytes a pixel are many.
        let mapped = high_range(format).map_or_else(String::new, |_| {
            let (width, height) = if turned { (height, width) } else { (width, height) };
            let size = if known { format!(",width={width},height={height},pixel-aspect-ratio=1/1") } else { String::new() };
            format!(
                "videoscale add-borders=false ! videoconvert ! video/x-raw,format=ARGB64{size} ! identity name=tone silent=true \
                 ! capssetter caps=video/x-raw,colorimetry=(string)sRGB ! "
            )
        });
        format!(
            "{QUEUE} ! decodebin force-sw-decoders=true ! {mapped}videoconvert ! video/x-raw,format=I420,colorimetry=bt709 \
             ! deinterlace ! videoflip video-direction=auto ! videoscale add-borders=false \
             ! video/x-raw,{size},pixel-aspect-ratio=1/1 ! videorate max-duplication-time=60000000000 \
             ! video/x-raw,framerate={}/{} ! x264enc name=encoder speed-preset=veryfast pass=qual quantizer=23 bitrate={kbps} \
             vbv-buf-capacity=2000 key-int-max={key} bframes=0 option-string=\"scenecut=0:min-keyint=1\" ! {TO_ACCESS_UNITS}",
            rate.0, rate.1
        )
    }

    /// AAC-LC in mono or stereo is what every player plays.
    fn passes_sound(&self, format: &gst::StructureRef) -> bool {
        let number = |field: &str| format.get::<i32>(field).unwrap_or(0);
        let low_complexity = format.get::<&str>("profile").is_ok_and(|profile| profile == "lc");
        let aac = format.name() == "audio/mpeg" && number("mpegversion") == 4 && low_complexity;
        !self.encode && aac && (1..=2).contains(&number("channels")) && (8_000..=48_000).contains(&number("rate"))
    }
}

fn sound_line() -> String {
    let aac = if gst::ElementFactory::find("avenc_aac").is_some() { "avenc_aac" } else { "voaacenc" };
    format!(
        "{QUEUE} ! decodebin force-sw-decoders=true ! audioconvert ! audioresample ! audio/x-raw,rate=48000,channels=2 \
         ! {aac} bitrate=128000 ! audio/mpeg,stream-format=raw ! appsink name=out sync=false async=false"
    )
}

/// What of a picture's colours no ordinary screen shows.
fn high_range(format: &gst::StructureRef) -> Option<Transfer> {
    format.get::<&str>("colorimetry").ok().and_then(Transfer::of)
}

/// Maps each picture on its way through `element`.
fn map_tones(element: &gst::Element, transfer: Transfer) -> Result<(), String> {
    let tone = Tone::new(transfer);
    let pad = element.static_pad("src").ok_or("nowhere to map tones")?;
    pad.add_probe(gst::PadProbeType::BUFFER, move |_, probe| {
        if let Some(buffer) = probe.buffer_mut()
            && let Ok(mut picture) = buffer.make_mut().map_writable()
        {
            tone.map(&mut picture);
        }
        gst::PadProbeReturn::Ok
    });
    Ok(())
}

/// How a picture is to be turned, by its tags: `rotate-90` and the like; empty where they do not say.
fn orientation(pad: &gst::Pad) -> String {
    let tags = (0..).map_while(|number| pad.sticky_event::<gst::event::Tag>(number));
    let told = tags.filter_map(|tags| {
        tags.tag().get::<gst::tags::ImageOrientation>().map(|orientation| orientation.get().to_owned())
    });
    told.last().unwrap_or_default()
}

/// A plain picture as two keyframes that may follow on each other, and how they are decoded.
fn still() -> Result<(Bytes, Vec<Bytes>), String> {
    let line = "videotestsrc num-buffers=2 pattern=solid-color foreground-color=0xff10333a \
        ! video/x-raw,format=I420,width=640,height=360,framerate=1/1,pixel-aspect-ratio=1/1,colorimetry=bt709 \
        ! x264enc pass=qual quantizer=23 key-int-max=1 bframes=0 ! h264parse ! video/x-h264,stream-format=avc,alignment=au \
        ! appsink name=out sync=false";
    let pipeline = super::launch(line)?;
    let sink = super::app_sink(&pipeline, "out")?;
    pipeline.set_state(gst::State::Playing).map_err(|error| error.to_string())?;
    let samples: Vec<gst::Sample> = (0..2).map_while(|_| sink.try_pull_sample(PATIENCE)).collect();
    pipeline.set_state(gst::State::Null).ok();
    let avcc = samples.first().and_then(codec_data).ok_or("no still picture came out")?;
    let pictures =
        samples.iter().map(|sample| sample.buffer().ok_or_else(|| String::from("no buffer")).and_then(copy_of));
    Ok((avcc, pictures.collect::<Result<_, _>>()?))
}

/// When a frame is shown, in ticks of the file's time; before its beginning for what only helps to decode it.
fn ticks(sample: &gst::Sample, time: Option<gst::ClockTime>) -> Option<i64> {
    running(sample.segment()?, time?)
}

/// A time in a segment as ticks since the file's beginning.
fn running(segment: &gst::Segment, time: gst::ClockTime) -> Option<i64> {
    let segment = segment.downcast_ref::<gst::ClockTime>()?;
    let ticks = |time: gst::ClockTime| ((u128::from(time.nseconds()) * 9 + 50_000) / 100_000) as i64;
    match segment.to_running_time_full(time)? {
        gst::Signed::Positive(time) => Some(ticks(time)),
        gst::Signed::Negative(time) => Some(-ticks(time)),
    }
}

/// Notes the first failure, and wakes whoever waits for the end.
fn fail(found: &Shared, pipeline: &gst::Pipeline, failure: Failure) {
    let reason = failure.1.clone();
    lock(found).failure.get_or_insert(failure);
    gst::element_error!(pipeline, gst::StreamError::Failed, ["{reason}"]);
}

fn refusal(error: CollateError) -> Failure {
    let code = match &error {
        CollateError::CannotPass(_) => ErrorCode::CannotPass,
        CollateError::TooLong => ErrorCode::TooLong,
        CollateError::Media(_) => ErrorCode::BadMedia,
    };
    (code, error.to_string())
}

fn bad(reason: impl Into<String>) -> Failure {
    (ErrorCode::BadMedia, reason.into())
}

/// What an error of the pipeline says about the file.
fn failure(error: &gst::message::Error) -> Failure {
    tracing::info!(debug = ?error.debug(), "pipeline error");
    let (source, error) = (error.src().map(|source| source.name().to_string()), error.error());
    let is = |kind: gst::StreamError| error.matches(kind);
    let code = if is(gst::StreamError::TypeNotFound) || is(gst::StreamError::WrongType) {
        ErrorCode::NoMedia
    } else if is(gst::StreamError::CodecNotFound)
        || is(gst::StreamError::Decrypt)
        || is(gst::StreamError::DecryptNokey)
        || error.matches(gst::CoreError::MissingPlugin)
    {
        ErrorCode::UnsupportedCodec
    } else {
        ErrorCode::BadMedia
    };
    (code, format!("{error} ({})", source.unwrap_or_default()))
}

/// A callback that panicked has left something that is whole, if not all of it.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
