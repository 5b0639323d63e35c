//! What a person sees on a terminal.

pub(crate) mod limit;
pub(crate) mod note;
pub(crate) mod out;
pub(crate) mod steps;
pub(crate) mod table;
pub(crate) mod wait;
