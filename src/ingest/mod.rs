//! Media that others bring to us over the network. What becomes of it is decided above.

pub mod rtmp;
