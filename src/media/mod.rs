//! Pure media logic: no clock, no file, no socket, no GStreamer. Bytes in, bytes and facts out.

pub mod aac;
pub mod fragment;
pub mod h264;
pub mod mp4;
pub mod packager;
pub mod playlist;
pub mod progressive;
pub mod protocol;
pub mod reload;
pub mod window;
