//! From a job's events to what its producer sees.
