//! The kind `script.revise`: a chapter's story and an edit request in, the
//! revised story and what has changed out.
//!
//! The story is data: orders inside it are not followed. The edit request says
//! what to change, and nothing else.

mod diff;
mod passage;
mod request;
mod show;
pub mod types;

pub use request::{EDIT_REQUEST_CHARS_MAX, STORY_CHARS_MAX, parse};

/// The kind's name.
pub const KIND: &str = "script.revise";
