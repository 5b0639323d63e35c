//! Images of articles: which files are fit and what is kept of them, and what
//! a whole job makes of them.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod calls;
mod fit;
mod job;
mod made;
mod world;
