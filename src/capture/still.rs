//! Still pictures: the slate that stands in for a lost camera.

use std::sync::{Arc, OnceLock};

use gst::prelude::*;

use super::encoder::Target;
use super::pattern::Layout;
use super::picture;

/// Indonesian first: it is what most viewers read.
const WORDS: &str = "Kamera terputus – menunggu\nCamera lost – waiting";
const PATIENCE: gst::ClockTime = gst::ClockTime::from_seconds(30);

/// The slate. It is drawn beside the start of everything else: a first use of fonts can take seconds on a small box.
#[derive(Clone)]
pub struct Slate {
    drawn: Arc<OnceLock<gst::Buffer>>,
    plain: gst::Buffer,
}

impl Slate {
    /// Begins to draw.
    pub fn start(target: Target) -> Self {
        let drawn = Arc::new(OnceLock::new());
        let slot = Arc::clone(&drawn);
        std::thread::spawn(move || match draw(target) {
            Ok(picture) => drop(slot.set(picture)),
            Err(reason) => tracing::warn!(reason, "the slate has no words"),
        });
        Self { drawn, plain: plain(target) }
    }

    /// The slate as one raw picture; a plain dark one until it is drawn, and where text cannot be drawn.
    pub fn picture(&self) -> gst::Buffer {
        self.drawn.get().unwrap_or(&self.plain).copy()
    }
}

fn draw(target: Target) -> Result<gst::Buffer, String> {
    let caps = picture(target.width, target.height);
    let line = format!(
        "videotestsrc num-buffers=1 pattern=solid-color foreground-color=0xff10333a ! {caps} ! textoverlay name=words \
         valignment=center halignment=center line-alignment=center shaded-background=false ! videoconvert ! {caps} ! \
         appsink name=out sync=false"
    );
    let pipeline = super::launch(&line)?;
    let words = pipeline.by_name("words").ok_or("no text")?;
    words.set_property("text", WORDS);
    words.set_property("font-desc", format!("Sans {}", 22));
    let sink = super::app_sink(&pipeline, "out")?;
    let started = pipeline.set_state(gst::State::Playing);
    let sample = started.ok().and_then(|_| sink.try_pull_sample(PATIENCE));
    pipeline.set_state(gst::State::Null).ok();
    sample.and_then(|sample| sample.buffer_owned()).ok_or_else(|| String::from("no picture came out"))
}

fn plain(target: Target) -> gst::Buffer {
    let layout = Layout { width: target.width as usize, height: target.height as usize };
    let mut bytes = vec![128; layout.size()];
    bytes[..layout.luma_size()].fill(40);
    gst::Buffer::from_mut_slice(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::terms::Content;

    #[test]
    fn the_slate_is_a_whole_picture_with_words() {
        gst::init().unwrap();
        let target = Target { width: 640, height: 360, frame_rate: 30, kbps: 0, content: Content::Talk };
        let layout = Layout { width: 640, height: 360 };
        let slate = draw(target).unwrap();
        assert_eq!(slate.size(), layout.size());
        let map = slate.map_readable().unwrap();
        assert!(map[..layout.luma_size()].iter().any(|luma| *luma > 200), "white letters");
        assert_eq!(plain(target).size(), layout.size());
    }
}
