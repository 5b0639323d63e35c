//! Kinds: what each one takes, what runs it, and how its results can be shown.
//!
//! A kind is a folder whose `entry()` stands in [`crate::standard`]; the queue's
//! catalogue, the worker's handlers and the API's renderings all read that list.

use std::sync::Arc;

use lovage_workflow::{Catalog, Handler, Handlers, KindSpec, Payload};
use serde_json::Value;

use crate::script::Deps;

type Make = Arc<dyn Fn(&Deps) -> Arc<dyn Handler> + Send + Sync>;
type Show = Arc<dyn Fn(&Payload) -> Result<String, String> + Send + Sync>;

/// A way to show results of a kind, beside the JSON that every kind has.
#[derive(Clone)]
pub struct Rendering {
    /// Name, as in `?format=markdown`.
    pub format: &'static str,
    /// Media type of what is shown.
    pub content_type: &'static str,
    show: Show,
}

impl Rendering {
    /// A rendering by a pure function of the result; it says why one cannot be shown.
    pub fn new(
        format: &'static str,
        content_type: &'static str,
        show: impl Fn(&Payload) -> Result<String, String> + Send + Sync + 'static,
    ) -> Self {
        Self {
            format,
            content_type,
            show: Arc::new(show),
        }
    }

    /// The result, shown.
    ///
    /// # Errors
    /// Why it cannot be shown: it has another shape, say.
    pub fn show(&self, result: &Payload) -> Result<String, String> {
        (self.show)(result)
    }
}

/// Everything the system has to know of a kind.
#[derive(Clone)]
pub struct KindEntry {
    /// Name, defaults, and how an input is checked.
    pub spec: KindSpec,
    /// A small input that passes the check.
    pub example: Value,
    /// How results can be shown, beside JSON.
    pub renderings: Vec<Rendering>,
    make: Make,
}

impl KindEntry {
    /// A kind whose jobs are run by what `make` makes; its results are JSON only.
    pub fn new<H: Handler>(
        spec: KindSpec,
        example: Value,
        make: impl Fn(&Deps) -> H + Send + Sync + 'static,
    ) -> Self {
        Self {
            spec,
            example,
            renderings: Vec::new(),
            make: Arc::new(move |deps| Arc::new(make(deps))),
        }
    }

    /// The kind, its results shown in these ways too.
    #[must_use]
    pub fn shown(mut self, renderings: impl IntoIterator<Item = Rendering>) -> Self {
        self.renderings.extend(renderings);
        self
    }

    /// The kind's name.
    pub fn name(&self) -> &str {
        self.spec.kind.as_str()
    }
}

/// The kinds of a system.
#[derive(Clone)]
pub struct Kinds(Arc<[KindEntry]>);

impl Kinds {
    /// These kinds.
    pub fn new(entries: impl IntoIterator<Item = KindEntry>) -> Self {
        Self(entries.into_iter().collect())
    }

    /// The kinds, in the order they were given.
    pub fn iter(&self) -> impl Iterator<Item = &KindEntry> {
        self.0.iter()
    }

    /// The kind of this name.
    pub fn get(&self, kind: &str) -> Option<&KindEntry> {
        self.iter().find(|entry| entry.name() == kind)
    }

    /// What the queue has to know of them.
    pub fn catalog(&self) -> Catalog {
        Catalog::new(self.iter().map(|entry| entry.spec.clone()))
    }

    /// What runs them.
    pub fn handlers(&self, deps: &Deps) -> Handlers {
        let none = Handlers::new();
        self.iter().fold(none, |handlers, entry| {
            handlers.with_shared(entry.name(), (entry.make)(deps))
        })
    }

    /// The rendering of a kind's results under this name.
    pub fn rendering(&self, kind: &str, format: &str) -> Option<&Rendering> {
        let mut renderings = self.get(kind)?.renderings.iter();
        renderings.find(|rendering| rendering.format == format)
    }
}
