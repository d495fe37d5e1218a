//! Makes smaller renditions of a recording: each segment is decoded once, scaled and encoded for each rung, and put together with the
//! times and the sound that it had (`media::steps`). The pipeline runs on from segment to segment, and begins anew where the media
//! breaks. The worker that does this is shut in (`worker::sandbox`), since what is decoded may have come in a file.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use gst::prelude::*;

use super::link::Outbox;
use super::monitor::coded_video;
use super::program::{codec_data, connect, copy_of, running_time};
use crate::base::clock;
use crate::media::fragment::{Fragmenter, Tracks};
use crate::media::h264::VideoConfig;
use crate::media::protocol::{ErrorCode, FromWorker, Init};
use crate::media::rungs::Rung;
use crate::media::steps::{Apart, Frame, Picture, Showing, Together};

/// Encoded bytes that wait for the decoder.
const AHEAD: u32 = 4 << 20;
/// Pictures that wait for one encoder.
const PICTURES: u32 = 4;
/// Frames per second where the recording does not tell, for the encoder's plans alone.
const RATE: i32 = 30;

/// The task.
pub struct Ladder {
    rungs: Vec<Rung>,
    outbox: Outbox,
    run: Option<Run>,
}

impl Ladder {
    /// Renditions are numbered from 1 on, in the order of `rungs`.
    pub fn new(rungs: Vec<Rung>, outbox: &Outbox) -> Self {
        Self { rungs, outbox: outbox.clone(), run: None }
    }

    /// Takes the next segment; it begins a stretch of its own, decoded by `begins`, if that is given. Waits while the encoders have
    /// enough to do. Ends the process where it cannot go on.
    pub fn take(&mut self, msn: u64, begins: Option<Init>, media: &Bytes) {
        if let Err((code, reason)) = self.take_or_tell(msn, begins, media) {
            self.outbox.fatal(code, reason);
        }
    }

    fn take_or_tell(&mut self, msn: u64, begins: Option<Init>, media: &Bytes) -> Result<(), (ErrorCode, String)> {
        let bad = |reason: String| (ErrorCode::BadMedia, reason);
        if let Some(init) = begins {
            self.finish_run().map_err(bad)?;
            let run = Run::start(&self.rungs, &init, &self.outbox);
            self.run = Some(run.map_err(|reason| (ErrorCode::MissingPlugin, reason))?);
        }
        let run = self.run.as_mut().ok_or((ErrorCode::Version, String::from("a segment without an init")))?;
        run.take(msn, media).map_err(bad)
    }

    /// Sends what is left.
    pub fn finish(&mut self) {
        if let Err(reason) = self.finish_run() {
            self.outbox.fatal(ErrorCode::BadMedia, reason);
        }
        self.outbox.drain();
    }

    fn finish_run(&mut self) -> Result<(), String> {
        self.run.take().map_or(Ok(()), Run::finish)
    }
}

/// An unbroken stretch of the recording, decoded by one init.
struct Run {
    pipeline: gst::Pipeline,
    bus: gst::Bus,
    source: gst_app::AppSrc,
    apart: Apart,
    showing: Arc<Mutex<Showing>>,
    branches: Arc<Vec<Branch>>,
}

/// One rung of it.
struct Branch {
    pictures: gst_app::AppSrc,
    making: Arc<Mutex<Making>>,
}

/// What a rung's encoder is at work on.
#[derive(Default)]
struct Making {
    together: Together,
    /// When the pictures are shown that it has not given back yet, ticks.
    under_way: VecDeque<u64>,
    /// Known once the first picture is encoded.
    config: Option<VideoConfig>,
}

impl Run {
    fn start(rungs: &[Rung], init: &Init, outbox: &Outbox) -> Result<Self, String> {
        let tracks = Tracks::of(init).ok_or("its init is none of ours")?;
        let mut line = format!(
            "appsrc name=in format=time block=true max-buffers=0 max-bytes={AHEAD} ! avdec_h264 max-errors=-1 \
             ! appsink name=out sync=false async=false"
        );
        for (number, rung) in rungs.iter().enumerate() {
            line += &branch_line(number, rung);
        }
        let pipeline = super::launch(&line)?;
        let bus = pipeline.bus().ok_or("no bus")?;
        let source = super::app_source(&pipeline, "in")?;
        source.set_caps(Some(&coded_video(&tracks.video)));
        let branches = (0..rungs.len()).map(|number| Branch::connect(&pipeline, number, &tracks, outbox));
        let branches = Arc::new(branches.collect::<Result<Vec<_>, _>>()?);
        let showing = Arc::<Mutex<Showing>>::default();
        let screen = Screen {
            showing: Arc::clone(&showing),
            branches: Arc::clone(&branches),
            last: Mutex::default(),
            rate_milli: tracks.frame_rate_milli,
        };
        screen.connect(&pipeline)?;
        pipeline.set_state(gst::State::Playing).map_err(|_| super::first_error(&bus, "cannot start"))?;
        Ok(Self { pipeline, bus, source, apart: Apart::default(), showing, branches })
    }

    fn take(&mut self, msn: u64, media: &Bytes) -> Result<(), String> {
        let (outline, frames) = self.apart.segment(msn, media).map_err(|error| error.to_string())?;
        let outline = Arc::new(outline);
        for branch in self.branches.iter() {
            lock(&branch.making).together.expect(Arc::clone(&outline));
        }
        for frame in frames {
            lock(&self.showing).expect(&frame);
            self.push(frame)?;
        }
        Ok(())
    }

    fn push(&self, frame: Frame) -> Result<(), String> {
        let mut buffer = gst::Buffer::from_slice(frame.data);
        if let Some(buffer) = buffer.get_mut() {
            buffer.set_pts(time(frame.shown));
            buffer.set_dts(time(frame.decode));
        }
        self.source.push_buffer(buffer).map(drop).map_err(|_| super::first_error(&self.bus, "the pipeline has ended"))
    }

    /// Waits until all that was taken is sent.
    fn finish(self) -> Result<(), String> {
        self.source.end_of_stream().map_err(|error| error.to_string())?;
        let wanted = [gst::MessageType::Eos, gst::MessageType::Error];
        let end = self.bus.timed_pop_filtered(gst::ClockTime::NONE, &wanted);
        match end.as_ref().map(|message| message.view()) {
            Some(gst::MessageView::Error(error)) => return Err(error.error().to_string()),
            Some(gst::MessageView::Eos(_)) => {}
            _ => return Err(String::from("it does not end")),
        }
        let complete = self.branches.iter().all(|branch| lock(&branch.making).together.is_complete());
        if complete { Ok(()) } else { Err(String::from("pictures are missing at its end")) }
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        self.pipeline.set_state(gst::State::Null).ok();
    }
}

/// Where decoded pictures come out.
struct Screen {
    showing: Arc<Mutex<Showing>>,
    branches: Arc<Vec<Branch>>,
    /// What stands in for a picture that does not come, and how it is to be read.
    last: Mutex<Option<(gst::Buffer, gst::Caps)>>,
    rate_milli: u32,
}

impl Screen {
    fn connect(self, pipeline: &gst::Pipeline) -> Result<(), String> {
        let screen = Arc::new(self);
        let over = Arc::clone(&screen);
        let callbacks = gst_app::AppSinkCallbacks::builder()
            .new_sample(move |sink| {
                let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
                screen.take(&sample).map(|()| gst::FlowSuccess::Ok).map_err(|reason| {
                    gst::element_error!(sink, gst::StreamError::Failed, ["{reason}"]);
                    gst::FlowError::Error
                })
            })
            .eos(move |sink| {
                if let Err(reason) = over.end() {
                    gst::element_error!(sink, gst::StreamError::Failed, ["{reason}"]);
                }
            });
        super::app_sink(pipeline, "out")?.set_callbacks(callbacks.build());
        Ok(())
    }

    fn take(&self, sample: &gst::Sample) -> Result<(), String> {
        let buffer = sample.buffer_owned().ok_or("no buffer")?;
        let caps = self.steady(sample.caps().ok_or("no caps")?);
        let Some(at) = running_time(sample, buffer.pts()).map(ticks) else { return Ok(()) };
        let due = lock(&self.showing).came(at);
        for (index, shown) in due.iter().enumerate() {
            // Those that did not come look as the one before them.
            let missed = index + 1 < due.len();
            let before = lock(&self.last).clone().filter(|_| missed);
            let (picture, caps) = before.unwrap_or_else(|| (buffer.clone(), caps.clone()));
            self.show(&picture, &caps, shown.0, shown.1)?;
        }
        *lock(&self.last) = Some((buffer, caps));
        Ok(())
    }

    fn end(&self) -> Result<(), String> {
        let due = lock(&self.showing).rest();
        if !due.is_empty() {
            let (picture, caps) = lock(&self.last).clone().ok_or("none of its pictures can be decoded")?;
            for (at, key) in due {
                self.show(&picture, &caps, at, key)?;
            }
        }
        for branch in self.branches.iter() {
            branch.pictures.end_of_stream().map_err(|error| error.to_string())?;
        }
        Ok(())
    }

    /// The encoder is told one rate for all, so that it describes itself alike each time.
    fn steady(&self, caps: &gst::CapsRef) -> gst::Caps {
        let mut caps = caps.to_owned();
        let rate = match self.rate_milli {
            0 => gst::Fraction::new(RATE, 1),
            milli => gst::Fraction::new(milli as i32, 1000),
        };
        caps.make_mut().set("framerate", rate);
        caps
    }

    fn show(&self, picture: &gst::Buffer, caps: &gst::Caps, at: u64, key: bool) -> Result<(), String> {
        for branch in self.branches.iter() {
            branch.show(picture, caps, at, key)?;
        }
        Ok(())
    }
}

impl Branch {
    fn connect(pipeline: &gst::Pipeline, number: usize, tracks: &Tracks, outbox: &Outbox) -> Result<Self, String> {
        let making = Arc::<Mutex<Making>>::default();
        let encoded = Encoded {
            rendition: number as u8 + 1,
            tracks: tracks.clone(),
            making: Arc::clone(&making),
            outbox: outbox.clone(),
        };
        connect(pipeline, &format!("video{number}"), move |sample| encoded.take(sample))?;
        Ok(Self { pictures: super::app_source(pipeline, &format!("pictures{number}"))?, making })
    }

    fn show(&self, picture: &gst::Buffer, caps: &gst::Caps, at: u64, key: bool) -> Result<(), String> {
        lock(&self.making).under_way.push_back(at);
        let mut picture = picture.copy();
        if let Some(picture) = picture.get_mut() {
            picture.set_pts(time(at));
            picture.set_dts(gst::ClockTime::NONE);
            picture.set_duration(gst::ClockTime::NONE);
        }
        if self.pictures.caps().as_ref() != Some(caps) {
            self.pictures.set_caps(Some(caps));
        }
        if key {
            let wish = gst::Structure::builder("GstForceKeyUnit")
                .field("running-time", u64::MAX)
                .field("all-headers", true)
                .field("count", 0u32)
                .build();
            self.pictures.send_event(gst::event::CustomDownstream::new(wish));
        }
        self.pictures.push_buffer(picture).map(drop).map_err(|error| error.to_string())
    }
}

/// Where a rung's encoded pictures come out.
struct Encoded {
    rendition: u8,
    /// Of the recording.
    tracks: Tracks,
    making: Arc<Mutex<Making>>,
    outbox: Outbox,
}

impl Encoded {
    fn take(&self, sample: &gst::Sample) -> Result<(), String> {
        let buffer = sample.buffer().ok_or("no buffer")?;
        let at = running_time(sample, buffer.pts()).map(ticks).ok_or("a frame has no time")?;
        let mut making = lock(&self.making);
        if making.config.is_none() {
            making.config = Some(self.begin(codec_data(sample).ok_or("the encoder does not describe itself")?)?);
        }
        let Some(config) = &making.config else { return Ok(()) };
        let key = !buffer.flags().contains(gst::BufferFlags::DELTA_UNIT);
        let data = copy_of(buffer)?;
        let data = if key { config.with_parameter_sets(&data) } else { data };
        if making.under_way.pop_front().is_none_or(|expected| expected.abs_diff(at) > 1) {
            return Err(String::from("the encoder has lost a picture"));
        }
        let made = making.together.picture(Picture { shown: at, key, data }).map_err(|error| error.to_string())?;
        drop(making);
        if let Some((msn, parts)) = made {
            self.outbox.whole(FromWorker::Made { rendition: self.rendition, msn, parts });
        }
        Ok(())
    }

    /// Tells how what follows is decoded.
    fn begin(&self, avcc: Bytes) -> Result<VideoConfig, String> {
        let video = VideoConfig::parse(avcc).map_err(|error| error.to_string())?;
        let tracks = Tracks { video: video.clone(), ..self.tracks.clone() };
        let init = Fragmenter::new(self.rendition, tracks).init().map_err(|error| error.to_string())?;
        self.outbox.send(FromWorker::Init(init));
        Ok(video)
    }
}

/// From decoded pictures to access units. Keyframes are where they are asked for.
fn branch_line(number: usize, rung: &Rung) -> String {
    let Rung { width, height, kbps } = rung;
    format!(
        " appsrc name=pictures{number} format=time block=true max-buffers={PICTURES} max-bytes=0 \
         ! videoscale add-borders=true ! videoconvert \
         ! video/x-raw,format=I420,width={width},height={height},pixel-aspect-ratio=1/1,colorimetry=bt709 \
         ! x264enc speed-preset=veryfast pass=qual quantizer=23 bitrate={kbps} vbv-buf-capacity=2000 key-int-max=600 bframes=0 \
         option-string=\"scenecut=0:min-keyint=1\" ! video/x-h264,stream-format=avc,alignment=au \
         ! appsink name=video{number} sync=false async=false"
    )
}

fn time(ticks: u64) -> gst::ClockTime {
    gst::ClockTime::from_nseconds(clock::ticks_to_ns(ticks))
}

/// Nanoseconds as the nearest tick.
fn ticks(ns: u64) -> u64 {
    ((u128::from(ns) * 9 + 50_000) / 100_000) as u64
}

/// A callback that panicked has left something that is whole, if not all of it.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
