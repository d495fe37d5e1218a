//! The parent's side of a worker: the child process, its socket, and the supervision that keeps one running. What a worker
//! does inside is `capture`; what it says is `media::protocol`.

pub mod process;
pub mod sandbox;
pub mod supervisor;
