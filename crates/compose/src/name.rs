//! Names of imports and exports as people and binaries write them.
//! Source: Component Model, "Explainer", import and export definitions.

use semver::Version;
use wit_parser::PackageName;

/// `acme:math/add@1.2.0`, taken apart. A plain name has neither package nor version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Name<'a> {
    /// `acme:math`; empty for a plain name.
    pub(crate) package: &'a str,
    /// `add`; in `wasi:http/types/nested` all after the first slash. Empty for a whole package.
    pub(crate) item: &'a str,
    pub(crate) version: Option<Version>,
}

impl<'a> Name<'a> {
    pub(crate) fn parse(text: &'a str) -> Self {
        let (name, version) = match text.rsplit_once('@') {
            Some((name, version)) => match Version::parse(version) {
                Ok(version) => (name, Some(version)),
                Err(_) => (text, None),
            },
            None => (text, None),
        };
        if !name.contains(':') {
            return Self { package: "", item: name, version };
        }
        let (package, item) = name.split_once('/').unwrap_or((name, ""));
        Self { package, item, version }
    }

    /// Whether it says more than a package.
    pub(crate) fn is_item(&self) -> bool {
        !self.item.is_empty()
    }

    pub(crate) fn namespace(&self) -> &'a str {
        self.package.split(':').next().unwrap_or_default()
    }

    /// Whether a link for this name is meant for `import`: the same, as far as this name goes.
    pub(crate) fn covers(&self, import: &Name<'_>) -> bool {
        let item = !self.is_item() || self.item == import.item;
        let version = self.version.is_none() || compatible(&self.version, &import.version);
        self.package == import.package && item && version
    }

    /// The same interface or function, whatever its version.
    pub(crate) fn same_item(&self, other: &Name<'_>) -> bool {
        self.package == other.package && self.item == other.item
    }
}

/// Whether one version may stand in for the other. An older one may too: a guest that names a newer one
/// uses perhaps nothing of what is new, and the types decide.
pub(crate) fn compatible(a: &Option<Version>, b: &Option<Version>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => track(a) == track(b),
        (None, None) => true,
        _ => false,
    }
}

/// An interface with the track of its version for the version: what is called by one version is what exports another
/// one of its track.
///
/// # Examples
/// `acme:math/add@1.2.0` and `acme:math/add@1.1.3` are both `acme:math/add@1.0.0`.
pub fn of_track(interface: &str) -> String {
    let versioned = interface.split_once('@');
    let parsed = versioned.and_then(|(name, version)| Some((name, Version::parse(version).ok()?)));
    match parsed {
        Some((name, version)) => {
            let track = track(&version);
            format!("{name}@{}.{}.{}", track.major, track.minor, track.patch)
        }
        None => interface.to_owned(),
    }
}

/// All versions of one track are compatible: 0.2.6 and 0.2.3, 1.4.0 and 1.0.0.
pub(crate) fn track(version: &Version) -> Version {
    PackageName::version_compat_track(version)
}

/// The name that somebody who wrote `wanted` may have meant.
pub(crate) fn nearest<'a>(
    wanted: &str,
    known: impl IntoIterator<Item = &'a str>,
) -> Option<String> {
    let bare = |name: &str| match name.rsplit_once('@') {
        Some((name, _)) if !wanted.contains('@') => name.to_owned(),
        _ => name.to_owned(),
    };
    // Long names are not compared letter by letter: nobody misspelled those.
    let (distance, name) = known
        .into_iter()
        .filter(|name| name.len() <= 256 && wanted.len() <= 256)
        .map(|name| (strsim::damerau_levenshtein(wanted, &bare(name)), name))
        .min()?;
    (distance <= (wanted.len() / 3).max(2)).then(|| name.to_owned())
}

#[cfg(test)]
mod tests;
