//! HTTP: routes, who may call them, pages, media, REST and server-sent events. A handler takes what it needs as
//! arguments, makes one call, and answers; rules of the product are below.

pub mod access;
pub mod api;
pub mod assets;
pub mod body;
pub mod cookies;
pub mod csrf;
pub mod envelope;
pub mod error;
pub mod events;
pub mod guard;
pub mod health;
pub mod i18n;
pub mod input;
pub mod live;
pub mod media;
pub mod multipart;
pub mod page;
pub mod recorded;
mod renditions;
pub mod server;
pub mod site;
pub mod studio;
pub mod tls;
pub mod wire;
