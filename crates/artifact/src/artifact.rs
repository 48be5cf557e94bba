//! The artifact: an immutable binary, its digest, and what can be read off it quickly.

use std::fmt;
use std::sync::{Arc, OnceLock};

use semver::Version;
use serde::Serialize;

use crate::error::{Error, visible};
use crate::inspection::Inspection;
use crate::name::InterfaceName;
use crate::{Digest, Kind, sections, sniff, text, wit};

/// A core module or a component.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Form {
    Module,
    Component,
}

/// What an import or export is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sort {
    Function,
    Table,
    Memory,
    Global,
    Tag,
    /// An interface: a named group of functions and types.
    Instance,
    Value,
    /// A type that is known, or whose nature an export's quick reading does not say.
    Type,
    /// A resource type that the host provides.
    Resource,
    Module,
    Component,
}

impl Sort {
    /// The word for people.
    pub fn word(self) -> &'static str {
        match self {
            Sort::Function => "function",
            Sort::Table => "table",
            Sort::Memory => "memory",
            Sort::Global => "global",
            Sort::Tag => "tag",
            Sort::Instance => "interface",
            Sort::Value => "value",
            Sort::Type => "type",
            Sort::Resource => "resource",
            Sort::Module => "module",
            Sort::Component => "component",
        }
    }
}

/// One thing that the artifact asks for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Import {
    /// Of a core module.
    Core { module: String, name: String, sort: Sort },
    /// Of a component: an interface ([`Sort::Instance`]), or a function or other item of its own.
    Component { name: InterfaceName, sort: Sort },
}

/// One thing that the artifact offers.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Export {
    name: InterfaceName,
    sort: Sort,
}

impl Export {
    pub(crate) fn core(name: String, sort: Sort) -> Export {
        Export { name: InterfaceName { name, version: None }, sort }
    }

    pub(crate) fn component(name: InterfaceName, sort: Sort) -> Export {
        Export { name, sort }
    }

    /// Without the version.
    pub fn name(&self) -> &str {
        &self.name.name
    }

    /// Of an interface; core exports have none.
    pub fn version(&self) -> Option<&Version> {
        self.name.version.as_ref()
    }

    pub fn full_name(&self) -> &InterfaceName {
        &self.name
    }

    pub fn sort(&self) -> Sort {
        self.sort
    }
}

/// An immutable WebAssembly binary and what its outermost level says. Cloning shares it.
#[derive(Clone)]
pub struct Artifact {
    inner: Arc<Inner>,
}

struct Inner {
    name: String,
    bytes: Bytes,
    text_form: bool,
    digest: OnceLock<Digest>,
    form: Form,
    kinds: Vec<Kind>,
    imports: Vec<Import>,
    exports: Vec<Export>,
}

/// The caller's buffer (which may be a memory map), or the binary assembled from a text.
type Bytes = Box<dyn AsRef<[u8]> + Send + Sync>;

impl Artifact {
    /// Reads a binary, or the text form of a module or component, which is assembled.
    ///
    /// Looks at section headers, imports and exports of the outermost level only; validates and
    /// hashes nothing. `name` is for messages. `bytes` may be a `Vec<u8>` or anything else that
    /// holds bytes, such as a memory map; bounding their number is the caller's part.
    ///
    /// # Errors
    ///
    /// Says what the input is when it is not WebAssembly, where it is cut off or malformed, and
    /// what to do.
    pub fn read(
        name: &str,
        bytes: impl AsRef<[u8]> + Send + Sync + 'static,
    ) -> Result<Artifact, Error> {
        let name = visible(name, 1000);
        let given = bytes.as_ref();
        let is_binary = given.starts_with(sections::MAGIC);
        let (bytes, text_form): (Bytes, bool) = if is_binary {
            (Box::new(bytes), false)
        } else if !given.is_empty() && sections::MAGIC.starts_with(given) {
            let missing = 8 - given.len() as u64;
            return Err(Error::Truncated { name, offset: given.len(), missing });
        } else if text::is_text_form(given) {
            (Box::new(text::assemble(&name, given)?), true)
        } else {
            let (looks_like, advice) = sniff::looks_like(given);
            return Err(Error::NotWasm { name, looks_like, advice });
        };

        let sections::Outline { form, imports, exports } =
            sections::read(&name, (*bytes).as_ref())?;
        let kinds = Kind::all_of(form, &imports, &exports);
        let digest = OnceLock::new();
        let inner = Inner { name, bytes, text_form, digest, form, kinds, imports, exports };
        Ok(Artifact { inner: Arc::new(inner) })
    }

    /// The name it was given, for messages.
    pub fn name(&self) -> &str {
        &self.inner.name
    }

    /// The binary; of a text form, what was assembled.
    pub fn bytes(&self) -> &[u8] {
        (*self.inner.bytes).as_ref()
    }

    /// Whether it was given in the text form.
    pub fn is_text_form(&self) -> bool {
        self.inner.text_form
    }

    /// Of the binary; computed at the first call.
    pub fn digest(&self) -> &Digest {
        self.inner.digest.get_or_init(|| Digest::of(self.bytes()))
    }

    pub fn form(&self) -> Form {
        self.inner.form
    }

    /// How it is run: the first of [`Artifact::kinds`].
    pub fn kind(&self) -> &Kind {
        // `Kind::all_of` never returns an empty list.
        &self.inner.kinds[0]
    }

    /// Every way it can be run, the preferred one first; never empty.
    pub fn kinds(&self) -> &[Kind] {
        &self.inner.kinds
    }

    /// Of the outermost level, in the order of the file.
    pub fn imports(&self) -> &[Import] {
        &self.inner.imports
    }

    /// Of the outermost level, in the order of the file.
    pub fn exports(&self) -> &[Export] {
        &self.inner.exports
    }

    /// Validates the whole binary and reads everything off it. Slow: every instruction is looked at.
    pub fn inspect(&self) -> Result<Inspection, Error> {
        Inspection::of(self)
    }

    /// The component's interface types as WIT text.
    pub fn wit(&self) -> Result<String, Error> {
        wit::text(self)
    }

    /// The text form. Refused when it is out of proportion to the binary; [`Artifact::write_wat`]
    /// is not bounded.
    pub fn wat(&self) -> Result<String, Error> {
        text::print(self)
    }

    /// Writes the text form as it is produced, without keeping it in memory.
    pub fn write_wat(&self, out: &mut dyn std::io::Write) -> Result<(), Error> {
        text::write(self, out)
    }
}

impl fmt::Debug for Artifact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Artifact")
            .field("name", &self.inner.name)
            .field("kind", self.kind())
            .field("size", &self.bytes().len())
            .finish_non_exhaustive()
    }
}
