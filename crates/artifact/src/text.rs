//! The text form, in and out.
//! Source: WebAssembly 3.0, "Text Format"; Component Model, "Explainer.md".

use std::io;
use std::path::Path;

use wasmprinter::Print;

use crate::artifact::Artifact;
use crate::error::{Error, escaped, visible};

/// Text may be this many times as long as the binary, and [`FREE_LENGTH`] more. Names repeated at
/// every use make real programs grow some tenfold; a few hostile bytes can declare 50,000 locals.
const MAX_GROWTH: usize = 256;
const FREE_LENGTH: usize = 1 << 20;

/// Whether the input starts like the text form: blanks and comments, then a parenthesis.
pub(crate) fn is_text_form(bytes: &[u8]) -> bool {
    wat::Detect::from_bytes(bytes) == wat::Detect::WasmText
}

pub(crate) fn assemble(name: &str, text: &[u8]) -> Result<Vec<u8>, Error> {
    let assembled = wat::Parser::new().parse_bytes(Some(Path::new(name)), text);
    assembled.map(|bytes| bytes.into_owned()).map_err(|error| Error::Text {
        name: name.to_owned(),
        message: visible(&error.to_string(), 2000),
    })
}

/// The text form, in memory.
pub(crate) fn print(artifact: &Artifact) -> Result<String, Error> {
    let limit = artifact.bytes().len().saturating_mul(MAX_GROWTH).saturating_add(FREE_LENGTH);
    let mut out = Bounded { text: String::new(), limit, full: false };
    match wasmprinter::Config::new().print(artifact.bytes(), &mut out) {
        Ok(()) => Ok(out.text),
        Err(_) if out.full => Err(Error::TooLong { name: artifact.name().to_owned(), limit }),
        Err(error) => Err(malformed(artifact, format!("{error:#}"), error.downcast_ref())),
    }
}

/// The text form, as it is produced.
pub(crate) fn write(artifact: &Artifact, out: &mut dyn io::Write) -> Result<(), Error> {
    let mut out = Streamed { out, error: None };
    match wasmprinter::Config::new().print(artifact.bytes(), &mut out) {
        Ok(()) => Ok(()),
        Err(error) => Err(match out.error {
            Some((kind, message)) => {
                Error::Output { name: artifact.name().to_owned(), kind, message }
            }
            None => malformed(artifact, format!("{error:#}"), error.downcast_ref()),
        }),
    }
}

fn malformed(artifact: &Artifact, message: String, cause: Option<&wasmparser::Error>) -> Error {
    match cause {
        Some(cause) => Error::invalid(artifact.name(), cause),
        None => Error::Invalid {
            name: artifact.name().to_owned(),
            offset: 0,
            message: visible(&message, 500),
        },
    }
}

// Both outputs escape: the printer puts names of malformed custom sections into comments as they
// are.

struct Bounded {
    text: String,
    limit: usize,
    full: bool,
}

impl Print for Bounded {
    fn write_str(&mut self, text: &str) -> io::Result<()> {
        let text = escaped(text);
        if self.text.len() + text.len() > self.limit {
            self.full = true;
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.text.push_str(&text);
        Ok(())
    }
}

struct Streamed<'a> {
    out: &'a mut dyn io::Write,
    error: Option<(io::ErrorKind, String)>,
}

impl Print for Streamed<'_> {
    fn write_str(&mut self, text: &str) -> io::Result<()> {
        self.out.write_all(escaped(text).as_bytes()).inspect_err(|error| {
            self.error = Some((error.kind(), error.to_string()));
        })
    }
}
