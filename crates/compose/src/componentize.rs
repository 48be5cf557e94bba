//! Core modules as components.
//!
//! The adapters for WASI 0.1 add a page to the module's memory before it runs. The heap of wasi-libc took
//! such memory for its own until LLVM 15.0.7 told it where its heap ends (wasi-libc #377, #394).

use std::borrow::Cow;

use wasi_preview1_component_adapter_provider::{
    WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME as WASI_01,
    WASI_SNAPSHOT_PREVIEW1_COMMAND_ADAPTER as COMMAND,
    WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER as REACTOR,
};
use wasmparser::{Encoding, KnownCustom, Parser, Payload};
use wit_component::ComponentEncoder;

use crate::contain::contained;
use crate::error::{Listed, visible};
use crate::{ComposeError, Part, module};

/// Exports of a module that are read.
const MAX_EXPORTS: usize = 100_000;

/// Exports by which SDKs of their own convention, without a WIT world in the binary, are known.
const OLD: &[(&str, &str)] = &[
    ("handle-http-request", "a Spin SDK of version 1 or before"),
    ("handle-redis-message", "a Spin SDK of version 1 or before"),
    ("__guest_call", "waPC, as wasmCloud had it before components"),
];

/// Whether an export of a core module is one of bindings to WIT, or of an SDK before those: such a module is
/// meant to become a component.
pub fn is_binding(export: &str) -> bool {
    export.contains('#')
        || export.starts_with("cabi_")
        || OLD.iter().any(|(name, _)| *name == export)
}

/// A component with what a core module imports and exports. A component comes back as it is.
///
/// A module that was built against a WIT world says so in its section `component-type`. Any other becomes
/// a component only if it is a WASI 0.1 command, which then exports `wasi:cli/run`. What either imports
/// of WASI 0.1 is translated to WASI 0.2 by the adapters that Wasmtime publishes.
///
/// # Errors
/// Modules whose exports say nothing of their types, those of bindings and SDKs too old for that, and
/// what is neither module nor component.
pub fn componentize(part: Part<'_>) -> Result<Cow<'_, [u8]>, ComposeError> {
    if module::encoding(part)? == Encoding::Component {
        return Ok(Cow::Borrowed(part.bytes));
    }
    let facts = Facts::read(part)?;
    facts.check(part)?;
    let adapter = if facts.is_command() { COMMAND } else { REACTOR };
    let made = contained(|| {
        ComponentEncoder::default()
            .validate(true)
            .module(part.bytes)?
            .adapter(WASI_01, adapter)?
            .encode()
    });
    made.map(Cow::Owned).map_err(|error| ComposeError::Componentize {
        module: part.name.to_owned(),
        cause: error.into(),
    })
}

/// What of a module tells how it was built.
#[derive(Default)]
struct Facts {
    exports: Vec<String>,
    /// Whether a section says what world it was built against.
    world: bool,
    /// Of wit-bindgen, where it made the module's bindings.
    bindings: Option<String>,
    /// Of a C compiler whose library had a heap that nobody else may add memory to.
    old_clang: Option<String>,
    /// Whether it imports WASI 0.1.
    wasi: bool,
}

impl Facts {
    fn read(part: Part<'_>) -> Result<Self, ComposeError> {
        let invalid = |error: wasmparser::Error| module::unreadable(part.name, error);
        let mut facts = Self::default();
        for payload in Parser::new(0).parse_all(part.bytes) {
            match payload.map_err(invalid)? {
                Payload::ExportSection(section) => {
                    if section.count() as usize > MAX_EXPORTS {
                        return Err(ComposeError::TooMany {
                            component: part.name.to_owned(),
                            what: "exports",
                            most: MAX_EXPORTS,
                        });
                    }
                    for export in section {
                        facts.exports.push(export.map_err(invalid)?.name.to_owned());
                    }
                }
                Payload::ImportSection(section) => {
                    for import in section.into_imports() {
                        facts.wasi |= import.map_err(invalid)?.module == WASI_01;
                    }
                }
                Payload::CustomSection(section) => {
                    facts.world |= section.name().starts_with("component-type");
                    if let KnownCustom::Producers(producers) = section.as_known() {
                        // Broken remarks are no reason not to run what they are about.
                        let _ = facts.tools(producers);
                    }
                }
                _ => {}
            }
        }
        Ok(facts)
    }

    fn tools(
        &mut self,
        producers: wasmparser::ProducersSectionReader<'_>,
    ) -> Result<(), wasmparser::Error> {
        for field in producers {
            let field = field?;
            for value in field.values {
                let value = value?;
                let version = || Some(visible(value.version, 40));
                if field.name != "processed-by" {
                    continue;
                }
                if value.name.starts_with("wit-bindgen") {
                    self.bindings = version();
                } else if value.name.ends_with("clang") && before(value.version, [15, 0, 7]) {
                    self.old_clang = version();
                }
            }
        }
        Ok(())
    }

    fn is_command(&self) -> bool {
        self.exports.iter().any(|name| name == "_start")
    }

    fn check(&self, part: Part<'_>) -> Result<(), ComposeError> {
        let module = part.name.to_owned();
        if let Some(version) = &self.bindings
            && before(version, [0, 5, 0])
        {
            // Since then, the section `component-type` has the form that is read today.
            return Err(ComposeError::OldBindings { module, version: version.clone() });
        }
        if let Some(version) = &self.old_clang
            && self.wasi
            && !self.exports.iter().any(|name| name == "cabi_realloc")
        {
            let version = version.clone();
            return Err(ComposeError::OldHeap { module, version });
        }
        if self.world {
            return Ok(());
        }
        let old = OLD.iter().find(|(export, _)| self.exports.iter().any(|name| name == export));
        if let Some((export, abi)) = old {
            return Err(ComposeError::OldAbi { module, abi, export: (*export).to_owned() });
        }
        if self.is_command() {
            return Ok(());
        }
        Err(ComposeError::NoWorld { module, exports: Listed::of(self.exports.iter().cloned()) })
    }
}

/// Whether a version is older than this one. One that is not understood is not.
fn before(version: &str, than: [u32; 3]) -> bool {
    let digits = |part: &str| part.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok();
    let mut numbers = version.split('.').map(digits);
    let Some(Some(major)) = numbers.next() else { return false };
    let mut next = || numbers.next().flatten().unwrap_or(0);
    [major, next(), next()] < than
}
