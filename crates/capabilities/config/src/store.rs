//! A source as one link sees it.

mod lately;

use std::{
    hash::{BuildHasher as _, RandomState},
    sync::Arc,
    time::{Duration, Instant},
};

use reef_capability::{Failure, OpenError, Opening, Setting, SettingError};
use tokio::sync::Mutex;

use self::lately::Lately;
use crate::{Keys, LONGEST_NAME, Source, Value, few};

pub(crate) const KEYS: Setting =
    Setting::new("keys", "the names that are granted: `db-*, greeting`; all, if nothing is said");
pub(crate) const CACHE: Setting =
    Setting::new("cache", "how long what was read is good, up to an hour, or `0s`: `1s`");

/// How long what was read is good, where nothing else is said.
const GOOD: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(3600);
/// Names that are read at once; which of them share a turn is decided by chance.
const TURNS: usize = 16;

/// A source as one link sees it: the names that are granted, and what was read lately.
#[derive(Debug)]
pub struct Store {
    source: Box<dyn Source>,
    keys: Keys,
    lately: Lately,
    /// Those who want the same wait for the first of them, and have what it read.
    turns: [Mutex<()>; TURNS],
    whole: Mutex<()>,
    hasher: RandomState,
}

impl Store {
    /// A source, as a link's settings say it is to be used.
    pub(crate) fn open(
        source: impl Source + 'static,
        opening: Opening<'_>,
    ) -> Result<Arc<Self>, OpenError> {
        let good = match opening.settings.get(CACHE.name).map(str::trim) {
            Some("0" | "0s") => Duration::ZERO,
            _ => opening.settings.duration(CACHE.name)?.unwrap_or(GOOD),
        };
        if good > LONGEST {
            let why = "is longer than an hour".to_owned();
            return Err(SettingError::Wrong { name: CACHE.name, why }.into());
        }
        Self::with(source, opening, good)
    }

    /// The same for one whose values never change, and are at hand.
    pub(crate) fn open_fixed(
        source: impl Source + 'static,
        opening: Opening<'_>,
    ) -> Result<Arc<Self>, OpenError> {
        Self::with(source, opening, Duration::ZERO)
    }

    fn with(
        source: impl Source + 'static,
        opening: Opening<'_>,
        good: Duration,
    ) -> Result<Arc<Self>, OpenError> {
        let keys = opening.settings.parsed(KEYS.name)?.unwrap_or_else(Keys::all);
        Ok(Arc::new(Self::new(source, keys, good)))
    }

    /// A source whose values are good for a while.
    pub fn new(source: impl Source + 'static, keys: Keys, good: Duration) -> Self {
        Self {
            source: Box::new(source),
            keys,
            lately: Lately::new(good),
            turns: Default::default(),
            whole: Mutex::default(),
            hasher: RandomState::new(),
        }
    }

    /// The names that are granted.
    pub fn keys(&self) -> &Keys {
        &self.keys
    }

    /// The value of a name that is granted, if it has one.
    ///
    /// # Errors
    /// When the name can be none, or the source fails.
    pub async fn get(&self, name: &str) -> Result<Option<Value>, Failure> {
        check(name)?;
        if self.source.is_whole() {
            let all = self.all().await?;
            let found = all.iter().find(|(one, _)| one == name);
            return Ok(found.map(|(_, value)| value.clone()));
        }
        if let Some(known) = self.lately.get(name, Instant::now()) {
            return Ok(known);
        }
        let turn = self.hasher.hash_one(name) as usize % TURNS;
        let _turn = self.turns[turn].lock().await;
        // What is good counts from before it was asked for: it may have changed since.
        let now = Instant::now();
        if let Some(known) = self.lately.get(name, now) {
            return Ok(known);
        }
        let value = self.source.get(name).await?;
        self.lately.put(name, value.clone(), now);
        Ok(value)
    }

    /// Every value that is granted.
    ///
    /// # Errors
    /// When there are too many, or the source fails.
    pub async fn all(&self) -> Result<Arc<Vec<(String, Value)>>, Failure> {
        if let Some(known) = self.lately.all(Instant::now()) {
            return Ok(known);
        }
        let _turn = self.whole.lock().await;
        let now = Instant::now();
        if let Some(known) = self.lately.all(now) {
            return Ok(known);
        }
        let mut all = self.source.all(&self.keys).await?;
        all.retain(|(name, _)| check(name).is_ok() && self.keys.grants(name));
        few(&all, "the source")?;
        let all = Arc::new(all);
        self.lately.put_all(all.clone(), now);
        Ok(all)
    }
}

/// Refuses what can be no name.
fn check(name: &str) -> Result<(), Failure> {
    if name.is_empty() {
        return Err(Failure::Invalid("a name has at least one character".to_owned()));
    }
    if name.len() > LONGEST_NAME {
        let (is, most) = (name.len() as u64, LONGEST_NAME as u64);
        return Err(Failure::TooLarge { what: "name", is, most });
    }
    if name.contains(char::is_control) {
        return Err(Failure::Invalid("a name has no control characters".to_owned()));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
