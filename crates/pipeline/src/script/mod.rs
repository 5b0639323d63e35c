//! The recipe of `script.generate`: plan, research, write, in the order they run.

pub mod evidence;
pub(crate) mod hangul;
mod number;
pub mod parse;
pub mod prompt;
pub mod request;
pub mod types;
pub mod verify;
