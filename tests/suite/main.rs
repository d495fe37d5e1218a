//! Black-box tests of the real executable, and property tests of what is pure.

mod command;
mod packager;
mod playlist_rules;
mod rtmp;
mod server;
mod tidy;
mod worker;
