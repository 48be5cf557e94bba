//! The settings of a site: its `.wws.toml`.

use std::collections::BTreeMap;

use reef_document::{At, Diagnostic, Diagnostics, Source, Syntax, decode, parse};
use serde::Deserialize;

use crate::language::Language;

/// The language runtimes that a site was made for.
///
/// Wasm Workers Server fetches them from where this file says. A host that has runtimes of its own needs
/// nothing of it; what it says is that a language is expected.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Project {
    /// The version of this format: 1.
    pub version: At<u32>,
    /// Where runtimes come from.
    #[serde(default)]
    pub repositories: Vec<Repository>,
}

/// A place that runtimes come from.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Repository {
    /// What it is called.
    pub name: String,
    /// Its index.
    pub url: String,
    /// What the site uses of it.
    #[serde(default)]
    pub runtimes: Vec<Runtime>,
}

/// A language runtime: a WASI command that evaluates a file.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Runtime {
    /// The language, mostly: `python`.
    pub name: At<String>,
    /// Its version.
    pub version: String,
    /// Other names of the version.
    #[serde(default)]
    pub tags: Vec<String>,
    /// Whether it should be used: `active`, `yanked`, `deprecated` or `unknown`.
    pub status: String,
    /// The endings of the files that it evaluates.
    pub extensions: Vec<At<String>>,
    /// Its arguments.
    pub args: Vec<String>,
    /// Its environment variables.
    #[serde(default)]
    pub envs: Option<BTreeMap<String, String>>,
    /// The command.
    pub binary: Remote,
    /// What is put beside the worker.
    #[serde(default)]
    pub polyfill: Option<Remote>,
    /// What is put around the worker.
    #[serde(default)]
    pub wrapper: Option<Remote>,
    /// A worker to begin with.
    #[serde(default)]
    pub template: Option<Remote>,
}

/// A file to be fetched.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Remote {
    /// From where.
    pub url: String,
    /// What it is called then.
    pub filename: String,
    /// What it must be.
    pub checksum: Checksum,
}

/// What a file must be.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Checksum {
    /// `sha256`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Hexadecimal digits.
    pub value: String,
}

impl Project {
    /// Reads the file. What is wrong is added to `found`; there is a project only if nothing makes it
    /// unusable. A language that has no runtime here is a warning.
    pub fn parse(source: &Source, found: &mut Diagnostics) -> Option<Self> {
        let mut own = Diagnostics::default();
        let project = match parse(source, Syntax::Toml) {
            Ok(node) => decode::<Self>(&node, &mut own),
            Err(wrong) => {
                own = wrong;
                None
            }
        };
        for runtime in project.iter().flat_map(Self::runtimes) {
            for ending in &runtime.extensions {
                if Language::of_ending(ending).is_none() {
                    let warning = format!("there is no runtime for `.{ending}` files");
                    let warning = Diagnostic::warning(warning.escape_debug().to_string());
                    let warning = match ending.span() {
                        Some(span) => warning.at(span),
                        None => warning,
                    };
                    let help = format!("`{}` is not used; its workers are skipped", runtime.name);
                    own.push(warning.help(help));
                }
            }
        }
        own.settle(source);
        let usable = !own.has_errors();
        found.extend(own);
        project.filter(|_| usable)
    }

    /// Every runtime of it.
    pub fn runtimes(&self) -> impl Iterator<Item = &Runtime> {
        self.repositories.iter().flat_map(|repository| &repository.runtimes)
    }
}

#[cfg(test)]
mod tests;
