//! web

pub mod assets;
pub mod i18n;
pub mod page;
