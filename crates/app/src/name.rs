//! What applications, workloads and variables are called.

use std::{borrow::Borrow, fmt, str::FromStr};

use crate::text::as_text;

/// A name: letters, digits, `-`, `_` and `.`, beginning with a letter or digit, at most 63 of them (the
/// length of a DNS label, which names end up in).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(Box<str>);

/// Not a name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a name: it has letters, digits, `-`, `_` and `.`, begins with a letter or digit, and is at most 63 long"
)]
pub struct NameError(String);

impl Name {
    /// A name made of any text, a file's name for example: what a name cannot hold becomes `-`.
    pub fn lenient(text: &str) -> Self {
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        let kept = text.chars().map(|c| if allowed(c) { c } else { '-' });
        let name: String = kept.skip_while(|c| !c.is_ascii_alphanumeric()).take(63).collect();
        Self(if name.is_empty() { "unnamed".into() } else { name.into() })
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Name {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let begins = text.starts_with(|first: char| first.is_ascii_alphanumeric());
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        if begins && text.len() <= 63 && text.bytes().all(allowed) {
            Ok(Self(text.into()))
        } else {
            Err(NameError(text.chars().take(80).collect()))
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Borrow<str> for Name {
    fn borrow(&self) -> &str {
        &self.0
    }
}

as_text!(Name, "Name", "Letters, digits, `-`, `_` and `.`, beginning with a letter or digit");
