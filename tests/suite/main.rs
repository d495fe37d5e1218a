//! Black-box tests of the real executable, and property tests of what is pure.
// What cannot be had in a test fails it, with the line.
#![allow(clippy::unwrap_used)]

mod command;
mod packager;
mod playlist_rules;
mod rtmp;
mod server;
mod tidy;
mod worker;
