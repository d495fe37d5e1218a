//! Pure media logic: no clock, no file, no socket, no GStreamer. Bytes in, bytes and facts out.

pub mod aac;
pub mod cadence;
pub mod camera;
pub mod captions;
pub mod collate;
pub mod edit;
pub mod edit_wish;
pub mod fit;
pub mod flv;
pub mod fragment;
pub mod h264;
pub mod ladder;
pub mod mp4;
pub mod pace;
pub mod packager;
pub mod passthrough;
pub mod playlist;
pub mod progressive;
pub mod protocol;
pub mod reload;
pub mod rungs;
pub mod shedding;
pub mod sound;
pub mod steps;
pub mod tone;
pub mod window;

/// Media that cannot be understood or written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MediaError {
    #[error("the video cannot be understood: {0}")]
    Video(&'static str),
    #[error("the audio cannot be understood: {0}")]
    Audio(&'static str),
    /// Neither H.264 nor AAC.
    #[error("the publisher sends {0}, but only H.264 and AAC can be broadcast")]
    Codec(&'static str),
    #[error("a sample is too large")]
    TooLarge,
    #[error("the media cannot be written: {0}")]
    Write(String),
}

impl From<mp4_atom::Error> for MediaError {
    fn from(error: mp4_atom::Error) -> Self {
        Self::Write(error.to_string())
    }
}

/// Samples of audio at `rate` as 90 kHz ticks, rounded down.
pub fn ticks_of_samples(samples: u64, rate: u32) -> u64 {
    (u128::from(samples) * u128::from(crate::base::clock::TIMESCALE) / u128::from(rate.max(1))) as u64
}

/// 90 kHz ticks as samples of audio at `rate`, rounded to the nearest.
pub fn samples_of_ticks(ticks: u64, rate: u32) -> u64 {
    let scale = u128::from(crate::base::clock::TIMESCALE);
    ((u128::from(ticks) * u128::from(rate) + scale / 2) / scale) as u64
}
