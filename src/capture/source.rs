//! Cameras and microphones kept open: one pipeline for each, built anew as often as it takes, that leaves what it gets in
//! [`Slots`]. It runs on the program's clock and base time, so its buffers' times are running time.

use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use gst::prelude::*;

use super::devices;
use super::drift::Drift;
use super::encoder::Target;
use super::link::Outbox;
use super::meter::RATE;
use super::relay::Relay;
use super::slots::Slots;
use super::{MediaTime, picture, program, raw_audio};
use crate::base::clock;
use crate::media::camera::{self, Judge};
use crate::media::h264::VideoConfig;
use crate::media::passthrough::Unit;
use crate::media::protocol::{DeviceFormat, DeviceKind, ErrorCode};

/// Between attempts: first, and at most. A camera that is plugged in again is to be back within two seconds.
const BACK_OFF: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(1));
/// A source from which nothing has come for this long is stuck and is built anew, and so is one of whose bytes nothing could be
/// made for this long: some cameras encode a keyframe in ten seconds only. Nanoseconds.
const STUCK: u64 = 4_000_000_000;
const BARREN: u64 = 15_000_000_000;

/// Keeps the camera with this id open for the rest of the process's life.
pub fn decoded_camera(id: String, target: Target, time: MediaTime, slots: Arc<Slots>, outbox: &Outbox) {
    keep(ErrorCode::CameraUnavailable, "The camera", outbox, move || pictures(&id, target, time, &slots));
}

/// The same for a camera that gives H.264, which goes to `relay` as it is. When that shows to be of a kind that cannot be
/// passed on, decoded pictures go to `slots` instead, from then on.
pub fn encoding_camera(
    id: String,
    target: Target,
    time: MediaTime,
    relay: Arc<Relay>,
    slots: Arc<Slots>,
    outbox: &Outbox,
) {
    let refused = Arc::new(OnceLock::new());
    let told = outbox.clone();
    keep(ErrorCode::CameraUnavailable, "The camera", outbox, move || {
        if refused.get().is_none() {
            let ended = access_units(&id, target, time, &relay, &refused);
            relay.lost();
            let Some(reason) = refused.get() else { return ended };
            told.trouble(ErrorCode::EncodedAnew, format!("The camera's own H.264 is encoded anew: {reason}."));
        }
        pictures(&id, target, time, &slots)
    });
}

/// Leaves a camera's pictures in `slots` for as long as it gives any.
fn pictures(id: &str, target: Target, time: MediaTime, slots: &Arc<Slots>) -> Ended {
    let pipeline = camera_pipeline(id, target)?;
    let slots = Arc::clone(slots);
    connect(&pipeline, move |sample, taken| {
        if let Some(picture) = sample.buffer_owned() {
            slots.put_picture(taken, time.now_ns(), picture);
        }
        Ok(())
    })?;
    run(&pipeline, time, |_| Ok(()))
}

/// Passes a camera's access units to `relay` for as long as it gives any that can be passed on.
fn access_units(
    id: &str,
    target: Target,
    time: MediaTime,
    relay: &Arc<Relay>,
    refused: &Arc<OnceLock<String>>,
) -> Ended {
    let pipeline = h264_pipeline(id, target)?;
    let judge = Arc::new(Mutex::new(Judge::default()));
    let judged = {
        let (judge, refused) = (Arc::clone(&judge), Arc::clone(refused));
        move |look: &dyn Fn(&mut Judge) -> Result<(), &'static str>| {
            look(&mut judge.lock().unwrap_or_else(PoisonError::into_inner)).map_err(|reason| {
                refused.get_or_init(|| String::from(reason));
                String::from(reason)
            })
        }
    };
    let (relay, heard) = (Arc::clone(relay), judged.clone());
    let config = Mutex::new(None::<VideoConfig>);
    connect(&pipeline, move |sample, taken| {
        let mut config = config.lock().unwrap_or_else(PoisonError::into_inner);
        let mut units = Vec::new();
        if let Some(avcc) = program::codec_data(sample)
            && config.as_ref().is_none_or(|known| known.avcc != avcc)
        {
            *config = Some(VideoConfig::parse(avcc.clone()).map_err(|error| error.to_string())?);
            units.push(Unit::VideoConfig(avcc));
        }
        let (Some(config), Some(buffer)) = (&*config, sample.buffer()) else { return Ok(()) };
        let data = program::copy_of(buffer)?;
        // Some drivers stamp pictures with a time to come.
        let at = clock::ns_to_ticks(taken.min(time.now_ns()));
        judged(&|judge| judge.look(config, &data, at))?;
        let bytes = data.len();
        units.push(Unit::Frame { at: at as i64, composition: 0, data });
        relay.feed(bytes, |passthrough, now| units.into_iter().flat_map(|unit| passthrough.bring(unit, now)).collect());
        Ok(())
    })?;
    run(&pipeline, time, move |now| heard(&|judge| judge.hear(clock::ns_to_ticks(now))))
}

/// Keeps the microphone with this id open for the rest of the process's life.
pub fn microphone(id: String, time: MediaTime, slots: Arc<Slots>, outbox: &Outbox) {
    keep(ErrorCode::MicrophoneUnavailable, "The microphone", outbox, move || {
        let pipeline = microphone_pipeline(&id)?;
        let slots = Arc::clone(&slots);
        let drift = Mutex::new(Drift::default());
        connect(&pipeline, move |sample, taken| {
            if let Some(map) = sample.buffer().and_then(|buffer| buffer.map_readable().ok()) {
                let samples = super::samples(&map);
                let lasts = samples.len() as u64 / 2 * 1_000_000_000 / u64::from(RATE);
                let mut drift = drift.lock().unwrap_or_else(PoisonError::into_inner);
                let taken = taken as i64 + drift.of(time.now_ns() as i64, (taken + lasts) as i64);
                let position = i128::from(taken) * i128::from(RATE) / 1_000_000_000;
                slots.sound().write(position as i64, &samples);
            }
            Ok(())
        })?;
        run(&pipeline, time, |_| Ok(()))
    });
}

/// Runs `attempt` again and again. It returns only with why it ended: `Ok` if it had worked until then. The parent hears of
/// the first failure after each time that it worked.
fn keep(code: ErrorCode, what: &'static str, outbox: &Outbox, attempt: impl Fn() -> Ended + Send + 'static) {
    let outbox = outbox.clone();
    std::thread::spawn(move || {
        let mut pause = BACK_OFF.0;
        let mut told = false;
        loop {
            let ended = attempt();
            if ended.is_ok() {
                (pause, told) = (BACK_OFF.0, false);
            }
            let (Ok(reason) | Err(reason)) = ended;
            tracing::debug!(?code, reason, "source ended");
            if !told {
                outbox.trouble(code, format!("{what} cannot be used: {}.", reason.trim_end_matches('.')));
                told = true;
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(BACK_OFF.1);
        }
    });
}

/// Why a source ended: `Ok` if it had given something, `Err` if it never did.
type Ended = Result<String, String>;

/// Plays until the source fails or gets stuck. `hear` is told when bytes come from it (ns of running time), long before anything
/// can be made of them; an error there ends it.
fn run(
    pipeline: &gst::Pipeline,
    time: MediaTime,
    hear: impl Fn(u64) -> Result<(), String> + Send + Sync + 'static,
) -> Ended {
    let heard = on_buffers(pipeline, "in", time, hear)?;
    let given = on_buffers(pipeline, "out", time, |_| Ok(()))?;
    let began = given.load(Ordering::Relaxed);
    time.govern(pipeline);
    let bus = pipeline.bus().ok_or("no bus")?;
    let reason = match pipeline.set_state(gst::State::Playing) {
        Ok(_) => await_end(&bus, time, &heard, &given),
        Err(_) => super::first_error(&bus, "it does not start"),
    };
    pipeline.set_state(gst::State::Null).ok();
    if given.load(Ordering::Relaxed) > began { Ok(reason) } else { Err(reason) }
}

/// Calls `each` with the time (ns of running time) of each buffer that comes to the named element; an error there ends the
/// pipeline with it. Gives the latest of the times, which begin with now.
fn on_buffers(
    pipeline: &gst::Pipeline,
    name: &str,
    time: MediaTime,
    each: impl Fn(u64) -> Result<(), String> + Send + Sync + 'static,
) -> Result<Arc<AtomicU64>, String> {
    let latest = Arc::new(AtomicU64::new(time.now_ns()));
    let kept = Arc::clone(&latest);
    let pad = pipeline.by_name(name).and_then(|element| element.static_pad("sink")).ok_or("no such element")?;
    pad.add_probe(gst::PadProbeType::BUFFER, move |pad, _| {
        let now = time.now_ns();
        kept.store(now, Ordering::Relaxed);
        if let (Err(error), Some(element)) = (each(now), pad.parent_element()) {
            gst::element_error!(element, gst::StreamError::Failed, ("{error}"));
        }
        gst::PadProbeReturn::Ok
    });
    Ok(latest)
}

fn await_end(bus: &gst::Bus, time: MediaTime, heard: &AtomicU64, given: &AtomicU64) -> String {
    let ends = [gst::MessageType::Eos, gst::MessageType::Error];
    let silent_for = |latest: &AtomicU64| time.now_ns().saturating_sub(latest.load(Ordering::Relaxed));
    loop {
        let end = bus.timed_pop_filtered(gst::ClockTime::from_mseconds(250), &ends);
        match end.as_ref().map(|message| message.view()) {
            Some(gst::MessageView::Error(error)) => return error.error().to_string(),
            Some(_) => return String::from("it ended"),
            None if silent_for(heard) > STUCK => return String::from("it is stuck"),
            None if silent_for(given) > BARREN => return String::from("nothing can be made of what it gives"),
            None => {}
        }
    }
}

fn camera_pipeline(id: &str, target: Target) -> Result<gst::Pipeline, String> {
    let (device, told) = devices::find(DeviceKind::Camera, id).ok_or("it is not plugged in")?;
    let format = camera::to_encode(&told.formats, target.wanted()).ok_or("it gives no format that can be used")?;
    tracing::info!(?format, "opening the camera");
    let (caps, decoder) = match format.encoding.as_str() {
        "raw" => ("video/x-raw", ""),
        "mjpeg" => ("image/jpeg", "jpegdec !"),
        _ => ("video/x-h264", "h264parse ! avdec_h264 max-threads=1 !"),
    };
    let (width, height) = (format.width, format.height);
    let caps = no_faster(device.caps(), &format!("{caps},width={width},height={height}"), target.frame_rate);
    let line = format!(
        "capsfilter name=in caps=\"{caps}\" ! {decoder} videoconvert ! videoscale add-borders=true ! {} ! \
         appsink name=out sync=false max-buffers=2 drop=true",
        picture(target.width, target.height)
    );
    assemble(&device, &line)
}

fn h264_pipeline(id: &str, target: Target) -> Result<gst::Pipeline, String> {
    let (device, told) = devices::find(DeviceKind::Camera, id).ok_or("it is not plugged in")?;
    // No verdict: a camera that is just being plugged in may not have them all yet.
    let format = camera::to_pass_through(&told.formats, target.wanted()).ok_or("it gives no H.264 that fits")?;
    tracing::info!(?format, "opening the camera, whose H.264 is passed through");
    let DeviceFormat { width, height, .. } = format;
    let rate = target.frame_rate.max(1);
    let caps = no_faster(device.caps(), &format!("video/x-h264,width={width},height={height}"), rate);
    let line = format!(
        "capsfilter name=in caps=\"{caps}\" ! h264parse ! video/x-h264,stream-format=avc,alignment=au ! \
         appsink name=out sync=false max-buffers=60"
    );
    let pipeline = assemble(&device, &line)?;
    // A keyframe a second with its parameter sets and no B-frames, of a camera that lets itself be told.
    if let Some(source) = pipeline.by_name("source").filter(|source| source.find_property("extra-controls").is_some()) {
        let controls = gst::Structure::builder("controls")
            .field("h264_i_frame_period", rate as i32)
            .field("video_gop_size", rate as i32)
            .field("video_b_frames", 0i32)
            .field("repeat_sequence_header", 1i32);
        source.set_property("extra-controls", controls.build());
    }
    Ok(pipeline)
}

/// `wanted` at no more than `rate` frames a second, where a device of these `caps` has that; else as fast as it is.
fn no_faster(caps: Option<gst::Caps>, wanted: &str, rate: u32) -> String {
    let limited = format!("{wanted},framerate=[1/1,{}/1]", rate.max(1));
    let has = |all: gst::Caps| gst::Caps::from_str(&limited).is_ok_and(|limited| all.can_intersect(&limited));
    if caps.is_none_or(has) { limited } else { String::from(wanted) }
}

fn microphone_pipeline(id: &str) -> Result<gst::Pipeline, String> {
    let (device, _) = devices::find(DeviceKind::Microphone, id).ok_or("it is not plugged in, or in use")?;
    let line = format!(
        "audioconvert name=in ! audioresample ! {} ! appsink name=out sync=false max-buffers=50 drop=true",
        raw_audio()
    );
    assemble(&device, &line)
}

/// The device's own source element before the rest of the pipeline.
fn assemble(device: &gst::Device, line: &str) -> Result<gst::Pipeline, String> {
    let pipeline = super::launch(line)?;
    let source = device.create_element(Some("source")).map_err(|error| error.to_string())?;
    // Ten milliseconds at a time, half a second of room for a machine that is busy, and neither the sound card's clock nor
    // GStreamer's corrections of it: see `Drift`.
    let settings =
        [("latency-time", "10000"), ("buffer-time", "500000"), ("provide-clock", "false"), ("slave-method", "none")];
    for (property, value) in settings {
        if source.find_property(property).is_some() {
            source.set_property_from_str(property, value);
        }
    }
    pipeline.add(&source).map_err(|error| error.to_string())?;
    let rest = pipeline.by_name("in").ok_or("no way in")?;
    source.link(&rest).map_err(|error| error.to_string())?;
    Ok(pipeline)
}

/// Hands each sample with its running time (ns) to `take`; an error there ends the pipeline with it.
fn connect(
    pipeline: &gst::Pipeline,
    take: impl Fn(&gst::Sample, u64) -> Result<(), String> + Send + 'static,
) -> Result<(), String> {
    program::connect(pipeline, "out", move |sample| {
        let time = sample.buffer().and_then(|buffer| program::running_time(sample, buffer.pts()));
        time.map_or(Ok(()), |time| take(sample, time))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_camera_that_is_only_faster_is_taken_as_it_is() {
        gst::init().unwrap();
        let caps = |text| gst::Caps::from_str(text).ok();
        let only_fast = caps("video/x-h264,width=1280,height=720,framerate=30/1");
        let either = caps("video/x-h264,width=1280,height=720,framerate={(fraction)30/1,(fraction)15/1}");
        let wanted = "video/x-h264,width=1280,height=720";
        assert_eq!(no_faster(only_fast, wanted, 25), wanted);
        assert_eq!(no_faster(either, wanted, 25), format!("{wanted},framerate=[1/1,25/1]"));
        assert_eq!(no_faster(None, wanted, 25), format!("{wanted},framerate=[1/1,25/1]"));
    }
}
