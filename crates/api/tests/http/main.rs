//! The interface on a real socket, over the model of a store.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up must fail")]

mod batches;
mod bounds;
mod children;
mod down;
mod enqueue;
mod estimate;
mod events;
mod images;
mod jobs;
mod lifecycle;
mod limits;
mod openapi;
mod queues;
mod result;
mod signals;
mod support;
