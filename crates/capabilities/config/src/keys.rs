//! The names that a link grants.

use std::{fmt, str::FromStr};

use globset::{GlobBuilder, GlobMatcher};

/// Names, and patterns of names: `db-*, greeting`. A `*` stands for any characters.
#[derive(Clone)]
pub struct Keys {
    text: String,
    /// Without any, all names.
    patterns: Option<Vec<GlobMatcher>>,
}

impl Keys {
    /// All names.
    pub fn all() -> Self {
        Self { text: "*".to_owned(), patterns: None }
    }

    /// Whether a name is among them.
    pub fn grants(&self, name: &str) -> bool {
        let Some(patterns) = &self.patterns else { return true };
        patterns.iter().any(|pattern| pattern.is_match(name))
    }
}

impl FromStr for Keys {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let each = text.split(',').map(str::trim).filter(|pattern| !pattern.is_empty());
        let patterns = each.map(|pattern| {
            // Only `*` means something else than itself.
            let special = |c: char| matches!(c, '?' | '[' | ']' | '{' | '}' | '\\');
            if pattern.contains(special) || pattern.contains("**") {
                return Err(format!("has `{pattern}`: write names, and `*` for any characters"));
            }
            let glob = GlobBuilder::new(pattern).literal_separator(false).build();
            Ok(glob.map_err(|_| format!("has `{pattern}`, which is no pattern"))?.compile_matcher())
        });
        let patterns = patterns.collect::<Result<Vec<_>, _>>()?;
        if patterns.is_empty() {
            return Err("names nothing: write names, or `*` for all".to_owned());
        }
        Ok(Self { text: text.trim().to_owned(), patterns: Some(patterns) })
    }
}

impl fmt::Display for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Keys({})", self.text)
    }
}

#[cfg(test)]
mod tests;
