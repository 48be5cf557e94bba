//! What is known of all applications, read anew where it differs.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use reef_lattice::{
    Key,
    key::kind,
    record::{self, App, Routing},
};
use serde::de::DeserializeOwned;

use super::Read;
use crate::kept::Kept;

/// All applications, with where their requests go, as they were last heard of. One that the store has no record of any
/// more stays: it says of those that are deleted that they are.
#[derive(Default)]
pub(super) struct Applications(BTreeMap<String, Known>);

/// A record, and its key.
type Record<'a> = (&'a Key, &'a Bytes);

/// What is said of applications that is not known: where it stands below its kind, a key of it, and what.
pub(super) struct Differing(Vec<(String, Key, Said)>);

/// What is known of an application.
pub(super) struct Known {
    pub(super) namespace: String,
    pub(super) app: String,
    pub(super) record: App,
    pub(super) routing: Routing,
    /// What both were read from.
    said: Said,
    /// What it is here. None: that is to be found out anew.
    pub(super) read: Option<Arc<Read>>,
}

/// The records of an application and of where its requests go.
struct Said {
    app: Option<Bytes>,
    routing: Option<Bytes>,
}

impl Said {
    /// Whether it is this; mostly it is the very same.
    fn is(&self, app: Option<&Bytes>, routing: Option<&Bytes>) -> bool {
        let same = |one: &Option<Bytes>, other: Option<&Bytes>| match (one, other) {
            (Some(one), Some(other)) => {
                (one.as_ptr(), one.len()) == (other.as_ptr(), other.len()) || one == other
            }
            (None, None) => true,
            _ => false,
        };
        same(&self.app, app) && same(&self.routing, routing)
    }
}

impl Applications {
    /// What differs from what is known, of all that is said of applications.
    pub(super) fn differing<'a>(&self, all: impl IntoIterator<Item = Record<'a>>) -> Differing {
        // By the part of the key that both records of an application have.
        let mut said: BTreeMap<&str, (Option<Record<'_>>, Option<Record<'_>>)> = BTreeMap::new();
        for (key, value) in all {
            match key.as_str().split_once('.') {
                Some((kind::APP, at)) => said.entry(at).or_default().0 = Some((key, value)),
                Some((kind::ROUTE, at)) => said.entry(at).or_default().1 = Some((key, value)),
                _ => {}
            }
        }
        let value = |of: Option<Record<'a>>| of.map(|(_, value)| value);
        let differs = said.into_iter().filter(|(at, (app, routing))| {
            let known = self.0.get(*at);
            !known.is_some_and(|known| known.said.is(value(*app), value(*routing)))
        });
        let differing = differs.filter_map(|(at, (app, routing))| {
            let (key, _) = app.or(routing)?;
            let said = Said { app: value(app).cloned(), routing: value(routing).cloned() };
            Some((at.to_owned(), key.clone(), said))
        });
        Differing(differing.collect())
    }

    /// Takes it in. Whether there was any.
    pub(super) fn take(&mut self, kept: &Kept, Differing(differing): Differing) -> bool {
        let is_any = !differing.is_empty();
        for (at, key, said) in differing {
            let tokens: Vec<_> = key.tokens().collect();
            let [_, namespace, app] = &tokens[..] else { continue };
            let record: Option<App> = read_or_kept(kept, [kind::APP, namespace, app], &said.app);
            let routing: Option<Routing> =
                read_or_kept(kept, [kind::ROUTE, namespace, app], &said.routing);
            if said.app.is_some()
                && said.routing.is_none()
                && let Ok(key) = Key::new(&[kind::ROUTE, namespace, app])
            {
                kept.forget(&key);
            }
            match (record, routing) {
                (Some(record), routing) => {
                    let (namespace, app) = (namespace.to_string(), app.to_string());
                    let routing = routing.unwrap_or_default();
                    let known = Known { namespace, app, record, routing, said, read: None };
                    self.0.insert(at, known);
                }
                (None, Some(routing)) => {
                    if let Some(known) = self.0.get_mut(&at) {
                        (known.routing, known.said, known.read) = (routing, said, None);
                    }
                }
                (None, None) => {}
            }
        }
        is_any
    }

    /// Those that are wanted. Of two that want the same place, the one that was there first has it.
    pub(super) fn wanted(&mut self) -> Vec<&mut Known> {
        let mut all = Vec::new();
        for known in self.0.values_mut() {
            if known.record.wanted.is_some() {
                all.push(known);
            } else {
                known.read = None;
            }
        }
        all.sort_by_key(|known| known.record.accepted);
        all
    }

    /// All is to be found out anew.
    pub(super) fn forget_what_was_read(&mut self) {
        self.0.values_mut().for_each(|known| known.read = None);
    }
}

/// A record as it is, or as it was when it last made sense: what runs goes on.
fn read_or_kept<T: DeserializeOwned>(
    kept: &Kept,
    tokens: [&str; 3],
    value: &Option<Bytes>,
) -> Option<T> {
    let (key, value) = (Key::new(&tokens).ok()?, value.as_ref()?);
    let decode = |value: &[u8]| record::decode(key.as_str(), value);
    match decode(value) {
        Ok(read) => {
            kept.keep(&key, value);
            Some(read)
        }
        Err(failure) => {
            tracing::debug!(%failure, "It is left as it was.");
            decode(&kept.read(&key)?).ok()
        }
    }
}
