//! Images of articles: which files are fit and what is kept of them, and what
//! a whole job makes of them.

mod fit;
mod job;
mod made;
mod world;
