//! Manifests as documents.
//!
//! A manifest is text that a person wrote. This crate turns TOML, YAML and JSON into one tree that
//! knows where each value stands, and the tree into typed values by `serde`, so that whatever is wrong
//! can be shown at its place: fields that nobody knows, each with the nearest one that is known, values
//! of the wrong type, and, through [`At`], whatever is found out later.
//!
//! Bounded: a document has a largest size, depth and number of values, YAML's aliases counted as often
//! as they are used.

mod at;
mod de;
mod diagnostic;
mod many;
mod node;
mod toml;
mod yaml;

pub use at::At;
pub use de::decode;
pub use diagnostic::{Diagnostic, Diagnostics, Severity, Source};
pub use many::Many;
pub use node::{Entry, Node, Value};

/// What a manifest is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Syntax {
    /// TOML 1.1.
    Toml,
    /// YAML 1.2, of which JSON is a part.
    Yaml,
}

/// The largest document in bytes. Manifests are written by hand; what is larger is no manifest.
pub const LARGEST: usize = 4 << 20;
/// The deepest nesting.
pub const DEEPEST: usize = 64;
/// The most values.
pub const MOST_VALUES: usize = 200_000;

/// Reads a document.
///
/// # Errors
/// The faults of its syntax, and the bounds that it exceeds.
pub fn parse(source: &Source, syntax: Syntax) -> Result<Node, Diagnostics> {
    if source.text().len() > LARGEST {
        let size = source.text().len();
        return Err(Diagnostic::error(format!(
            "{} has {size} bytes: a manifest has at most {LARGEST}",
            source.name()
        ))
        .help("is this the manifest, and not something that it names?")
        .of(source)
        .into());
    }
    match syntax {
        Syntax::Toml => toml::parse(source),
        Syntax::Yaml => yaml::parse(source),
    }
}

#[cfg(test)]
mod tests;
