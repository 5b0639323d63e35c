//! The recipe of `script.generate`: plan, research, write, in the order they run.

pub mod types;
