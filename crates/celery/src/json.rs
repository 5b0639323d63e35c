//! JSON as Python writes it: with NaN and Infinity.

/// A text with the bare tokens NaN, Infinity and -Infinity as objects that JSON
/// has: `{"__type__":"float","__value__":"nan"}`. Borrowed when it has none.
pub(crate) fn strict(text: &str) -> std::borrow::Cow<'_, str> {
    let _ = text;
    todo!("codec")
}

/// The other way: for what goes to Python.
pub(crate) fn pythonic(text: &str) -> std::borrow::Cow<'_, str> {
    let _ = text;
    todo!("codec")
}
