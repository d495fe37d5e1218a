//! Black-box tests of the real executable, and property tests of what is pure.
// What cannot be had in a test fails it, with the line.
#![allow(clippy::unwrap_used)]

mod backup;
mod bad_input;
mod bad_setting;
mod captions;
mod chaos;
mod client;
mod clocks;
mod command;
mod corpus;
mod disk_faults;
mod editing;
mod encoders;
mod forms;
mod fsck_faults;
mod hundred_hours;
mod imports;
mod ladder_of_recordings;
mod live_playlist;
mod open_pages;
mod packager;
mod playlist_rules;
mod power;
mod pusher;
mod ranges;
mod renditions;
mod restart;
mod roles;
mod room;
mod routes;
mod rtmp;
mod rtmp_times;
mod rungs;
mod server;
mod several;
mod slate;
mod sync;
mod thumbnails;
mod tidy;
mod tools;
mod uploads;
mod walk;
mod worker;
mod worker_faults;
