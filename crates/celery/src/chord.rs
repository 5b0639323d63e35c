//! Chords: a header whose parts are counted, and the body that gets their results.
