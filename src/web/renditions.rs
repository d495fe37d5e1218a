//! The renditions of a broadcast as addresses: a folder for each beside the multivariant playlist, and that playlist's lines.

use std::time::Duration;

use bytes::Bytes;

use super::error::Problem;
use crate::base::clock::ticks_to_seconds;
use crate::broadcast::windows::Windows;
use crate::library::Library;
use crate::library::vod::{LibraryError, Recording, Rendition};
use crate::media::playlist::{self, Variant};
use crate::media::protocol::Init;
use crate::media::window::Window;
use crate::media::{rungs, sound};

/// Peaks of a live encoder beyond those that were seen so far.
const PEAKS: f64 = 1.2;

/// How long a player waits for renditions that begin a little later than the first.
const LATER: Duration = Duration::from_secs(1);

/// Segments of a recording in which the sound's bit rate is measured.
const SOUND_SAMPLES: usize = 4;

/// A rendition, or a view of one, by the name of its folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Folder {
    Rendition(u8),
    /// The smallest rendition without its picture.
    Sound,
}

impl Folder {
    pub fn parse(name: &str) -> Option<Folder> {
        if name == sound::FOLDER { Some(Folder::Sound) } else { rungs::rendition_in(name).map(Folder::Rendition) }
    }

    /// Whose media it shows, where `smallest` is the smallest rendition.
    pub fn rendition(self, smallest: u8) -> u8 {
        match self {
            Folder::Rendition(rendition) => rendition,
            Folder::Sound => smallest,
        }
    }

    /// Its init, made of the rendition's.
    pub fn init(self, bytes: Bytes) -> Result<Bytes, Problem> {
        match self {
            Folder::Rendition(_) => Ok(bytes),
            Folder::Sound => sound::init(&bytes).map_err(Problem::internal)?.ok_or_else(Problem::not_found),
        }
    }

    /// Its part or segment, made of the rendition's.
    pub fn media(self, chunks: Vec<Bytes>) -> Result<Vec<Bytes>, Problem> {
        match self {
            Folder::Rendition(_) => Ok(chunks),
            Folder::Sound => {
                let sound = chunks.iter().map(|bytes| sound::media(bytes));
                sound.collect::<Result<_, _>>().map_err(Problem::internal)
            }
        }
    }

    /// What tells its files from another folder's in an entity tag.
    pub fn tag(self) -> String {
        match self {
            Folder::Rendition(rendition) => rendition.to_string(),
            Folder::Sound => String::from("a"),
        }
    }
}

/// The lines of what is on air, best first, but for so many that are left out at present; none before the first picture.
pub async fn live(windows: &Windows, left_out: u8) -> Vec<Variant> {
    // A player reads this once: renditions that are a moment late are worth a moment.
    let _ = tokio::time::timeout(LATER, windows.until_all_have_media()).await;
    let playlists = windows.with_media();
    let carried = playlists.iter().filter(|(rendition, _)| *rendition >= left_out);
    let lines = carried.filter_map(|(rendition, window)| live_line(*rendition, window));
    let sound = playlists.last().and_then(|(_, window)| live_sound(window));
    lines.chain(sound).collect()
}

fn live_line(rendition: u8, window: &Window) -> Option<Variant> {
    let init = window.inits.last()?;
    let (peak, average) = live_bits(window, |bytes| bytes.len())?;
    Some(playlist::variant(&uri(&rungs::folder(rendition)), init, peak, average))
}

fn live_sound(window: &Window) -> Option<Variant> {
    let (peak, average) = live_bits(window, |bytes| sound::media(bytes).map_or(0, |sound| sound.len()))?;
    sound_line(window.inits.last()?, peak, average)
}

/// Bits per second at the peak and on average, of what `length` counts in what is in memory.
fn live_bits(window: &Window, length: impl Fn(&Bytes) -> usize) -> Option<(u64, u64)> {
    let recent = window.recent.iter().chain(&window.open).filter(|recent| !recent.parts.is_empty());
    let spans =
        recent.map(|recent| (recent.parts.iter().map(|part| length(&part.bytes)).sum(), recent.segment.duration));
    bit_rates(spans, PEAKS)
}

/// The lines of a recording, best first.
pub async fn recorded(library: &Library, recording: &Recording) -> Vec<Variant> {
    let mut lines = Vec::new();
    for (number, rendition) in &recording.renditions {
        let spans = rendition.segments.iter().map(|row| (row.location.length as usize, row.segment.duration));
        if let (Some(init), Some((peak, average))) = (rendition.inits.last(), bit_rates(spans, 1.0)) {
            lines.push(playlist::variant(&uri(&rungs::folder(*number)), init, peak, average));
        }
    }
    if let Some((_, rendition)) = recording.renditions.last_key_value() {
        // A file that cannot be read must not take the picture away as well.
        let sound = recorded_sound(library, rendition).await;
        lines.extend(sound.inspect_err(|error| tracing::warn!(%error, "no sound alone")).ok().flatten());
    }
    lines
}

/// Measured in some segments: the sound's bit rate hardly changes. None where there is no sound.
async fn recorded_sound(library: &Library, rendition: &Rendition) -> Result<Option<Variant>, LibraryError> {
    let Some(init) = rendition.inits.last().filter(|init| sound::codec(&init.codecs).is_some()) else {
        return Ok(None);
    };
    let step = rendition.segments.len().div_ceil(SOUND_SAMPLES).max(1);
    let mut spans = Vec::new();
    for row in rendition.segments.iter().step_by(step) {
        let bytes = library.open(&row.location)?.whole().await?;
        let sound = sound::media(&bytes).map_err(|error| LibraryError::Media(error.to_string()))?;
        spans.push((sound.len(), row.segment.duration));
    }
    Ok(bit_rates(spans.into_iter(), PEAKS).and_then(|(peak, average)| sound_line(init, peak, average)))
}

/// Bits per second at the peak, with so much above it, and on average, of stretches of so many bytes that last so many ticks.
fn bit_rates(spans: impl Iterator<Item = (usize, u64)>, above: f64) -> Option<(u64, u64)> {
    let (mut peak, mut bits, mut seconds) = (0.0_f64, 0.0, 0.0);
    for (bytes, ticks) in spans {
        let (here, lasts) = (bytes as f64 * 8.0, ticks_to_seconds(ticks).max(0.001));
        peak = peak.max(here / lasts);
        (bits, seconds) = (bits + here, seconds + lasts);
    }
    (seconds > 0.0).then(|| ((peak * above).ceil() as u64, (bits / seconds).ceil() as u64))
}

fn sound_line(init: &Init, bandwidth: u64, average_bandwidth: u64) -> Option<Variant> {
    let codecs = sound::codec(&init.codecs)?.to_owned();
    let uri = uri(sound::FOLDER);
    Some(Variant { uri, codecs, width: 0, height: 0, frame_rate_milli: 0, bandwidth, average_bandwidth })
}

fn uri(folder: &str) -> String {
    format!("{folder}/index.m3u8")
}
