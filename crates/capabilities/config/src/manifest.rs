//! In the link itself: each setting that is no other is a value.

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use reef_capability::{Backend, Failure, OpenError, Opening, POLICY, Setting};

use crate::{
    Keys, Source, Store, Value,
    store::{CACHE, KEYS},
};

/// Before the name of a value that is called as a setting is.
const PREFIX: &str = "value.";

pub(crate) const BACKEND: Backend<Store> = Backend {
    name: "manifest",
    system: "reef.manifest",
    settings: &[Setting::ANY, KEYS, CACHE],
    private: true,
    open,
};

#[derive(Debug)]
struct Manifest(BTreeMap<String, Value>);

fn open(opening: Opening<'_>) -> Result<Arc<Store>, OpenError> {
    let settings = opening.settings;
    let own = |name: &str| [KEYS, CACHE].iter().chain(POLICY).any(|one| one.name == name);
    let names = settings.names().filter(|name| !own(name));
    let values = names.filter_map(|name| {
        let called = name.strip_prefix(PREFIX).unwrap_or(name);
        Some((called.to_owned(), settings.get(name)?.into()))
    });
    Store::open_fixed(Manifest(values.collect()), opening)
}

#[async_trait]
impl Source for Manifest {
    async fn get(&self, name: &str) -> Result<Option<Value>, Failure> {
        Ok(self.0.get(name).cloned())
    }

    async fn all(&self, granted: &Keys) -> Result<Vec<(String, Value)>, Failure> {
        let all = self.0.iter().filter(|(name, _)| granted.grants(name));
        Ok(all.map(|(name, value)| (name.clone(), value.clone())).collect())
    }
}
