//! The bridge as a whole: its tasks, their start and their end.
