//! Texts of the studio.
