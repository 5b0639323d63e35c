//! Options of a signature; an absent one and null are the same.

use lovage_core::payload::Payload;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::refusal::Refusal;
use crate::signature::Signature;

impl Signature {
    /// An option that is there.
    pub(super) fn option(&self, name: &str) -> Option<&Payload> {
        self.options
            .get(name)
            .filter(|value| value.as_str() != "null")
    }

    /// An option of this type, where it is there.
    pub(super) fn read<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, Refusal> {
        self.option(name).map(|value| read(value, name)).transpose()
    }

    /// An option that is one signature or a list of them.
    pub(super) fn list(&self, name: &str) -> Result<Vec<Payload>, Refusal> {
        self.option(name)
            .map_or(Ok(Vec::new()), |value| items(value, name))
    }

    /// Sets an option, whatever it was.
    pub(super) fn set(&mut self, name: &str, value: Payload) {
        self.options.insert(name.to_owned(), value);
    }

    /// Sets an option that is missing.
    pub(super) fn set_missing(&mut self, name: &str, value: &Payload) {
        if self.option(name).is_none() {
            self.set(name, value.clone());
        }
    }

    /// Adds signatures to an option that is a list of them.
    pub(super) fn extend(&mut self, name: &str, more: &[Payload]) -> Result<(), Refusal> {
        if !more.is_empty() {
            let mut all = self.list(name)?;
            all.extend_from_slice(more);
            self.set(name, array(&all));
        }
        Ok(())
    }

    /// Takes over what another signature's options say.
    pub(super) fn take_over(&mut self, other: &Self) {
        let given = other
            .options
            .iter()
            .filter(|(_, value)| value.as_str() != "null");
        self.options
            .extend(given.map(|(name, value)| (name.clone(), value.clone())));
    }

    /// Takes an option out.
    pub(super) fn take(&mut self, name: &str) -> Option<Payload> {
        self.options
            .remove(name)
            .filter(|value| value.as_str() != "null")
    }
}

/// A value of an expected type; `name` says whose it is.
pub(super) fn read<'a, T: Deserialize<'a>>(value: &'a Payload, name: &str) -> Result<T, Refusal> {
    value
        .read()
        .map_err(|error| Refusal::Malformed(format!("{name} of a signature: {error}")))
}

/// The items of a list, or the one thing that stands for a list of one.
pub(super) fn items(value: &Payload, name: &str) -> Result<Vec<Payload>, Refusal> {
    if value.as_str().starts_with('[') {
        read(value, name)
    } else {
        Ok(vec![value.clone()])
    }
}

/// A JSON array.
pub(super) fn array(items: &[Payload]) -> Payload {
    Payload::of(&items).expect("payloads are JSON")
}

/// A JSON string.
pub(super) fn string(text: &str) -> Payload {
    Payload::of(&text).expect("text has a JSON form")
}
