//! From messages to jobs.
