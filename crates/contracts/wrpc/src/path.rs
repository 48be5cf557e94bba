//! Names of channels.

use std::{fmt, str::FromStr};

/// Steps at most: one for each level of a type.
const LONGEST: usize = 100;

/// The way to a place in values: the parameter or result, then members of records and tuples and
/// elements of lists and streams, each counted from 0. What an option, a result or a variant carries
/// has the place of that itself (so do wRPC's own crates; the specification can be read otherwise for
/// variants).
///
/// As text, and in subjects: `0.2.1`. Without a step it is that of the values themselves.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Path(Vec<u32>);

/// Not a path.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a path: write numbers with dots between them, such as `0.2.1`, at most {LONGEST}"
)]
pub struct PathError(String);

impl Path {
    /// The path of these steps.
    pub fn new(steps: impl Into<Vec<u32>>) -> Self {
        Self(steps.into())
    }

    /// Its steps.
    pub fn steps(&self) -> &[u32] {
        &self.0
    }

    /// Whether it is that of the values themselves.
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromStr for Path {
    type Err = PathError;

    fn from_str(text: &str) -> Result<Self, PathError> {
        let wrong = || PathError(text.chars().take(80).collect());
        if text.is_empty() {
            return Ok(Self::default());
        }
        let mut steps = Vec::new();
        for step in text.split('.') {
            // One name for one channel.
            let canonical = step == "0" || !step.starts_with(['0', '+']);
            if !canonical || steps.len() == LONGEST {
                return Err(wrong());
            }
            steps.push(step.parse().map_err(|_| wrong())?);
        }
        Ok(Self(steps))
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, step) in self.0.iter().enumerate() {
            write!(f, "{}{step}", if at > 0 { "." } else { "" })?;
        }
        Ok(())
    }
}
