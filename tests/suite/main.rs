//! Black-box tests of the real executable, and property tests of what is pure.
// What cannot be had in a test fails it, with the line.
#![allow(clippy::unwrap_used)]

mod bad_input;
mod bad_setting;
mod client;
mod command;
mod live_playlist;
mod packager;
mod playlist_rules;
mod ranges;
mod roles;
mod rtmp;
mod server;
mod tidy;
mod tools;
mod walk;
mod worker;
mod worker_faults;
