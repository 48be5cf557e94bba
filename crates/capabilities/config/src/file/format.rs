//! Files that hold all values.

use std::{fmt, path::Path, str::FromStr};

use crate::Value;

/// How values are written in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// TOML: tables within tables are names with dots, `db.password`.
    Toml,
    /// JSON: one object, and the same for those in it.
    Json,
    /// Lines of `NAME=VALUE`.
    Env,
}

/// What is wrong with a file; never what is in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    format: Format,
    /// From 1.
    line: Option<usize>,
}

impl Format {
    /// What a file's name says.
    pub(super) fn of(path: &Path) -> Option<Self> {
        if path.file_name()?.to_str()?.starts_with(".env") {
            return Some(Self::Env);
        }
        path.extension()?.to_str()?.parse().ok()
    }
}

impl FromStr for Format {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "toml" => Ok(Self::Toml),
            "json" => Ok(Self::Json),
            "env" => Ok(Self::Env),
            _ => Err("is none of `toml`, `json` and `env`"),
        }
    }
}

/// The values of a file, each name once.
///
/// # Errors
/// When it is not of its format.
pub fn parse(format: Format, text: &[u8]) -> Result<Vec<(String, Value)>, Fault> {
    let fault = |line| Fault { format, line };
    let utf8 = |text| {
        std::str::from_utf8(text)
            .map_err(|error| fault(Some(1 + bytes_lines(&text[..error.valid_up_to()]))))
    };
    let mut values = Vec::new();
    match format {
        Format::Toml => {
            let text = utf8(text)?;
            let table = toml::from_str::<toml::Table>(text).map_err(|error| {
                let at = error.span().map(|span| span.start.min(text.len()));
                fault(at.map(|at| 1 + bytes_lines(&text.as_bytes()[..at])))
            })?;
            add_toml(&mut values, String::new(), toml::Value::Table(table));
        }
        Format::Json => {
            let tree = serde_json::from_slice::<serde_json::Value>(text);
            let tree = tree.map_err(|error| fault(Some(error.line())))?;
            if !tree.is_object() {
                return Err(fault(Some(1)));
            }
            add_json(&mut values, String::new(), tree);
        }
        Format::Env => {
            // It knows no line numbers, and its errors quote the line.
            for line in dotenvy::from_read_iter(text) {
                let (name, value) = line.map_err(|_| fault(None))?;
                values.push((name, value.into()));
            }
            // The last of a name is the one that a shell would have.
            values.reverse();
        }
    }
    values.sort_by(|(one, _), (other, _)| one.cmp(other));
    values.dedup_by(|(one, _), (other, _)| one == other);
    values.retain(|(name, _)| !name.is_empty());
    Ok(values)
}

fn bytes_lines(text: &[u8]) -> usize {
    text.iter().filter(|byte| **byte == b'\n').count()
}

fn inside(name: &str, key: &str) -> String {
    if name.is_empty() { key.to_owned() } else { format!("{name}.{key}") }
}

fn add_toml(values: &mut Vec<(String, Value)>, name: String, value: toml::Value) {
    let text = match value {
        toml::Value::Table(table) => {
            for (key, value) in table {
                add_toml(values, inside(&name, &key), value);
            }
            return;
        }
        toml::Value::String(text) => text,
        toml::Value::Integer(number) => number.to_string(),
        toml::Value::Float(number) => number.to_string(),
        toml::Value::Boolean(flag) => flag.to_string(),
        toml::Value::Datetime(time) => time.to_string(),
        list @ toml::Value::Array(_) => serde_json::to_string(&list).unwrap_or_default(),
    };
    values.push((name, text.into()));
}

/// Adds what is in a tree of JSON: objects within objects are names with dots.
pub(crate) fn add_json(values: &mut Vec<(String, Value)>, name: String, value: serde_json::Value) {
    let text = match value {
        serde_json::Value::Object(entries) => {
            for (key, value) in entries {
                add_json(values, inside(&name, &key), value);
            }
            return;
        }
        serde_json::Value::Null => return,
        serde_json::Value::String(text) => text,
        other => other.to_string(),
    };
    values.push((name, text.into()));
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.format {
            Format::Toml => "no TOML",
            Format::Json => "no object of JSON",
            Format::Env => "a line that is not NAME=VALUE; put values with spaces in quotes",
        };
        match self.line {
            Some(line) => write!(f, "{what}, at line {line}"),
            None => f.write_str(what),
        }
    }
}
