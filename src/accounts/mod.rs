//! People and what they may do, as pure rules: names, passwords, tokens, roles. Nothing here stores or asks for anything.

pub mod account;
pub mod password;
pub mod permission;
pub mod token;

pub use account::{Invalid, Username};
pub use permission::{Audience, Role};
