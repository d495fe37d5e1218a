//! Texts of the admin pages.
