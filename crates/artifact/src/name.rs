//! Names of interfaces, and which versions of one can stand in for another.

use std::fmt;

use semver::Version;

/// An interface name taken apart: `wasi:http/types@0.2.3` is the name `wasi:http/types` at version
/// 0.2.3. A plain name (`run`) has no version.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct InterfaceName {
    /// Without the version.
    pub name: String,
    /// As found, pre-release and build metadata included.
    pub version: Option<Version>,
}

impl InterfaceName {
    /// Takes a name apart at its `@`. What follows and is not a semantic version stays in the name.
    pub fn parse(text: &str) -> InterfaceName {
        let parsed = text
            .rsplit_once('@')
            .and_then(|(name, version)| Some((name, Version::parse(version).ok()?)));
        match parsed {
            Some((name, version)) => {
                InterfaceName { name: name.to_owned(), version: Some(version) }
            }
            None => InterfaceName { name: text.to_owned(), version: None },
        }
    }

    /// Whether this is `namespace:package/interface` rather than a plain name.
    pub fn is_interface(&self) -> bool {
        self.name.contains(':') && self.name.contains('/')
    }
}

impl fmt::Display for InterfaceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        match &self.version {
            Some(version) => write!(f, "@{version}"),
            None => Ok(()),
        }
    }
}

/// Whether a host that defines `have` answers an import of `want`.
///
/// Versions of one compatibility track match in both directions, because the guest names what it
/// was built against and uses perhaps a part of it; a pre-release and 0.0.x match only themselves.
/// Source: Component Model, "Explainer", canonical interface names; Wasmtime's linker does the same.
pub(crate) fn compatible(have: &Version, want: &Version) -> bool {
    if have == want {
        return true;
    }
    if !have.pre.is_empty() || !want.pre.is_empty() {
        return false;
    }
    match (want.major, want.minor) {
        (0, 0) => false,
        (0, minor) => have.major == 0 && have.minor == minor,
        (major, _) => have.major == major,
    }
}

#[cfg(test)]
mod tests;
