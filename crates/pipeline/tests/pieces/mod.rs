//! A sink that keeps what it is given, piece by piece.

use std::sync::Mutex;

use lovage_pipeline::llm::Sink;

#[derive(Default)]
pub(crate) struct Pieces(pub(crate) Mutex<Vec<String>>);

impl Sink for Pieces {
    fn delta(&self, text: &str) {
        self.0.lock().unwrap().push(text.to_owned());
    }

    fn reset(&self) {
        self.0.lock().unwrap().clear();
    }
}
