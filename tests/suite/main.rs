//! The real executable from outside, over real sockets, with real media.
#![allow(clippy::unwrap_used)] // a test that cannot go on shall say where

mod worker;
