//! What can be wrong with the settings, and where a value came from.

use std::fmt;
use std::io;
use std::path::PathBuf;

/// Settings that cannot be used. Never holds a secret.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    /// The settings file cannot be read.
    #[error("cannot read the settings file {path}")]
    ReadFile {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The file a `…_FILE` variable names cannot be read.
    #[error("cannot read {path} (from {variable})")]
    ReadValue {
        /// The file.
        path: PathBuf,
        /// The variable that names it.
        variable: String,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The settings file is not TOML. The line itself is left out: it may hold a secret.
    #[error("{path} is not valid TOML: line {line}, column {column}: {message}")]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// Counted from 1, in characters.
        column: usize,
        /// What the parser expected.
        message: String,
    },
    /// A variable that holds no text.
    #[error("{variable} must be UTF-8")]
    NotUtf8 {
        /// The variable.
        variable: String,
    },
    /// A key that does not exist.
    #[error("{key} is not a setting{} (from {origin})", did_you_mean(.suggestion.as_deref()))]
    Unknown {
        /// The key, dotted.
        key: String,
        /// The setting that was probably meant.
        suggestion: Option<String>,
        /// Where the key stands.
        origin: Origin,
    },
    /// A value of the wrong type, out of its bounds, or at odds with another setting.
    #[error("{key} must be {expected}, got {got} (from {origin})")]
    Invalid {
        /// The key, dotted.
        key: String,
        /// What would have been accepted.
        expected: String,
        /// The value as TOML, masked if it is a secret.
        got: String,
        /// Where the value came from.
        origin: Origin,
    },
    /// A variable and its `…_FILE` form are both set.
    #[error("{variable} and {variable}_FILE are both set; keep one")]
    Twice {
        /// The plain variable.
        variable: String,
    },
}

fn did_you_mean(suggestion: Option<&str>) -> String {
    suggestion
        .map(|key| format!("; did you mean {key}?"))
        .unwrap_or_default()
}

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origin {
    /// The file built into the program.
    Default,
    /// A settings file.
    File {
        /// The file as it was named.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
    },
    /// An environment variable.
    Env(String),
    /// The command line.
    Flag,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("the defaults"),
            Self::File { path, line } => write!(f, "{} line {line}", path.display()),
            Self::Env(variable) => f.write_str(variable),
            Self::Flag => f.write_str("the command line"),
        }
    }
}
