//! The paths that a worker answers at, from the name of its file.

use std::{borrow::Cow, cmp::Ordering, collections::BTreeMap};

use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};

/// What stands as `%XX` in a path (RFC 3986 section 3.3), and what a route gives a meaning to.
const ENCODED: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'*')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'[')
    .add(b'\\')
    .add(b']')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

/// Deepest folder that a worker lies in.
const MAX_DEPTH: usize = 32;

/// The paths of a worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pattern {
    pub(crate) segments: Vec<Segment>,
    /// The name of the parameter that takes one segment more and all that follow.
    pub(crate) rest: Option<Box<str>>,
}

/// A part of a path between slashes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Segment {
    /// Itself, as it stands in a URL.
    Literal(Box<str>),
    /// Any one, under this name.
    Parameter(Box<str>),
}

/// A file's name that is no pattern.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// Brackets around a part of a segment, or one bracket alone.
    #[error(
        "`{0}` has brackets: a parameter is a whole segment, `[id]`, or a last one, `[...rest]`"
    )]
    Brackets(String),
    /// What is in the brackets is no name.
    #[error("`{0}` is not a parameter's name: it has letters, digits, `_` and `-`")]
    Name(String),
    /// Two parameters of one name.
    #[error("`[{0}]` is there twice; give one of them another name")]
    Twice(String),
    /// A catch-all with more behind it.
    #[error("`[...{0}]` takes all that follows, so nothing can stand behind it")]
    NotLast(String),
    /// A segment that is no segment in a URL.
    #[error("`{0}` is no segment of a path")]
    Segment(String),
    /// Folders in folders in folders.
    #[error("it lies more than {MAX_DEPTH} folders deep")]
    TooDeep,
}

impl Pattern {
    /// The pattern of a file by its path in the site, without the ending.
    ///
    /// Folders and files that are called `index` are left out, wherever they stand.
    pub(crate) fn of_file(path: &str) -> Result<Self, PatternError> {
        let mut pattern = Self { segments: Vec::new(), rest: None };
        let mut names: Vec<&str> = Vec::new();
        for part in path.split('/').filter(|part| *part != "index") {
            if let Some(rest) = &pattern.rest {
                return Err(PatternError::NotLast(rest.to_string()));
            }
            if pattern.segments.len() == MAX_DEPTH {
                return Err(PatternError::TooDeep);
            }
            let inside = part.strip_prefix('[').and_then(|part| part.strip_suffix(']'));
            let Some(inside) = inside else {
                if part.contains(['[', ']']) {
                    return Err(PatternError::Brackets(part.to_owned()));
                }
                pattern.segments.push(Segment::Literal(literal(part)?));
                continue;
            };
            let (name, all) = match inside.strip_prefix("...") {
                Some(name) => (name, true),
                None => (inside, false),
            };
            let allowed = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-');
            if name.is_empty() || !name.chars().all(allowed) {
                return Err(PatternError::Name(name.to_owned()));
            }
            if names.contains(&name) {
                return Err(PatternError::Twice(name.to_owned()));
            }
            names.push(name);
            if all {
                pattern.rest = Some(name.into());
            } else {
                pattern.segments.push(Segment::Parameter(name.into()));
            }
        }
        Ok(pattern)
    }

    /// Whether it takes one path only.
    pub(crate) fn is_fixed(&self) -> bool {
        self.rest.is_none()
            && self.segments.iter().all(|segment| matches!(segment, Segment::Literal(_)))
    }

    /// The names of its parameters, from left to right.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        let parameters = self.segments.iter().filter_map(|segment| match segment {
            Segment::Parameter(name) => Some(&**name),
            Segment::Literal(_) => None,
        });
        parameters.chain(self.rest.as_deref())
    }

    /// The values of the parameters in a path; `None` if it does not take the path.
    pub(crate) fn parameters(&self, path: &str) -> Option<BTreeMap<String, String>> {
        let mut found = BTreeMap::new();
        let mut left = path.strip_prefix('/').filter(|path| !path.is_empty());
        for segment in &self.segments {
            let (part, after) = match left?.split_once('/') {
                Some((part, after)) => (part, Some(after)),
                None => (left?, None),
            };
            match segment {
                Segment::Literal(text) if **text == *part => {}
                Segment::Parameter(name) if !part.is_empty() => {
                    found.insert(name.to_string(), decoded(part));
                }
                _ => return None,
            }
            left = after;
        }
        match (&self.rest, left) {
            (None, None) => {}
            (Some(name), Some(rest)) if !rest.is_empty() => {
                found.insert(name.to_string(), decoded(rest));
            }
            // The site's own root is below a catch-all of the root.
            (Some(name), _) if self.segments.is_empty() => {
                found.insert(name.to_string(), String::new());
            }
            _ => return None,
        }
        Some(found)
    }

    /// Which of two is asked first: written-out paths, then those with parameters, the shorter first,
    /// then catch-alls, the longer first; among equals what is written out comes first, from the left.
    pub(crate) fn precedence(&self, other: &Self) -> Ordering {
        let class = |pattern: &Self| match pattern {
            pattern if pattern.is_fixed() => 0,
            Self { rest: None, .. } => 1,
            Self { rest: Some(_), .. } => 2,
        };
        let length = self.segments.len().cmp(&other.segments.len());
        let length = if self.rest.is_some() { length.reverse() } else { length };
        let kinds = |pattern: &Self| -> Vec<bool> {
            pattern.segments.iter().map(|one| matches!(one, Segment::Parameter(_))).collect()
        };
        class(self).cmp(&class(other)).then(length).then_with(|| kinds(self).cmp(&kinds(other)))
    }
}

/// A file's name as a segment of a URL.
fn literal(part: &str) -> Result<Box<str>, PatternError> {
    if matches!(part, "" | "." | ".." | "...") {
        return Err(PatternError::Segment(part.to_owned()));
    }
    let encoded: Cow<'_, str> = utf8_percent_encode(part, ENCODED).into();
    Ok(match encoded.strip_prefix(':') {
        Some(after) => format!("%3A{after}").into(),
        None => encoded.into(),
    })
}

/// A value as a worker is told it: decoded, except for what decides how it is read: `%`, `/` and `+`.
fn decoded(text: &str) -> String {
    let kept = ["%25", "%2F", "%2f", "%2B", "%2b"];
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('%') {
        out.extend(rest[..at].bytes());
        let triple = rest.get(at..at + 3).unwrap_or(&rest[at..=at]);
        if kept.contains(&triple) {
            out.extend_from_slice(triple.as_bytes());
        } else {
            out.extend(percent_decode_str(triple));
        }
        rest = &rest[at + triple.len()..];
    }
    out.extend_from_slice(rest.as_bytes());
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests;
