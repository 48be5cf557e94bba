//! Which tools made a binary, and what language it was written in.
//! Source: WebAssembly tool conventions, "ProducersSection.md".

use std::collections::BTreeSet;

use serde::Serialize;

use crate::error::visible;
use crate::inspection::Tool;

/// What the `producers` sections of all levels say, merged, each list without repetition and in
/// order.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Producers {
    pub languages: BTreeSet<Tool>,
    pub sdks: BTreeSet<Tool>,
    pub processed_by: BTreeSet<Tool>,
}

/// A language that the source was written in.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Language {
    /// As people write it: "C++17".
    pub name: String,
    /// What it was told from: "producers", or the trace that a toolchain leaves.
    pub from: String,
}

impl Producers {
    /// Adds what one section says, up to its first malformed entry: it is only a hint, and the
    /// format lets a custom section hold anything.
    pub(crate) fn add(&mut self, section: wasmparser::ProducersSectionReader<'_>) {
        for field in section {
            let Ok(field) = field else { return };
            let list = match field.name {
                "language" => &mut self.languages,
                "sdk" => &mut self.sdks,
                _ => &mut self.processed_by,
            };
            for value in field.values {
                let Ok(value) = value else { return };
                list.insert(Tool {
                    name: visible(value.name, 100),
                    version: visible(value.version, 200),
                });
            }
        }
    }

    /// The languages that the section names and those that other traces show, C last.
    ///
    /// `traces` are the names for which [`is_trace`] holds.
    pub(crate) fn languages<'a>(&self, traces: impl Iterator<Item = &'a str>) -> Vec<Language> {
        let mut found = BTreeSet::new();
        for tool in &self.languages {
            found.insert(Language { name: pretty(&tool.name), from: "producers".into() });
        }
        for tool in self.processed_by.iter().chain(&self.sdks) {
            let name = tool.name.to_ascii_lowercase();
            if let Some((_, language)) = TOOLS.iter().find(|(tool, _)| name.starts_with(tool)) {
                found.insert(Language { name: (*language).into(), from: tool.name.clone() });
            }
        }
        for name in traces {
            if let Some(language) = trace(name) {
                found.insert(Language { name: language.into(), from: visible(name, 100) });
            }
        }
        // One line per language: what the producers say wins over a trace.
        let mut languages: Vec<Language> = Vec::new();
        let (said, traced): (Vec<_>, Vec<_>) =
            found.into_iter().partition(|language| language.from == "producers");
        for language in said.into_iter().chain(traced) {
            if languages.iter().all(|known| known.name != language.name) {
                languages.push(language);
            }
        }
        // Programs of most languages contain a C library; C is the answer when there is no other.
        languages.sort_by_key(|language| is_c(&language.name));
        languages
    }
}

/// Tools that compile or embed one language, by the start of their name in lower case.
const TOOLS: &[(&str, &str)] = &[
    ("rustc", "Rust"),
    ("tinygo", "Go"),
    ("go cmd/compile", "Go"),
    ("componentize-go", "Go"),
    ("componentizejs", "JavaScript"),
    ("jco", "JavaScript"),
    ("starlingmonkey", "JavaScript"),
    ("javy", "JavaScript"),
    ("componentize-py", "Python"),
    ("componentize-dotnet", "C#"),
    ("assemblyscript", "AssemblyScript"),
    ("moonbit", "MoonBit"),
    ("moonc", "MoonBit"),
    ("grain", "Grain"),
];

/// Names that only one toolchain leaves behind; `*` stands for any ending.
const TRACES: &[(&str, &str)] = &[
    ("go:buildid", "Go"),
    ("gojs", "Go"),
    ("__pin", "AssemblyScript"),
    ("libpython*", "Python"),
    ("componentize_py_runtime*", "Python"),
    ("ruby-init: *", "Ruby"),
    ("ruby_init", "Ruby"),
];

fn trace(name: &str) -> Option<&'static str> {
    let matches = |known: &str| match known.strip_suffix('*') {
        Some(start) => name.starts_with(start),
        None => name == known,
    };
    TRACES.iter().find(|(known, _)| matches(known)).map(|(_, language)| *language)
}

/// Whether this name of a section, module, import or export tells a language.
pub(crate) fn is_trace(name: &str) -> bool {
    trace(name).is_some()
}

/// C by any year of its standard.
fn is_c(name: &str) -> bool {
    name.strip_prefix('C').is_some_and(|year| year.bytes().all(|byte| byte.is_ascii_digit()))
}

/// LLVM writes the DWARF names of languages: `C_plus_plus_17`, `C11`.
fn pretty(name: &str) -> String {
    match name.strip_prefix("C_plus_plus") {
        Some(rest) => format!("C++{}", rest.trim_start_matches('_')),
        None => name.to_owned(),
    }
}
