//! Small JPEG pictures of what is shown: one within a second, then one every five.

use gst::prelude::*;

use super::encoder::Target;
use super::link::Outbox;
use super::raw_video;
use crate::media::protocol::FromWorker;

const MAX_WIDTH: u32 = 640;
const MAX_HEIGHT: u32 = 360;

/// Seconds between snapshots.
pub const EVERY: u64 = 5;

/// Makes snapshots, in a pipeline of its own whose failure nobody else notices.
pub struct Snapshots {
    pipeline: gst::Pipeline,
    source: gst_app::AppSrc,
}

impl Snapshots {
    /// # Errors
    /// A sentence, if a plugin is missing.
    pub fn start(target: Target, outbox: &Outbox) -> Result<Self, String> {
        let (width, height) = fitted(target.width, target.height);
        let line = format!(
            "appsrc name=in is-live=true format=time max-buffers=1 max-bytes=0 leaky-type=downstream caps=\"{}\" ! videoscale \
             ! video/x-raw,width={width},height={height} ! {JPEG}",
            raw_video(target.width, target.height, target.frame_rate)
        );
        let pipeline = super::launch(&line)?;
        deliver(&pipeline, outbox)?;
        let source = super::app_source(&pipeline, "in")?;
        pipeline.set_state(gst::State::Playing).map_err(|error| error.to_string())?;
        Ok(Self { pipeline, source })
    }

    /// Sends `picture` as a snapshot.
    pub fn take(&self, picture: &gst::Buffer) {
        self.source.push_buffer(picture.copy()).ok();
    }
}

impl Drop for Snapshots {
    fn drop(&mut self) {
        self.pipeline.set_state(gst::State::Null).ok();
    }
}

/// From a small raw picture to the appsink that [`deliver`] reads.
pub const JPEG: &str = "videoconvert ! jpegenc quality=80 ! appsink name=jpeg sync=false max-buffers=1 drop=true";

/// Sends what comes out of [`JPEG`] to the parent.
///
/// # Errors
/// A sentence, if the pipeline has no such end.
pub fn deliver(pipeline: &gst::Pipeline, outbox: &Outbox) -> Result<(), String> {
    let outbox = outbox.clone();
    let callbacks = gst_app::AppSinkCallbacks::builder().new_sample(move |sink| {
        let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
        if let Some(map) = sample.buffer().and_then(|buffer| buffer.map_readable().ok()) {
            outbox.offer(FromWorker::Snapshot { jpeg: map.to_vec().into() });
        }
        Ok(gst::FlowSuccess::Ok)
    });
    super::app_sink(pipeline, "jpeg")?.set_callbacks(callbacks.build());
    Ok(())
}

/// The largest even size of the same shape within 640x360.
pub fn fitted(width: u32, height: u32) -> (u32, u32) {
    let (width, height) = (width.max(1), height.max(1));
    let scale = (f64::from(MAX_WIDTH) / f64::from(width)).min(f64::from(MAX_HEIGHT) / f64::from(height)).min(1.0);
    let even = |side: u32| ((f64::from(side) * scale) as u32 & !1).max(2);
    (even(width), even(height))
}

#[cfg(test)]
mod tests {
    use super::fitted;

    #[test]
    fn snapshots_keep_the_shape_and_fit() {
        assert_eq!(fitted(1280, 720), (640, 360));
        assert_eq!(fitted(640, 480), (480, 360));
        assert_eq!(fitted(320, 180), (320, 180));
        assert_eq!(fitted(720, 1280), (202, 360));
    }
}
