//! Layers of settings, merged key by key; each value remembers where it came from.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Read as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::Deserialize as _;
use toml::de::{DeTable, DeValue, ValueDeserializer};
use toml::{Spanned, Table, Value};

use super::error::{ConfigError, Origin};
use super::secret::{self, MASK};
use super::suggest;

const DEFAULTS: &str = include_str!("../../../../config/lovage.toml");
const FILE_BYTES_MAX: u64 = 1 << 20;
/// First part of every variable of ours; sections and keys are joined by `__` too.
const VARIABLE: &str = "LOVAGE__";
/// Variables of other programs that mean the same. Ours win.
const ALIASES: [(&str, &str); 4] = [
    ("REDIS_URL", "store.url"),
    ("OPENAI_API_KEY", "llm.api_key"),
    ("OPENAI_BASE_URL", "llm.base_url"),
    ("RUST_LOG", "log.filter"),
];
/// Settings that are never printed, beside all of [`KEYS`].
const SECRETS: [&str; 2] = ["llm.api_key", "store.sentinel_login"];
/// The section of the sources' keys.
const KEYS: &str = "research.keys.";

fn is_secret(key: &str) -> bool {
    SECRETS.contains(&key) || key.starts_with(KEYS)
}

/// The effective value of every key, in the order of the defaults file.
#[derive(Debug)]
pub(super) struct Layers(Vec<Entry>);

pub(super) struct Entry {
    pub(super) key: String,
    pub(super) value: Value,
    pub(super) origin: Origin,
    default: Value,
}

impl std::fmt::Debug for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} = {} ({})", self.key, self.shown(), self.origin)
    }
}

impl Entry {
    /// The value as TOML, without secrets.
    pub(super) fn shown(&self) -> String {
        if self.value.is_table() {
            return "a table".to_owned(); // Its keys are none of ours, so they may be secrets.
        }
        self.told().to_string()
    }

    /// The value without secrets.
    fn told(&self) -> Value {
        let is_empty = self.value.as_str() == Some("");
        if is_secret(&self.key) && !is_empty {
            return Value::from(MASK);
        }
        without_passwords(&self.value)
    }

    fn is_in(&self, section: &str) -> bool {
        self.key
            .split_once('.')
            .is_some_and(|(of, _)| of == section)
    }
}

fn without_passwords(value: &Value) -> Value {
    match value {
        Value::String(text) => Value::String(secret::masked(text)),
        Value::Array(items) => Value::Array(items.iter().map(without_passwords).collect()),
        other => other.clone(),
    }
}

/// Whether a variable is one of those that hold settings.
pub(super) fn reads(variable: &str) -> bool {
    variable.starts_with(VARIABLE)
        || variable == "PORT"
        || ALIASES.iter().any(|(alias, _)| *alias == variable)
}

impl Layers {
    /// The file built into the program.
    pub(super) fn defaults() -> Result<Self, ConfigError> {
        let pairs = parse(DEFAULTS, Path::new("config/lovage.toml"), &|_| true)?;
        Ok(Self(
            pairs
                .into_iter()
                .map(|pair| Entry {
                    key: pair.key,
                    value: pair.value.clone(),
                    origin: Origin::Default,
                    default: pair.value,
                })
                .collect(),
        ))
    }

    pub(super) fn apply_file(&mut self, path: &Path) -> Result<(), ConfigError> {
        let text = read_text(path).map_err(|source| ConfigError::ReadFile {
            path: path.to_owned(),
            source,
        })?;
        for Pair { key, value, line } in parse(&text, path, &|key| self.is_section(key))? {
            let path = path.to_owned();
            self.set(&key, value, Origin::File { path, line })?;
        }
        Ok(())
    }

    pub(super) fn apply_file_if_there(&mut self, path: &Path) -> Result<(), ConfigError> {
        match self.apply_file(path) {
            Err(ConfigError::ReadFile { source, .. })
                if source.kind() == io::ErrorKind::NotFound =>
            {
                Ok(())
            }
            other => other,
        }
    }

    pub(super) fn apply_env(&mut self, env: &BTreeMap<String, String>) -> Result<(), ConfigError> {
        for (variable, key) in ALIASES {
            if let Some(text) = env.get(variable).filter(|text| !text.is_empty()) {
                self.set_from_text(key, text, variable)?;
            }
        }
        if let Some(port) = env.get("PORT").filter(|text| !text.is_empty()) {
            self.apply_port(port)?;
        }
        for (variable, text) in env {
            if let Some(rest) = variable.strip_prefix(VARIABLE) {
                let key = rest.replace("__", ".").to_ascii_lowercase();
                self.apply_variable(variable, &key, text, env)?;
            }
        }
        Ok(())
    }

    fn apply_variable(
        &mut self,
        variable: &str,
        key: &str,
        text: &str,
        env: &BTreeMap<String, String>,
    ) -> Result<(), ConfigError> {
        let named = key.strip_suffix("_file").filter(|key| self.has(key));
        let (Some(key), Some(plain)) = (named, variable.strip_suffix("_FILE")) else {
            return self.set_from_text(key, text, variable);
        };
        if env.get(plain).is_some_and(|text| !text.is_empty()) {
            return Err(ConfigError::Twice {
                variable: plain.to_owned(),
            });
        }
        let path = PathBuf::from(text);
        match read_text(&path) {
            Ok(text) => self.set_from_text(key, text.trim(), variable),
            Err(source) => Err(ConfigError::ReadValue {
                path,
                variable: variable.to_owned(),
                source,
            }),
        }
    }

    /// Hosts that choose the port say so in `PORT`, and leave the address to us.
    fn apply_port(&mut self, port: &str) -> Result<(), ConfigError> {
        let listen = self.entry("api.listen").value.as_str();
        let Some(mut listen) = listen.and_then(|text| text.parse::<SocketAddr>().ok()) else {
            return Ok(()); // The address is what is wrong, and reading it will say so.
        };
        let text = match port.parse() {
            Ok(port) => {
                listen.set_port(port);
                listen.to_string()
            }
            Err(_) => port.to_owned(),
        };
        self.set_from_text("api.listen", &text, "PORT")
    }

    pub(super) fn apply_flag(&mut self, key: &str, value: Value) -> Result<(), ConfigError> {
        self.set(key, value, Origin::Flag)
    }

    fn set_from_text(&mut self, key: &str, text: &str, variable: &str) -> Result<(), ConfigError> {
        let value = match self.0.iter().find(|entry| entry.key == key) {
            Some(entry) => value_like(&entry.default, text),
            None => Value::from(text),
        };
        self.set(key, value, Origin::Env(variable.to_owned()))
    }

    fn set(&mut self, key: &str, value: Value, origin: Origin) -> Result<(), ConfigError> {
        if let Some(entry) = self.0.iter_mut().find(|entry| entry.key == key) {
            entry.value = value;
            entry.origin = origin;
            return Ok(());
        }
        let known = self.0.iter().map(|entry| entry.key.as_str());
        if value.as_table().is_some_and(Table::is_empty) && self.is_section(key) {
            return Ok(()); // A section whose keys are all commented out.
        }
        // `LOVAGE__LLM__APIKEY_FILE` misspells `llm.api_key`.
        let word = key.strip_suffix("_file").unwrap_or(key);
        Err(ConfigError::Unknown {
            key: key.to_owned(),
            suggestion: suggest::nearest(word, known).map(str::to_owned),
            origin,
        })
    }

    /// Puts the defaults back into a section.
    pub(super) fn reset(&mut self, section: &str) {
        for entry in self.0.iter_mut().filter(|entry| entry.is_in(section)) {
            entry.value = entry.default.clone();
            entry.origin = Origin::Default;
        }
    }

    /// The values given in these sections; a secret is only told to be there.
    pub(super) fn recorded(&self, sections: &[&str]) -> Vec<(String, Value)> {
        let given = self.0.iter().filter(|entry| {
            entry.origin != Origin::Default && sections.iter().any(|of| entry.is_in(of))
        });
        given
            .map(|entry| (entry.key.clone(), entry.told()))
            .collect()
    }

    fn is_section(&self, key: &str) -> bool {
        let inside = |known: &str| {
            known
                .strip_prefix(key)
                .is_some_and(|rest| rest.starts_with('.'))
        };
        self.0.iter().any(|entry| inside(&entry.key))
    }

    fn has(&self, key: &str) -> bool {
        self.0.iter().any(|entry| entry.key == key)
    }

    pub(super) fn entry(&self, key: &str) -> &Entry {
        self.0
            .iter()
            .find(|entry| entry.key == key)
            .expect("every key that is read stands in config/lovage.toml")
    }

    pub(super) fn show(&self) -> String {
        let mut text = String::new();
        let mut section = "";
        for entry in &self.0 {
            let (of, name) = entry.key.rsplit_once('.').unwrap_or(("", &entry.key));
            if of != section {
                let gap = if section.is_empty() { "" } else { "\n" };
                let _ = writeln!(text, "{gap}[{of}]");
                section = of;
            }
            let _ = write!(text, "{name} = {}", entry.shown());
            if entry.origin != Origin::Default {
                let _ = write!(text, " # from {}", entry.origin);
            }
            text.push('\n');
        }
        text
    }
}

struct Pair {
    key: String,
    value: Value,
    line: usize,
}

/// Every key of a settings file, dotted, in the order of its lines. A table
/// inside a section is one of ours where `is_section` says so.
fn parse(
    text: &str,
    path: &Path,
    is_section: &dyn Fn(&str) -> bool,
) -> Result<Vec<Pair>, ConfigError> {
    let syntax = |error: toml::de::Error| {
        let (line, column) = position(text, error.span().map_or(0, |span| span.start));
        ConfigError::Syntax {
            path: path.to_owned(),
            line,
            column,
            message: error.message().to_owned(),
        }
    };
    let mut pairs = Vec::new();
    let document = DeTable::parse(text).map_err(syntax)?.into_inner();
    for (section, value) in &document {
        let (at, name) = (section.span().start, section.get_ref());
        match value.get_ref() {
            DeValue::Table(keys) if !keys.is_empty() => {
                flatten(name, keys, is_section, &mut pairs);
            }
            _ => pairs.push((at, name.to_string(), value.clone())),
        }
    }
    pairs.sort_by_key(|(at, ..)| *at);
    pairs
        .into_iter()
        .map(|(at, key, value)| {
            Ok(Pair {
                key,
                value: Value::deserialize(ValueDeserializer::from(value)).map_err(syntax)?,
                line: position(text, at).0,
            })
        })
        .collect()
}

fn flatten<'a>(
    section: &str,
    table: &DeTable<'a>,
    is_section: &dyn Fn(&str) -> bool,
    pairs: &mut Vec<(usize, String, Spanned<DeValue<'a>>)>,
) {
    for (key, value) in table {
        let dotted = format!("{section}.{}", key.get_ref());
        match value.get_ref() {
            DeValue::Table(keys) if !keys.is_empty() && is_section(&dotted) => {
                flatten(&dotted, keys, is_section, pairs);
            }
            _ => pairs.push((key.span().start, dotted, value.clone())),
        }
    }
}

/// Line and column of a byte, both counted from 1.
fn position(text: &str, at: usize) -> (usize, usize) {
    let before = text.get(..at).unwrap_or(text);
    let line = before.split('\n').count();
    let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
    (line, column)
}

/// `text` as the type of `default`; text that is none stays text, and reading it will refuse it.
fn value_like(default: &Value, text: &str) -> Value {
    let text = if default.is_str() { text } else { text.trim() };
    let value = match default {
        Value::Integer(_) => text.parse().ok().map(Value::Integer),
        Value::Boolean(_) => text.parse().ok().map(Value::Boolean),
        Value::Array(_) if text.starts_with('[') => ValueDeserializer::parse(text)
            .and_then(Value::deserialize)
            .ok(),
        Value::Array(_) => Some(Value::Array(
            text.split(',')
                .map(str::trim)
                .filter(|item| !item.is_empty())
                .map(Value::from)
                .collect(),
        )),
        _ => None,
    };
    value.unwrap_or_else(|| Value::from(text))
}

fn read_text(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?
        .take(FILE_BYTES_MAX + 1)
        .read_to_string(&mut text)?;
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    Ok(text)
}
