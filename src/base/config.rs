//! Settings of the process: flag over environment over file over default.
