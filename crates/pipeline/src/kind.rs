//! Kinds: what each one takes, what runs it, and how its results can be shown.
//!
//! A kind is a folder whose `entry()` stands in [`crate::standard`]; the queue's
//! catalogue, the worker's handlers and the API's renderings all read that list.

use std::sync::Arc;

use lovage_workflow::{Catalog, Estimate, Estimator, Handler, Handlers, InputError, KindSpec};
use serde_json::Value;

use crate::batch;
use crate::llm::TokenUsage;
use crate::render::Rendering;
use crate::script::{Deps, Prices};

type Make = Arc<dyn Fn(&Deps) -> Arc<dyn Handler> + Send + Sync>;

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

fn priced(estimate: Estimator, prices: Prices) -> Estimator {
    Arc::new(move |input| {
        let mut estimate = estimate(input);
        for step in &mut estimate.by_step {
            let usage = TokenUsage {
                prompt: Some(step.prompt_tokens),
                completion: Some(step.completion_tokens),
                cached: None,
            };
            let price = prices.of(&step.step);
            step.cost_usd = price.and_then(|price| price.cost(&usage));
        }
        let steps = estimate.by_step.iter();
        let unpriced: Vec<_> = steps
            .filter(|step| step.cost_usd.is_none())
            .map(|step| step.step.as_str())
            .collect();
        if !unpriced.is_empty() {
            estimate.notes.push(format!(
                "no price is set here for the model of {}: the cost is unknown",
                unpriced.join(", ")
            ));
        }
        estimate
    })
}

/// The kinds of a system.
#[derive(Clone)]
pub struct Kinds(Arc<[KindEntry]>);

impl Kinds {
    /// These kinds, and batches of them.
    pub fn new(entries: impl IntoIterator<Item = KindEntry>) -> Self {
        let mut entries: Vec<_> = entries.into_iter().collect();
        entries.push(batch::entry(catalog(&entries)));
        Self(entries.into())
    }

    /// The kinds, in the order they were given.
    pub fn iter(&self) -> impl Iterator<Item = &KindEntry> {
        self.0.iter()
    }

    /// The kind of this name.
    pub fn get(&self, kind: &str) -> Option<&KindEntry> {
        self.iter().find(|entry| entry.name() == kind)
    }

    /// The rendering of a kind's results under this name.
    pub fn rendering(&self, kind: &str, format: &str) -> Option<&Rendering> {
        let mut renderings = self.get(kind)?.renderings.iter();
        renderings.find(|rendering| rendering.format == format)
    }

    /// The same kinds, their estimates priced. Without a price costs stay unknown.
    #[must_use]
    pub fn priced(&self, prices: Prices) -> Self {
        let own = self.iter().filter(|entry| entry.name() != batch::KIND);
        let priced = own.cloned().map(|mut entry| {
            let estimate = entry.spec.estimate.take();
            entry.spec.estimate = estimate.map(|of| priced(of, prices));
            entry
        });
        Self::new(priced)
    }

    /// What the queue has to know of them.
    pub fn catalog(&self) -> Catalog {
        catalog(&self.0)
    }

    /// What runs them.
    pub fn handlers(&self, deps: &Deps) -> Handlers {
        let none = Handlers::new();
        self.iter().fold(none, |handlers, entry| {
            handlers.with_shared(entry.name(), (entry.make)(deps))
        })
    }
}

/// What the queue has to know of a kind whose inputs `parse` reads and whose
/// requests `estimate` estimates.
///
/// # Panics
/// When the name is none of a kind.
pub(crate) fn spec<T: 'static>(
    name: &str,
    about: &'static str,
    parse: fn(&Value) -> Result<T, Vec<InputError>>,
    estimate: fn(&T) -> Estimate,
) -> KindSpec {
    KindSpec {
        check: Arc::new(move |input| parse(input).map(drop)),
        estimate: Some(Arc::new(move |input| {
            parse(input).map_or_else(|_| Estimate::default(), |asked| estimate(&asked))
        })),
        ..KindSpec::new(name.parse().expect("the name is valid"), about)
    }
}

fn catalog(entries: &[KindEntry]) -> Catalog {
    Catalog::new(entries.iter().map(|entry| entry.spec.clone()))
}
