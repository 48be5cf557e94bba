//! The key-value map of a worker.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// All entries of a namespace: a worker is given the whole map with each request, and gives the whole map
/// back with its response.
///
/// Values are text in most languages. JavaScript also stores numbers, and expects numbers back, so a value
/// keeps its type here; [`Entries::text`] is it for a store that has text only.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Entries(BTreeMap<String, Value>);

/// What makes one map of another.
///
/// Wasm Workers Server replaces the whole map, so that of two requests at once the later one undoes what
/// the other one stored. A host that applies changes loses only what both of them wrote.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Changes {
    /// New values.
    pub set: BTreeMap<String, Value>,
    /// Keys that are gone.
    pub removed: Vec<String>,
}

impl Entries {
    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.0.get(key)
    }

    /// The value of a key as text: what is no text is JSON.
    pub fn text(&self, key: &str) -> Option<String> {
        self.get(key).map(|value| match value {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        })
    }

    /// Gives a key a value; nothing (`null`) takes it away.
    pub fn set(&mut self, key: impl Into<String>, value: impl Into<Value>) {
        match value.into() {
            Value::Null => {
                self.0.remove(&key.into());
            }
            value => {
                self.0.insert(key.into(), value);
            }
        }
    }

    /// Every key and its value, in the order of the keys.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &Value)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What a worker that was given this map did to it, by the map that it gave back.
    pub fn changes(&self, after: &Self) -> Changes {
        let changed = |(key, value): &(&String, &Value)| self.0.get(*key) != Some(*value);
        let set = after.0.iter().filter(changed).map(|(key, value)| (key.clone(), value.clone()));
        let gone = self.0.keys().filter(|key| !after.0.contains_key(*key));
        Changes { set: set.collect(), removed: gone.cloned().collect() }
    }

    /// Makes the changes.
    pub fn apply(&mut self, changes: Changes) {
        for key in &changes.removed {
            self.0.remove(key);
        }
        self.0.extend(changes.set);
    }
}

impl Changes {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.set.is_empty() && self.removed.is_empty()
    }
}

impl<K: Into<String>, V: Into<Value>> FromIterator<(K, V)> for Entries {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(entries: I) -> Self {
        let mut map = Self::default();
        for (key, value) in entries {
            map.set(key, value);
        }
        map
    }
}

impl<'de> Deserialize<'de> for Entries {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(BTreeMap::<String, Value>::deserialize(deserializer)?.into_iter().collect())
    }
}

#[cfg(test)]
mod tests;
