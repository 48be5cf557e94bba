//! What a link's manifest says of its backend.

use std::{collections::BTreeMap, fmt, str::FromStr, time::Duration};

use reef_grants::{ByteSize, parse_duration};
use zeroize::Zeroizing;

/// A value that is shown nowhere, and wiped when it is dropped.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Secret(Zeroizing<String>);

/// One setting that a backend takes.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// Its name, in kebab-case.
    pub name: &'static str,
    /// What it is for, in a sentence.
    pub about: &'static str,
}

/// The settings of one link: names, and values that are shown nowhere, as any of them may hold a password.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings(BTreeMap<String, Secret>);

/// A setting that is missing, wrong or unknown.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettingError {
    /// It has to be said.
    #[error("the setting `{name}` is missing: {about}")]
    Missing {
        /// Which.
        name: &'static str,
        /// What it is for.
        about: &'static str,
    },
    /// It makes no sense.
    #[error("the setting `{name}` {why}")]
    Wrong {
        /// Which.
        name: &'static str,
        /// Why.
        why: String,
    },
    /// There is no such one.
    #[error("there is no setting `{name}`{}; there is {known}", .nearest.map(|n| format!(" (did you mean `{n}`?)")).unwrap_or_default())]
    Unknown {
        /// Which.
        name: String,
        /// One of nearly that name.
        nearest: Option<&'static str>,
        /// All that there are.
        known: String,
    },
}

// === impl Secret ===

impl Secret {
    /// The value itself. To be passed on to whom it is for, and to nobody else.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(Zeroizing::new(text))
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        text.to_owned().into()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

// === impl Setting ===

impl Setting {
    /// In a backend's list: whatever else is said is a setting, too, whose name means something to the backend.
    pub const ANY: Self = Self::new("*", "whatever else is said");

    /// A setting.
    pub const fn new(name: &'static str, about: &'static str) -> Self {
        Self { name, about }
    }
}

// === impl Settings ===

impl Settings {
    /// Sets one.
    pub fn insert(&mut self, name: impl Into<String>, value: impl Into<Secret>) {
        self.0.insert(name.into(), value.into());
    }

    /// Takes one out.
    pub fn take(&mut self, name: &str) -> Option<Secret> {
        self.0.remove(name)
    }

    /// The names of all.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// One, if it is said.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(Secret::expose)
    }

    /// One that has to be said.
    ///
    /// # Errors
    /// When it is not.
    pub fn required(&self, setting: &'static Setting) -> Result<&str, SettingError> {
        self.get(setting.name)
            .filter(|text| !text.is_empty())
            .ok_or(SettingError::Missing { name: setting.name, about: setting.about })
    }

    /// One that is a number, a name, or the like.
    ///
    /// # Errors
    /// When it is said and is none.
    pub fn parsed<T: FromStr<Err: fmt::Display>>(
        &self,
        name: &'static str,
    ) -> Result<Option<T>, SettingError> {
        self.with(name, |text| text.parse().map_err(|error: T::Err| error.to_string()))
    }

    /// One that is a time: `500ms`.
    ///
    /// # Errors
    /// When it is said and is none.
    pub fn duration(&self, name: &'static str) -> Result<Option<Duration>, SettingError> {
        self.with(name, |text| parse_duration(text).map_err(|error| error.to_string()))
    }

    /// One that is a size: `1MiB`.
    ///
    /// # Errors
    /// When it is said and is none.
    pub fn size(&self, name: &'static str) -> Result<Option<u64>, SettingError> {
        Ok(self.parsed::<ByteSize>(name)?.map(|size| size.0))
    }

    /// One that is `true` or `false`.
    ///
    /// # Errors
    /// When it is said and is neither.
    pub fn flag(&self, name: &'static str) -> Result<Option<bool>, SettingError> {
        self.with(name, |text| match text {
            "true" => Ok(true),
            "false" => Ok(false),
            _ => Err("is neither `true` nor `false`".to_owned()),
        })
    }

    fn with<T>(
        &self,
        name: &'static str,
        read: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<Option<T>, SettingError> {
        let Some(text) = self.get(name) else { return Ok(None) };
        let text = text.trim();
        read(text).map(Some).map_err(|why| {
            // It may be a secret that stands at the wrong place.
            let why = if text.is_empty() { why } else { why.replace(text, "…") };
            SettingError::Wrong { name, why }
        })
    }

    /// Refuses what is in none of these lists.
    ///
    /// # Errors
    /// The first one that is unknown, with the nearest that is not.
    pub fn only(&self, known: &[&'static [Setting]]) -> Result<(), SettingError> {
        let all = || known.iter().copied().flatten().map(|setting| setting.name);
        if all().any(|name| name == Setting::ANY.name) {
            return Ok(());
        }
        for name in self.names() {
            if all().any(|one| one == name) {
                continue;
            }
            let near = |one: &&'static str| strsim::damerau_levenshtein(one, name);
            let nearest = all().min_by_key(near).filter(|one| near(one) <= 1 + name.len() / 4);
            let known: Vec<_> = all().map(|name| format!("`{name}`")).collect();
            return Err(SettingError::Unknown {
                name: name.to_owned(),
                nearest,
                known: known.join(", "),
            });
        }
        Ok(())
    }
}

impl<K: Into<String>, V: Into<Secret>> FromIterator<(K, V)> for Settings {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(entries: I) -> Self {
        Self(entries.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
    }
}

#[cfg(test)]
mod tests;
