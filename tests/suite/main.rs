mod command;
mod rtmp;
mod server;
mod worker;
