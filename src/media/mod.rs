//! Pure media logic: no clock, no file, no socket, no GStreamer. Bytes in, bytes and facts out.

pub mod protocol;
