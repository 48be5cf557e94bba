//! What can be wrong with an artifact, and what to do about it.

use std::borrow::Cow;

/// Every message names the input, the place where one is known, and the next step.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The first bytes belong to another format.
    #[error("{name} is not WebAssembly: it is {looks_like}\n  {advice}")]
    NotWasm {
        name: String,
        /// With its article: "an ELF executable".
        looks_like: &'static str,
        advice: &'static str,
    },

    /// The text form does not assemble. The message shows the line, the column and the text there.
    #[error("{name}: the text form does not assemble\n{message}\n  correct the text and try again")]
    Text { name: String, message: String },

    /// The header is WebAssembly's, its version is not one that is read.
    #[error(
        "{name}: {what}\n  rebuild it with current tools (a module is version 1, a component version 0xd)"
    )]
    UnsupportedVersion {
        name: String,
        /// What the header says.
        what: String,
    },

    /// The file ends inside a section.
    #[error(
        "{name} is cut off: {missing} more bytes should follow offset {offset:#x}\n  \
         copy, download or build it again"
    )]
    Truncated {
        name: String,
        /// Where the input ends, in bytes.
        offset: usize,
        /// How many bytes, at least, are missing.
        missing: u64,
    },

    /// The bytes break a rule of the format.
    #[error(
        "{name} is not valid WebAssembly: {message} (at offset {offset:#x})\n  \
         build it again; if it was downloaded, compare its digest with the publisher's"
    )]
    Invalid {
        name: String,
        /// In bytes from the start of the binary.
        offset: usize,
        message: String,
    },

    /// Well-formed perhaps, but larger than what is read.
    #[error("{name} has too many {what}: the limit is {limit}\n  split it, or build it with fewer")]
    TooMany { name: String, what: &'static str, limit: usize },

    /// A core module has no interface types of its own.
    #[error(
        "{name} is a core module and has no WIT\n  \
         its imports and exports are in the plain `inspect`, its text in `--wat`; \
         `wasm-tools component new` makes a component of a module built for one"
    )]
    NoWit { name: String },

    /// A valid component whose types cannot be written as WIT.
    #[error(
        "{name}: its types cannot be written as WIT: {message}\n  \
         use the plain `inspect` for its imports and exports, or `--wat` for its text"
    )]
    Wit { name: String, message: String },

    /// The text form would be out of all proportion to the binary.
    #[error(
        "{name}: its text is longer than {limit} bytes and was not written\n  use the plain `inspect`"
    )]
    TooLong { name: String, limit: usize },

    /// The place the output goes to refused it.
    #[error("cannot write the text of {name}: {message}")]
    Output {
        name: String,
        /// A broken pipe is a reader that has seen enough.
        kind: std::io::ErrorKind,
        message: String,
    },
}

impl Error {
    /// The decoder's error, made safe to show.
    pub(crate) fn invalid(name: &str, error: &wasmparser::Error) -> Error {
        Error::Invalid {
            name: name.to_owned(),
            offset: error.offset(),
            message: visible(error.message(), 500),
        }
    }
}

/// Text from a file, made safe for a terminal: control and direction-changing characters are
/// written as escapes, and at most `limit` characters are kept. Line breaks stay.
pub fn visible(text: &str, limit: usize) -> String {
    let mut out = String::with_capacity(text.len().min(limit));
    for (count, c) in text.chars().enumerate() {
        if count == limit {
            out.push('…');
            break;
        }
        if c != '\n' && is_unsafe(c) { out.extend(c.escape_unicode()) } else { out.push(c) }
    }
    out
}

/// The same without a limit; borrowed where there is nothing to escape. The escapes are those of
/// the text form's strings.
pub(crate) fn escaped(text: &str) -> Cow<'_, str> {
    if text.chars().any(|c| c != '\n' && is_unsafe(c)) {
        Cow::Owned(visible(text, usize::MAX))
    } else {
        Cow::Borrowed(text)
    }
}

/// Characters that move the cursor or reorder what is around them.
pub(crate) fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2028}' | '\u{2029}' | '\u{2066}'..='\u{2069}')
}
