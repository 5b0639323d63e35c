//! A format of a kind's results: one function from the result to text.

use std::fmt;
use std::sync::Arc;

use lovage_workflow::Payload;
use serde::de::DeserializeOwned;

/// A parameter of a rendering, such as `?for=d3`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Choice {
    /// Its name.
    pub name: &'static str,
    /// What it may be; the first stands when nothing is given.
    pub values: &'static [&'static str],
}

/// Parameters that were given to a rendering, with their values.
pub type Given<'a> = [(&'a str, &'a str)];

impl Choice {
    /// The value given for it, or its first.
    ///
    /// # Errors
    /// What was expected, when the value is none of [`Self::values`].
    pub fn among(&self, given: &Given<'_>) -> Result<&'static str, String> {
        let got = given.iter().find(|(name, _)| *name == self.name);
        let Some((_, got)) = got else {
            return Ok(self.values[0]);
        };
        let found = self.values.iter().find(|value| *value == got);
        found.copied().ok_or_else(|| {
            let (name, values) = (self.name, self.values.join(", "));
            format!("expected {name} to be one of {values}, got {got:?}")
        })
    }
}

type Show = dyn Fn(&Payload, &Given<'_>) -> Result<String, String> + Send + Sync;

/// A way to show the results of a kind, beside the JSON that every kind has.
///
/// ```
/// use lovage_pipeline::render::Rendering;
/// use lovage_pipeline::script::types::ScriptResult;
///
/// let title = |script: &ScriptResult| Ok(script.title.clone());
/// let rendering = Rendering::new("title", "text/plain; charset=utf-8", title);
/// assert_eq!(rendering.format, "title");
/// ```
#[derive(Clone)]
pub struct Rendering {
    /// Its name, as in `?format=markdown`. `json` and `all` are taken.
    pub format: &'static str,
    /// Media type of the text.
    pub content_type: &'static str,
    /// Its parameters.
    pub options: &'static [Choice],
    show: Arc<Show>,
}

impl Rendering {
    /// A rendering by a pure function of the result, which says why one cannot be shown.
    pub fn new<T: DeserializeOwned>(
        format: &'static str,
        content_type: &'static str,
        show: impl Fn(&T) -> Result<String, String> + Send + Sync + 'static,
    ) -> Self {
        Self::with_options(format, content_type, &[], move |result: &T, _| show(result))
    }

    /// A rendering with parameters.
    pub fn with_options<T: DeserializeOwned>(
        format: &'static str,
        content_type: &'static str,
        options: &'static [Choice],
        show: impl Fn(&T, &Given<'_>) -> Result<String, String> + Send + Sync + 'static,
    ) -> Self {
        let show = move |result: &Payload, given: &Given<'_>| {
            let result: T = result
                .read()
                .map_err(|error| format!("the result has another shape: {error}"))?;
            show(&result, given)
        };
        Self {
            format,
            content_type,
            options,
            show: Arc::new(show),
        }
    }

    /// The result, shown.
    ///
    /// # Errors
    /// Why it cannot be shown: it has another shape, say.
    pub fn show(&self, result: &Payload, given: &Given<'_>) -> Result<String, String> {
        (self.show)(result, given)
    }
}

impl fmt::Debug for Rendering {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rendering")
            .field("format", &self.format)
            .field("content_type", &self.content_type)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}
