//! What the settings say of each search service: `research.sources`,
//! `research.keys` and `research.addresses`, by the names in [`SOURCES`].

use lovage_pipeline::news::{SOURCES, SourceSpec};
use url::Url;

use super::error::ConfigError;
use super::layers::Layers;
use super::{Secret, web_address};

/// One search service.
pub(crate) struct Service {
    /// What is known of it.
    pub(crate) spec: &'static SourceSpec,
    /// Whether it may be asked.
    pub(crate) on: bool,
    /// Its address, where there is one.
    pub(crate) address: Option<Url>,
    /// Whether the operator chose the address.
    pub(crate) address_is_set: bool,
    /// Its keys, in the order of the spec; all or none.
    pub(crate) keys: Vec<Secret>,
}

impl Service {
    /// Whether research asks it.
    pub(crate) fn is_asked(&self) -> bool {
        self.to_do().is_none()
    }

    /// Whether the operator has set anything that only live research needs.
    pub(crate) fn is_set_up(&self) -> bool {
        self.is_asked() && (self.address_is_set || !self.keys.is_empty())
    }

    /// Whether it lacks a key; none where it needs none.
    pub(crate) fn has_keys(&self) -> Option<bool> {
        (!self.spec.keys.is_empty()).then_some(!self.keys.is_empty())
    }

    /// What is to be set before it is asked.
    pub(crate) fn to_do(&self) -> Option<String> {
        let name = self.spec.name;
        if !self.on {
            return Some(format!("set research.sources.{name} = true"));
        }
        if self.has_keys() == Some(false) {
            let keys = self.spec.keys.iter();
            let keys: Vec<String> = keys.map(|key| format!("research.keys.{key}")).collect();
            return Some(format!("set {}", keys.join(" and ")));
        }
        let lacks = self.address.is_none();
        lacks.then(|| format!("set research.addresses.{name}"))
    }
}

/// Every service there is.
pub(super) fn read(from: &Layers) -> Result<Vec<Service>, ConfigError> {
    SOURCES.iter().map(|spec| service(spec, from)).collect()
}

fn service(spec: &'static SourceSpec, from: &Layers) -> Result<Service, ConfigError> {
    let address = format!("research.addresses.{}", spec.name);
    Ok(Service {
        spec,
        on: from.flag(&format!("research.sources.{}", spec.name))?,
        address: from.parsed(&address, EXPECTED, |text| match text {
            "" if spec.address.is_empty() => Some(None),
            text => web_address(text).filter(is_plain).map(Some),
        })?,
        address_is_set: from.is_set(&address),
        keys: keys(spec, from)?,
    })
}

const EXPECTED: &str = "an http or https address without user, query or fragment";

fn is_plain(url: &Url) -> bool {
    let no_user = url.username().is_empty() && url.password().is_none();
    no_user && url.query().is_none() && url.fragment().is_none()
}

fn keys(spec: &SourceSpec, from: &Layers) -> Result<Vec<Secret>, ConfigError> {
    let names = spec.keys.iter().map(|key| format!("research.keys.{key}"));
    let names: Vec<String> = names.collect();
    let given: Vec<&str> = names
        .iter()
        .map(|name| from.text(name))
        .collect::<Result<_, _>>()?;
    if given.iter().all(|key| key.is_empty()) {
        return Ok(Vec::new());
    }
    match given.iter().position(|key| key.is_empty()) {
        None => Ok(given.into_iter().map(Secret::new).collect()),
        Some(place) => {
            let expected = format!("set too, as {} needs all its keys", spec.name);
            Err(from.invalid(&names[place], expected))
        }
    }
}
