//! The text of a call: `name(arguments)`.

use std::{fmt, ops::Range, path::PathBuf, str::FromStr};

use wasm_wave::untyped::UntypedValue;

/// Characters shown on either side of what a [`Pointer`] points at.
const AROUND: usize = 36;

/// A call as a person writes it: `add(1, 2)`, `shrink(@photo.jpg)`,
/// `docs:adder/add@0.1.0#add(1, 2)`.
///
/// The name is an export's; in a component that has several interfaces it may be preceded by one of
/// them and `#` (or `.`), in full, without its version, or by its last part only. Without parentheses
/// there are no arguments. Arguments are WAVE values
/// (<https://github.com/bytecodealliance/wasm-tools/tree/main/crates/wasm-wave>), or sources:
/// `@path`, `@-` for standard input, `@https://…`. A source reaches to the next comma, unless quoted:
/// `@"a, b.jpg"`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    text: String,
    name: Range<usize>,
    arguments: Vec<Argument>,
}

/// One argument, by where it stands in the text of its call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Argument {
    pub(super) span: Range<usize>,
    /// `None` for a value that is written out.
    pub(super) source: Option<Source>,
}

/// Where bytes come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Source {
    File(PathBuf),
    Stdin,
    Url(String),
}

/// A call that cannot be read.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ParseCallError {
    /// Nothing to call.
    #[error("a call begins with the name of a function, such as 'add(1, 2)'")]
    NoName,
    /// The closing parenthesis is not the last character.
    #[error("a call ends with `)`{0}")]
    NotEnded(Pointer),
    /// A bracket or quote without its partner.
    #[error("`{mark}` has no partner{at}")]
    Unpaired {
        /// Which.
        mark: &'static str,
        /// Where it is.
        at: Pointer,
    },
    /// Two commas, or a comma at the start.
    #[error("an argument is missing{0}")]
    NoArgument(Pointer),
    /// A source that names nothing.
    #[error(
        "not a source; write @path, @\"a quoted path\", @- for standard input or @https://…{0}"
    )]
    Source(Pointer),
}

/// Shows a piece of a text, marked with carets on a line below.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pointer {
    line: String,
    column: usize,
    width: usize,
}

// === impl Call ===

impl Call {
    /// What is called.
    pub fn name(&self) -> &str {
        &self.text[self.name.clone()]
    }

    pub(super) fn arguments(&self) -> &[Argument] {
        &self.arguments
    }

    pub(super) fn text(&self, argument: &Argument) -> &str {
        &self.text[argument.span.clone()]
    }

    pub(super) fn point_at(&self, span: Range<usize>) -> Pointer {
        Pointer::new(&self.text, span)
    }
}

impl FromStr for Call {
    type Err = ParseCallError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let open = text.find('(');
        let name = trimmed(text, 0..open.unwrap_or(text.len()));
        if name.is_empty() {
            return Err(ParseCallError::NoName);
        }
        let arguments = match open {
            None => Vec::new(),
            Some(open) => {
                let end = text.trim_end().len();
                if !text[..end].ends_with(')') {
                    return Err(ParseCallError::NotEnded(Pointer::new(text, end..end)));
                }
                split(text, open + 1..end - 1)?
            }
        };
        Ok(Self { text: text.to_owned(), name, arguments })
    }
}

fn trimmed(text: &str, span: Range<usize>) -> Range<usize> {
    let piece = &text[span.clone()];
    let start = span.start + (piece.len() - piece.trim_start().len());
    start..start + piece.trim().len()
}

/// The arguments between two parentheses. A comma may follow the last, as in WAVE.
fn split(text: &str, within: Range<usize>) -> Result<Vec<Argument>, ParseCallError> {
    let mut arguments = Vec::new();
    let mut at = within.start;
    while !text[at..within.end].trim().is_empty() {
        let rest = trimmed(text, at..within.end);
        let (end, source) = match text[rest.clone()].strip_prefix('@') {
            Some(_) => {
                let (end, source) = source(text, rest.clone())?;
                (end, Some(source))
            }
            None => (value(text, rest.clone())?, None),
        };
        let span = trimmed(text, rest.start..end);
        if span.is_empty() {
            return Err(ParseCallError::NoArgument(Pointer::new(text, end..end + 1)));
        }
        arguments.push(Argument { span, source });
        at = (end + 1).min(within.end);
    }
    Ok(arguments)
}

/// Reads the source at the start of `rest`; returns the place of the comma after it, or the end.
fn source(text: &str, rest: Range<usize>) -> Result<(usize, Source), ParseCallError> {
    let piece = &text[rest.clone()];
    let (end, named) = if piece.starts_with("@\"") {
        let end = value(text, rest.start + 1..rest.end)?;
        let quoted = trimmed(text, rest.start + 1..end);
        let named = UntypedValue::parse(&text[quoted.clone()])
            .ok()
            .and_then(|value| value.node().as_str(value.source()).ok().map(|s| s.into_owned()));
        (end, named)
    } else {
        let end = piece.find(',').map_or(rest.end, |comma| rest.start + comma);
        (end, Some(text[trimmed(text, rest.start + 1..end)].to_owned()))
    };
    let source = match named.as_deref() {
        None | Some("") => {
            let span = trimmed(text, rest.start..end);
            return Err(ParseCallError::Source(Pointer::new(text, span)));
        }
        Some("-") => Source::Stdin,
        Some(url) if url.starts_with("http://") || url.starts_with("https://") => {
            Source::Url(url.to_owned())
        }
        Some(path) => Source::File(path.into()),
    };
    Ok((end, source))
}

/// Skips the value at the start of `rest`: to the comma after it, or the end.
fn value(text: &str, rest: Range<usize>) -> Result<usize, ParseCallError> {
    let unpaired = |mark, at: usize, length: usize| ParseCallError::Unpaired {
        mark,
        at: Pointer::new(text, at..at + length),
    };
    let mut open: Vec<(usize, &'static str, char)> = Vec::new();
    let mut at = rest.start;
    while let Some(next) = text[at..rest.end].chars().next() {
        let tail = &text[at..rest.end];
        at += match next {
            ',' if open.is_empty() => return Ok(at),
            '(' | '[' | '{' => {
                let (mark, partner) = match next {
                    '(' => ("(", ')'),
                    '[' => ("[", ']'),
                    _ => ("{", '}'),
                };
                open.push((at, mark, partner));
                1
            }
            ')' | ']' | '}' => match open.pop() {
                Some((_, _, partner)) if partner == next => 1,
                Some((opened, mark, _)) => return Err(unpaired(mark, opened, 1)),
                None => {
                    let mark = match next {
                        ')' => ")",
                        ']' => "]",
                        _ => "}",
                    };
                    return Err(unpaired(mark, at, 1));
                }
            },
            '"' if tail.starts_with("\"\"\"") => match tail[3..].find("\"\"\"") {
                Some(length) => 3 + length + 3,
                None => return Err(unpaired("\"\"\"", at, 3)),
            },
            '"' => quoted(tail, '"').ok_or_else(|| unpaired("\"", at, 1))?,
            '\'' => quoted(tail, '\'').ok_or_else(|| unpaired("'", at, 1))?,
            '/' if tail.starts_with("//") => tail.find('\n').unwrap_or(tail.len()),
            other => other.len_utf8(),
        };
    }
    match open.pop() {
        Some((opened, mark, _)) => Err(unpaired(mark, opened, 1)),
        None => Ok(rest.end),
    }
}

/// Length of the quoted text at the start of `tail`, quotes included.
fn quoted(tail: &str, quote: char) -> Option<usize> {
    let mut escaped = false;
    for (at, next) in tail.char_indices().skip(1) {
        match next {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if next == quote => return Some(at + 1),
            _ => {}
        }
    }
    None
}

// === impl Source ===

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Stdin => f.write_str("standard input"),
            Self::Url(url) => f.write_str(url),
        }
    }
}

// === impl Pointer ===

impl Pointer {
    pub(super) fn new(text: &str, span: Range<usize>) -> Self {
        let start = span.start.min(text.len());
        let line_start = text[..start].rfind('\n').map_or(0, |newline| newline + 1);
        let line_end = text[start..].find('\n').map_or(text.len(), |newline| start + newline);
        let before: Vec<char> = text[line_start..start].chars().collect();
        let end = span.end.clamp(start, line_end);
        let marked: Vec<char> = text[start..end].chars().take(2 * AROUND).collect();
        let after = text[end..line_end].chars().take(AROUND);
        let skipped = before.len().saturating_sub(AROUND);
        let line = before[skipped..].iter().chain(&marked).copied().chain(after);
        let line = line.map(|c| if c.is_control() { ' ' } else { c }).collect();
        Self { line, column: before.len() - skipped, width: marked.len().max(1) }
    }
}

impl fmt::Display for Pointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { line, column, width } = self;
        write!(f, "\n  {line}\n  {:column$}{:^<width$}", "", "")
    }
}

#[cfg(test)]
mod tests;
