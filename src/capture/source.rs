//! Cameras and microphones kept open: one pipeline for each, built anew as often as it takes, that leaves what it gets in
//! [`Slots`]. It runs on the program's clock and base time, so its buffers' times are running time.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use gst::prelude::*;

use super::devices::{self, rank};
use super::encoder::Target;
use super::link::Outbox;
use super::meter::RATE;
use super::slots::Slots;
use super::{MediaTime, picture, raw_audio};
use crate::media::protocol::{DeviceFormat, DeviceKind, ErrorCode};

/// Between attempts: first, and at most. A camera that is plugged in again is to be back within two seconds.
const BACK_OFF: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(1));
/// A source that has given nothing for this long is stuck and is built anew. Nanoseconds.
const STUCK: u64 = 4_000_000_000;

/// Keeps the camera with this id open for the rest of the process's life.
pub fn camera(id: String, target: Target, time: MediaTime, slots: Arc<Slots>, outbox: &Outbox) {
    keep(ErrorCode::CameraUnavailable, "The camera", outbox, move || {
        let alive = Arc::new(AtomicU64::new(time.now_ns()));
        let pipeline = camera_pipeline(&id, target)?;
        let (slots, beat) = (Arc::clone(&slots), Arc::clone(&alive));
        connect(&pipeline, move |sample, taken| {
            beat.store(time.now_ns(), Ordering::Relaxed);
            if let Some(picture) = sample.buffer_owned() {
                slots.put_picture(taken, time.now_ns(), picture);
            }
        })?;
        run(&pipeline, time, &alive)
    });
}

/// Keeps the microphone with this id open for the rest of the process's life.
pub fn microphone(id: String, time: MediaTime, slots: Arc<Slots>, outbox: &Outbox) {
    keep(ErrorCode::MicrophoneUnavailable, "The microphone", outbox, move || {
        let alive = Arc::new(AtomicU64::new(time.now_ns()));
        let pipeline = microphone_pipeline(&id)?;
        let (slots, beat) = (Arc::clone(&slots), Arc::clone(&alive));
        connect(&pipeline, move |sample, taken| {
            beat.store(time.now_ns(), Ordering::Relaxed);
            if let Some(map) = sample.buffer().and_then(|buffer| buffer.map_readable().ok()) {
                let position = u128::from(taken) * u128::from(RATE) / 1_000_000_000;
                slots.sound().write(position as i64, &super::samples(&map));
            }
        })?;
        run(&pipeline, time, &alive)
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

/// Plays until the source fails or gets stuck.
fn run(pipeline: &gst::Pipeline, time: MediaTime, alive: &AtomicU64) -> Ended {
    let began = time.now_ns();
    alive.store(began, Ordering::Relaxed);
    time.govern(pipeline);
    let bus = pipeline.bus().ok_or("no bus")?;
    let reason = match pipeline.set_state(gst::State::Playing) {
        Ok(_) => await_end(&bus, time, alive),
        Err(_) => super::first_error(&bus, "it does not start"),
    };
    pipeline.set_state(gst::State::Null).ok();
    if alive.load(Ordering::Relaxed) > began { Ok(reason) } else { Err(reason) }
}

fn await_end(bus: &gst::Bus, time: MediaTime, alive: &AtomicU64) -> String {
    let ends = [gst::MessageType::Eos, gst::MessageType::Error];
    loop {
        let end = bus.timed_pop_filtered(gst::ClockTime::from_mseconds(250), &ends);
        match end.as_ref().map(|message| message.view()) {
            Some(gst::MessageView::Error(error)) => return error.error().to_string(),
            Some(_) => return String::from("it ended"),
            None if time.now_ns().saturating_sub(alive.load(Ordering::Relaxed)) > STUCK => {
                return String::from("it is stuck");
            }
            None => {}
        }
    }
}

fn camera_pipeline(id: &str, target: Target) -> Result<gst::Pipeline, String> {
    let (device, told) = devices::find(DeviceKind::Camera, id).ok_or("it is not plugged in")?;
    let format = best_format(&told.formats, target).ok_or("it gives no format that can be used")?;
    tracing::info!(?format, "opening the camera");
    let (caps, decoder) = match format.encoding.as_str() {
        "raw" => ("video/x-raw", ""),
        "mjpeg" => ("image/jpeg", "jpegdec !"),
        _ => ("video/x-h264", "h264parse ! avdec_h264 max-threads=1 !"),
    };
    let (width, height) = (format.width, format.height);
    let line = format!(
        "capsfilter name=in caps=\"{caps},width={width},height={height},framerate=[1/1,{}/1]\" ! {decoder} videoconvert ! \
         videoscale add-borders=true ! {} ! appsink name=out sync=false max-buffers=2 drop=true",
        target.frame_rate.max(1),
        picture(target.width, target.height)
    );
    assemble(&device, &line)
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
    // Ten milliseconds at a time, and never the sound card's clock.
    for (property, value) in [("latency-time", "10000"), ("buffer-time", "100000"), ("provide-clock", "false")] {
        if source.find_property(property).is_some() {
            source.set_property_from_str(property, value);
        }
    }
    pipeline.add(&source).map_err(|error| error.to_string())?;
    let rest = pipeline.by_name("in").ok_or("no way in")?;
    source.link(&rest).map_err(|error| error.to_string())?;
    Ok(pipeline)
}

/// Hands each sample with its running time (ns) to `take`.
fn connect(pipeline: &gst::Pipeline, take: impl Fn(&gst::Sample, u64) + Send + 'static) -> Result<(), String> {
    let callbacks = gst_app::AppSinkCallbacks::builder().new_sample(move |sink| {
        let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
        let segment = sample.segment().and_then(|segment| segment.downcast_ref::<gst::ClockTime>());
        let time = sample.buffer().and_then(|buffer| buffer.pts()).and_then(|pts| segment?.to_running_time(pts));
        if let Some(time) = time {
            take(&sample, time.nseconds());
        }
        Ok(gst::FlowSuccess::Ok)
    });
    super::app_sink(pipeline, "out")?.set_callbacks(callbacks.build());
    Ok(())
}

/// The format to ask for: fast enough, then large enough, then no larger than needed, then cheap to decode.
fn best_format(formats: &[DeviceFormat], target: Target) -> Option<&DeviceFormat> {
    let area = |width: u32, height: u32| u64::from(width) * u64::from(height);
    let wanted = area(target.width, target.height);
    formats.iter().min_by_key(|format| {
        let slow = target.frame_rate.saturating_sub(format.frame_rate);
        let small = format.width < target.width || format.height < target.height;
        // A camera at two thirds of the rate is better than a stamp at the full one.
        (
            slow > target.frame_rate / 3,
            small,
            area(format.width, format.height).abs_diff(wanted),
            slow,
            rank(&format.encoding),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn format(encoding: &str, width: u32, height: u32, frame_rate: u32) -> DeviceFormat {
        DeviceFormat { encoding: String::from(encoding), width, height, frame_rate }
    }

    #[test]
    fn the_format_fits_what_is_broadcast() {
        let target = Target { width: 1280, height: 720, frame_rate: 30, kbps: 0 };
        let webcam = [
            format("raw", 640, 480, 30),
            format("raw", 1280, 720, 10),
            format("mjpeg", 1280, 720, 30),
            format("mjpeg", 1920, 1080, 30),
        ];
        assert_eq!(best_format(&webcam, target), Some(&webcam[2]));
        assert_eq!(best_format(&webcam[..2], target), Some(&webcam[0]));
        let slow = [format("raw", 1280, 720, 25), format("raw", 320, 240, 60)];
        assert_eq!(best_format(&slow, target), Some(&slow[0]));
        assert_eq!(best_format(&[], target), None);
    }
}
