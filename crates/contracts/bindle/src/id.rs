//! What bindles are called.

use std::{
    fmt::{self, Write as _},
    str::FromStr,
};

use semver::Version;

/// The longest name, version included.
const LONGEST: usize = 512;

/// A bindle's name and version: `example.com/shop/1.0.0`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Id {
    name: String,
    version: Version,
}

/// Text that names no bindle.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// The form.
    #[error("`{0}` names no bindle: write NAME/VERSION, such as example.com/shop/1.0.0")]
    Form(String),
    /// The version.
    #[error("`{version}` of `{text}` is not a whole version such as 1.0.0")]
    Version {
        /// The text as given.
        text: String,
        /// The part that should be the version.
        version: String,
    },
}

impl Id {
    /// Without the version.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The version.
    pub fn version(&self) -> &Version {
        &self.version
    }

    /// As it stands in the path of a URL: a name may have letters of any script.
    pub(crate) fn encoded(&self) -> String {
        let mut encoded = String::new();
        for byte in self.to_string().bytes() {
            if byte.is_ascii_alphanumeric() || b"/._-+".contains(&byte) {
                encoded.push(char::from(byte));
            } else {
                let _ = write!(encoded, "%{byte:02X}");
            }
        }
        encoded
    }
}

impl FromStr for Id {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let form = || IdError::Form(text.to_owned());
        let (name, version) = text.rsplit_once('/').ok_or_else(form)?;
        // The specification names letters, digits and `_`; its own examples and its servers have the
        // others of a host's name, too.
        let part = |part: &str| {
            part.chars().all(|c| c.is_alphanumeric() || "_-.".contains(c))
                && part.chars().any(char::is_alphanumeric)
        };
        if text.len() > LONGEST || !name.split('/').all(part) {
            return Err(form());
        }
        let version = version
            .parse()
            .map_err(|_| IdError::Version { text: text.to_owned(), version: version.to_owned() })?;
        Ok(Self { name: name.to_owned(), version })
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.name, self.version)
    }
}

#[cfg(test)]
mod tests;
