//! Small pictures of a recording on one sheet, which a player shows where a finger on its time line would lead.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

use super::link::Outbox;
use super::{monitor, snapshot};
use crate::media::mp4;
use crate::media::protocol::{ErrorCode, Sheet};

/// Bytes of a pixel in BGRx, whose rows are never padded.
const PIXEL: usize = 4;

/// The sheet while pictures come.
pub struct Pasteboard {
    sheet: Sheet,
    pixels: Vec<u8>,
    outbox: Outbox,
}

impl Pasteboard {
    /// An empty sheet, black.
    pub fn new(sheet: Sheet, outbox: &Outbox) -> Self {
        let pixels = vec![0; PIXEL * (sheet.columns * sheet.width * sheet.rows * sheet.height) as usize];
        Self { sheet, pixels, outbox: outbox.clone() }
    }

    /// Pastes one picture. One that cannot be decoded leaves its place black.
    pub fn take(&mut self, place: u32, init: &[u8], media: &[u8]) {
        if let Err(reason) = self.paste(place, init, media) {
            tracing::debug!(place, reason, "a place stays empty");
        }
    }

    fn paste(&mut self, place: u32, init: &[u8], media: &[u8]) -> Result<(), String> {
        let Sheet { columns, rows, width, height } = self.sheet;
        if place >= columns * rows {
            return Err(String::from("there is no such place"));
        }
        let (config, data) = mp4::first_keyframe(init, media).ok_or("there is no keyframe in it")?;
        let taken = Arc::new(Mutex::new(Vec::new()));
        let hand = Arc::clone(&taken);
        monitor::decode(
            config,
            data,
            "videoconvert ! video/x-raw,format=BGRx ! appsink name=picture sync=false",
            |_, _| (width, height),
            |pipeline| {
                let callbacks = gst_app::AppSinkCallbacks::builder().new_sample(move |sink| {
                    let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
                    let map =
                        sample.buffer().and_then(|buffer| buffer.map_readable().ok()).ok_or(gst::FlowError::Error)?;
                    *hand.lock().unwrap_or_else(PoisonError::into_inner) = map.to_vec();
                    Ok(gst::FlowSuccess::Ok)
                });
                super::app_sink(pipeline, "picture")?.set_callbacks(callbacks.build());
                Ok(())
            },
        )?;
        let picture = taken.lock().unwrap_or_else(PoisonError::into_inner);
        let line = PIXEL * width as usize;
        if picture.len() != line * height as usize {
            return Err(String::from("no picture came out"));
        }
        let (left, top) = (line * (place % columns) as usize, (place / columns * height) as usize);
        let across = line * columns as usize;
        for (row, from) in picture.chunks_exact(line).enumerate() {
            let at = (top + row) * across + left;
            self.pixels[at..at + line].copy_from_slice(from);
        }
        Ok(())
    }

    /// Sends the sheet.
    pub fn print(&mut self) {
        let Sheet { columns, rows, width, height } = self.sheet;
        let line = format!(
            "appsrc name=in format=time caps=\"video/x-raw,format=BGRx,width={},height={},framerate=0/1\" ! {}",
            columns * width,
            rows * height,
            snapshot::JPEG
        );
        let pixels = std::mem::take(&mut self.pixels);
        let printed = super::launch(&line).and_then(|pipeline| {
            snapshot::deliver(&pipeline, &self.outbox)?;
            monitor::run_through(&pipeline, gst::Buffer::from_slice(Bytes::from(pixels)))
        });
        if let Err(reason) = printed {
            self.outbox.fatal(ErrorCode::Pipeline, reason);
        }
    }
}
