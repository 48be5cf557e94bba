//! Whether a host that provides certain interfaces can run an artifact, import by import.

use std::collections::HashSet;

use semver::Version;
use serde::Serialize;

use crate::artifact::{Artifact, Sort};
use crate::error::Error;
use crate::inspection::{Inspection, Item};
use crate::name::{InterfaceName, compatible};

/// One interface, or one module of core functions, that the host provides. Several versions of an
/// interface are several of these.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Provided {
    /// `wasi:http/types`; `wasi_snapshot_preview1`. Without the version.
    pub name: String,
    /// None for modules of core functions.
    pub version: Option<Version>,
    /// The functions, as linkers know them (`[method]fields.get`; `fd_write`). None: all that an
    /// import of this version can ask for.
    pub items: Option<HashSet<String>>,
}

impl Provided {
    /// An interface (`wasi:http/types@0.2.12`) or a core module, with all its functions.
    pub fn all(name: &str) -> Provided {
        let InterfaceName { name, version } = InterfaceName::parse(name);
        Provided { name, version, items: None }
    }

    /// The same with these functions and no others.
    pub fn with(name: &str, items: impl IntoIterator<Item = impl Into<String>>) -> Provided {
        let items = Some(items.into_iter().map(Into::into).collect());
        Provided { items, ..Provided::all(name) }
    }

    fn full_name(&self) -> String {
        InterfaceName { name: self.name.clone(), version: self.version.clone() }.to_string()
    }

    fn has(&self, item: &str) -> bool {
        self.items.as_ref().is_none_or(|items| items.contains(item))
    }
}

/// The answer for a whole artifact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CanRun {
    /// One per import, in the order of [`Inspection::imports`].
    pub imports: Vec<Checked>,
}

/// The answer for one import.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Checked {
    /// `wasi:http/types@0.2.3`; `wasi_snapshot_preview1.fd_write`.
    pub import: String,
    #[serde(flatten)]
    pub verdict: Verdict,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "verdict", rename_all = "kebab-case")]
pub enum Verdict {
    /// The host has it.
    Satisfied {
        /// With the version that answers it.
        by: String,
    },
    /// The host does not have it.
    Missing {
        #[serde(flatten)]
        why: Missing,
        /// What the host has that is most like it.
        #[serde(skip_serializing_if = "Option::is_none")]
        nearest: Option<String>,
    },
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "why", rename_all = "kebab-case")]
pub enum Missing {
    /// The host has the interface in versions that are not compatible; `nearest` is one of them.
    Version,
    /// The host has the interface, without these functions of it.
    Functions { functions: Vec<String> },
    /// The host has the core module, without this function.
    Item,
    /// The host has nothing of this name.
    Name,
}

impl CanRun {
    /// Checks every import that the inspection lists.
    pub fn check(inspection: &Inspection, provided: &[Provided]) -> CanRun {
        let mut search = Search { provided, left: MAX_SEARCHES };
        let check = |item: &Item| Checked { import: item.full_name(), verdict: search.check(item) };
        CanRun { imports: inspection.imports.iter().map(check).collect() }
    }

    /// Nothing is missing.
    pub fn all_satisfied(&self) -> bool {
        self.missing().next().is_none()
    }

    pub fn missing(&self) -> impl Iterator<Item = &Checked> {
        self.imports.iter().filter(|checked| matches!(checked.verdict, Verdict::Missing { .. }))
    }
}

/// Inspects the artifact and checks every import. Keep the [`Inspection`] and use [`CanRun::check`]
/// when both are wanted.
pub fn can_run(artifact: &Artifact, provided: &[Provided]) -> Result<CanRun, Error> {
    Ok(CanRun::check(&artifact.inspect()?, provided))
}

/// Similar names are looked for this many times per artifact, and only for names of usual length:
/// the search compares with everything that the host has.
const MAX_SEARCHES: usize = 1_000;
const MAX_SEARCHED_NAME: usize = 120;

struct Search<'a> {
    provided: &'a [Provided],
    left: usize,
}

impl Search<'_> {
    fn check(&mut self, item: &Item) -> Verdict {
        if let Some(module) = &item.module {
            self.core(module, &item.name)
        } else if item.sort == Sort::Type {
            // A type that is equal to one the component has already: nothing to provide.
            Verdict::Satisfied { by: "the component itself".to_owned() }
        } else {
            self.component(item)
        }
    }

    fn core(&mut self, module: &str, name: &str) -> Verdict {
        let mut in_module = self.provided.iter().filter(|p| p.name == module).peekable();
        if in_module.peek().is_none() {
            let nearest = self.nearest(module, self.provided.iter().map(|p| p.name.as_str()));
            return Verdict::Missing { why: Missing::Name, nearest };
        }
        if in_module.any(|p| p.has(name)) {
            return Verdict::Satisfied { by: module.to_owned() };
        }
        let in_module = self.provided.iter().filter(|p| p.name == module);
        let items = in_module.flat_map(|p| p.items.iter().flatten().map(String::as_str));
        let nearest = self.nearest(name, items);
        let nearest = nearest.map(|nearest| format!("{module}.{nearest}"));
        Verdict::Missing { why: Missing::Item, nearest }
    }

    fn component(&mut self, item: &Item) -> Verdict {
        let same_name = || self.provided.iter().filter(|p| p.name == item.name);
        // An exact match answers; else the highest version of the track, as in Wasmtime's linker.
        let exact = same_name().find(|p| p.version == item.version);
        let answer = exact.or_else(|| {
            let want = item.version.as_ref()?;
            same_name()
                .filter(|p| p.version.as_ref().is_some_and(|have| compatible(have, want)))
                .max_by_key(|p| &p.version)
        });
        if let Some(answer) = answer {
            let lacks: Vec<String> = item
                .functions
                .iter()
                .filter(|function| !answer.has(&function.name))
                .map(|function| function.name.clone())
                .collect();
            let by = answer.full_name();
            return if lacks.is_empty() {
                Verdict::Satisfied { by }
            } else {
                Verdict::Missing { why: Missing::Functions { functions: lacks }, nearest: Some(by) }
            };
        }
        // Of other versions the nearest at or above what is asked for, else the highest.
        let above = same_name().filter(|p| p.version > item.version).min_by_key(|p| &p.version);
        if let Some(other) = above.or_else(|| same_name().max_by_key(|p| &p.version)) {
            return Verdict::Missing { why: Missing::Version, nearest: Some(other.full_name()) };
        }
        let name = self.nearest(&item.name, self.provided.iter().map(|p| p.name.as_str()));
        let newest = |name: String| {
            let versions = self.provided.iter().filter(|p| p.name == name);
            versions.max_by_key(|p| &p.version).map(Provided::full_name)
        };
        Verdict::Missing { why: Missing::Name, nearest: name.and_then(newest) }
    }

    /// The candidate with the fewest edits to `name`, if it is recognisably similar.
    fn nearest<'b>(
        &mut self,
        name: &str,
        candidates: impl Iterator<Item = &'b str>,
    ) -> Option<String> {
        if self.left == 0 || name.len() > MAX_SEARCHED_NAME {
            return None;
        }
        self.left -= 1;
        candidates
            .filter(|candidate| candidate.len() <= MAX_SEARCHED_NAME)
            .map(|candidate| (edits(name, candidate), candidate))
            // Ties go to the first in the alphabet, so that the answer does not vary.
            .min()
            .filter(|(edits, _)| *edits <= name.len() / 3)
            .map(|(_, candidate)| candidate.to_owned())
    }
}

/// Levenshtein distance in bytes.
fn edits(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = i;
        row[0] = i + 1;
        for (j, y) in b.bytes().enumerate() {
            let substituted = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}
