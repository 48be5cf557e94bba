//! From what a request's path says to a path below the root.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

/// A path that a request names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    /// Relative, and only of names: no `.`, no `..`, nothing empty. Empty itself for the root.
    pub(super) path: PathBuf,
    /// It ends in a slash, so it is of a folder.
    pub(super) folder: bool,
}

/// Reads the part of a request's path that follows the route: empty, or beginning with a slash.
///
/// It is percent-decoded once, after it was taken apart at its slashes. `None` for what no file can
/// be meant by: `.` and `..` (clients resolve them themselves), empty names (two slashes), slashes
/// and zeros that are encoded, encodings that are none, and, unless `dot_files`, names that begin
/// with a dot.
pub(super) fn resolve(rest: &str, dot_files: bool) -> Option<Wanted> {
    let mut path = PathBuf::new();
    let rest = rest.strip_prefix('/').unwrap_or(rest);
    let (names, folder) = match rest.strip_suffix('/') {
        Some(names) => (names, true),
        None => (rest, rest.is_empty()),
    };
    if names.is_empty() {
        // `//` is an empty name below the root.
        return rest.is_empty().then_some(Wanted { path, folder: true });
    }
    for name in names.split('/') {
        let name = decode(name)?;
        let hidden = name.starts_with(b".");
        if name.is_empty() || name == b"." || name == b".." || (hidden && !dot_files) {
            return None;
        }
        if name.iter().any(|byte| matches!(byte, 0 | b'/')) {
            return None;
        }
        path.push(OsString::from_vec(name));
    }
    Some(Wanted { path, folder })
}

fn decode(name: &str) -> Option<Vec<u8>> {
    let mut bytes = name.bytes();
    let mut decoded = Vec::with_capacity(name.len());
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'%' => hex(bytes.next()?)? * 16 + hex(bytes.next()?)?,
            other => other,
        });
    }
    Some(decoded)
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests;
