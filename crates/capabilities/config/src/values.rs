//! What an adapter uses: the values of a workload.

use std::collections::{BTreeMap, btree_map::Entry};

use reef_capability::{Caller, Failure, Link, Links, Operation};

use crate::{Store, Value};

static GET: Operation = Operation::repeatable("get");
static ALL: Operation = Operation::repeatable("get-all");

/// What can be done over a link.
pub static OPERATIONS: &[&Operation] = &[&GET, &ALL];

/// The values of a workload: its own first, then those of its links, in their order.
#[derive(Clone, Copy, Debug)]
pub struct Values<'a> {
    /// Its own.
    pub own: &'a BTreeMap<String, Value>,
    /// Its links.
    pub links: &'a Links<Store>,
}

impl Values<'_> {
    /// The value of a name, if it has one.
    ///
    /// A link that cannot be read is an error, and not passed over: what comes after it may be another value.
    ///
    /// # Errors
    /// When there are links and none grants the name, or one fails.
    pub async fn get(&self, caller: &Caller, name: &str) -> Result<Option<Value>, Failure> {
        if let Some(value) = self.own.get(name) {
            return Ok(Some(value.clone()));
        }
        let mut granted = false;
        for link in self.links.iter().filter(|link| link.backend.keys().grants(name)) {
            granted = true;
            let value = link.gate.run(caller, &GET, || link.backend.get(name)).await?;
            if let Some(value) = value {
                link.gate.fits("value", value.len())?;
                return Ok(Some(value));
            }
        }
        match self.links.iter().next() {
            Some(link) if !granted => Err(refused(link, name)),
            _ => Ok(None),
        }
    }

    /// Every value that is granted, by its name.
    ///
    /// # Errors
    /// When a link fails, or has too many.
    pub async fn all(&self, caller: &Caller) -> Result<BTreeMap<String, Value>, Failure> {
        let mut values = self.own.clone();
        for link in self.links.iter() {
            let all = link.gate.run(caller, &ALL, || link.backend.all()).await?;
            link.gate.fits("sum of all values", all.iter().map(|(_, value)| value.len()).sum())?;
            for (name, value) in all.iter() {
                if let Entry::Vacant(entry) = values.entry(name.clone()) {
                    entry.insert(value.clone());
                }
            }
        }
        Ok(values)
    }
}

fn refused(link: &Link<Store>, name: &str) -> Failure {
    let (workload, capability, keys) =
        (&**link.gate.workload(), link.gate.capability(), link.backend.keys());
    let called = link.name();
    // A name is the guest's, and may be anything.
    let name: String = name.chars().take(100).collect::<String>().escape_debug().collect();
    let why = format!(
        "{workload} may not read `{name}` of {capability}: its link `{called}` has config.keys = \"{keys}\"; \
         write config.keys = \"{keys}, {name}\" there"
    );
    tracing::warn!(workload, denied = "key", grant = capability, link = called, "{why}");
    Failure::Denied(why)
}

#[cfg(test)]
mod tests;
