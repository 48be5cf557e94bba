//! What keeps components from being composed, and what to do about it.

use std::fmt;

/// Why a library gave up.
type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Every message names the components, and what of theirs does not fit.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ComposeError {
    #[error("`{component}` has {bytes} bytes; the most for a part of a composition are {most}")]
    TooLarge { component: String, bytes: usize, most: usize },

    /// Too many of something for what a composition reads.
    #[error("`{component}` has more than {most} {what}, too many for a composition")]
    TooMany { component: String, what: &'static str, most: usize },

    /// The bytes are no component that WIT can describe.
    #[error("`{component}` cannot be composed: {cause}")]
    Unreadable { component: String, cause: Cause },

    /// A component imports or exports what only composition tools write: core modules, values.
    #[error(
        "`{component}` imports `{import}`, which is a {kind}; only interfaces, functions and types \
         can be linked"
    )]
    Kind { component: String, import: String, kind: &'static str },

    /// A component imports by a name that only compositions have.
    #[error(
        "`{component}` imports `{import}`: such names are for parts of a composition, whose own they are"
    )]
    NotIts { component: String, import: String },

    /// A link for an import that nobody has.
    #[error("`{component}` does not import `{wanted}`\n  it imports {imports}{}", suggestion(.nearest))]
    NoImport { component: String, wanted: String, imports: Listed, nearest: Option<String> },

    /// The linked component does not have what is wanted of it.
    #[error(
        "{at} does not export `{wanted}`\n  it exports {exports}{}", suggestion(.nearest)
    )]
    NoExport {
        at: Box<At>,
        /// The export that was looked for.
        wanted: String,
        exports: Listed,
        nearest: Option<String>,
    },

    /// The right interface at the wrong version.
    #[error(
        "{at} exports `{export}`: these versions are not compatible\n  \
         build one of the two against the other's version"
    )]
    Version { at: Box<At>, export: String },

    /// The right interface without all that is called.
    #[error(
        "{at} exports `{export}` without {missing}\n  \
         build `{}` against the interface that `{}` was built against", .at.plug, .at.component
    )]
    Incomplete {
        at: Box<At>,
        export: String,
        /// Functions and types.
        missing: Listed,
    },

    /// Two links for one import.
    #[error("the import `{import}` of `{component}` is linked to `{first}` and to `{second}`")]
    Twice { component: String, import: String, first: String, second: String },

    /// Each needs the other to be there first.
    #[error(
        "components need each other: {path}\n  one of these imports has to come from elsewhere"
    )]
    Cycle {
        /// `a → b → a`.
        path: String,
    },

    /// A part without the grants imports what neither a link nor the host's harmless interfaces offer.
    #[error(
        "`{component}` imports {imports}, which no link satisfies, and it does not inherit the \
         grants\n  link them, or set `inherit = true` to let it have what its workload has"
    )]
    Unlinked { component: String, imports: Listed },

    /// A component that is to stand in front of a handler, and is no middleware.
    #[error(
        "`{component}` is no middleware: it does not {lacks} `wasi:http/incoming-handler` or \
         `wasi:http/handler`"
    )]
    NotMiddleware {
        component: String,
        /// `import` or `export`.
        lacks: &'static str,
    },

    /// The end of a chain that answers no requests.
    #[error("`{component}` handles no HTTP requests\n  it exports {exports}")]
    NoHandler { component: String, exports: Listed },

    /// Two views of one interface that do not fit together.
    #[error("{components} cannot share their imports: {cause}")]
    Conflict { components: Listed, cause: Cause },

    /// All names fit and the types do not.
    #[error("{components} do not fit together: {cause}")]
    Mismatch { components: Listed, cause: Cause },

    /// A core module whose exports say nothing about their types.
    #[error(
        "`{module}` is a core module built against no WIT world, and no command (it has no \
         `_start`)\n  it exports {exports}; build it as a component (target `wasm32-wasip2`)"
    )]
    NoWorld { module: String, exports: Listed },

    /// A module of an ABI that was never public.
    #[error(
        "`{module}` is a core module for {abi}, which it exports as `{export}`\n  that convention \
         was its SDK's own; build it with a current SDK, as a component"
    )]
    OldAbi { module: String, abi: &'static str, export: String },

    /// A module of bindings that later tools do not understand.
    #[error(
        "`{module}` was built with wit-bindgen {version}; modules of 0.5 and later can be made \
         components\n  build it again with a current one"
    )]
    OldBindings { module: String, version: String },

    /// A module whose heap would overwrite what the adapter for WASI 0.1 keeps in the same memory.
    #[error(
        "`{module}` was built with clang {version}, whose C library cannot share its memory with the \
         adapter for WASI 0.1\n  build it with clang 15.0.7 or later (wasi-sdk 19); by itself it runs \
         as it is"
    )]
    OldHeap { module: String, version: String },

    /// A core module that imports what is neither of its world nor of WASI 0.1, or is broken.
    #[error("`{module}` cannot be made a component: {cause}")]
    Componentize { module: String, cause: Cause },
}

/// An import, and the component that is to satisfy it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct At {
    pub component: String,
    pub import: String,
    pub plug: String,
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { component, import, plug } = self;
        write!(f, "`{component}` imports `{import}`, and `{plug}`, to which that is linked,")
    }
}

/// Names in a sentence, the first few of many.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed(Vec<String>);

/// Of a name, in characters. A core module may call its exports anything.
const MAX_NAME: usize = 200;

/// So many are written out.
const SHOWN: usize = 16;

impl Listed {
    pub(crate) fn of<T: Into<String>>(names: impl IntoIterator<Item = T>) -> Self {
        Self(names.into_iter().map(|name| visible(&name.into(), MAX_NAME)).collect())
    }

    pub fn names(&self) -> &[String] {
        &self.0
    }
}

impl fmt::Display for Listed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some((first, rest)) = self.0.split_first() else { return f.write_str("nothing") };
        write!(f, "`{first}`")?;
        for name in rest.iter().take(SHOWN - 1) {
            write!(f, ", `{name}`")?;
        }
        match self.0.len().checked_sub(SHOWN) {
            None | Some(0) => Ok(()),
            Some(more) => write!(f, " and {more} more"),
        }
    }
}

fn suggestion(nearest: &Option<String>) -> String {
    nearest.as_ref().map(|name| format!("; did you mean `{name}`?")).unwrap_or_default()
}

/// Text from a binary, safe for a terminal and of bounded length.
pub(crate) fn visible(text: &str, most: usize) -> String {
    let turns = |c| matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let mut out = String::new();
    for (count, c) in text.chars().enumerate() {
        if count == most {
            out.push('…');
            break;
        }
        let unsafe_to_show = c.is_control() && c != '\n' || turns(c);
        if unsafe_to_show { out.extend(c.escape_unicode()) } else { out.push(c) }
    }
    out
}
