//! What values are read with.

use std::{collections::BTreeMap, sync::Arc};

use reef_capability::{Caller, Failure, Links};
use reef_config::{CONFIG, SECRETS, Store, Value, Values};

use crate::{Capabilities, View};

/// The values that an import means. It outlives the borrow of the store's data.
pub(crate) struct Reader {
    granted: Arc<Capabilities>,
    links: Which,
    /// What needs no link.
    own: Option<Arc<BTreeMap<String, Value>>>,
    pub(crate) caller: Caller,
}

/// Over which links.
enum Which {
    Config,
    Secrets,
    /// That of a label, and no other.
    One(Links<Store>),
}

/// Where nothing is a workload's own.
static NOTHING: BTreeMap<String, Value> = BTreeMap::new();

impl Reader {
    /// Of configuration: what the workload has of its own first, and under a label what is behind its link.
    pub(crate) fn config(view: &View<'_>, import: &str) -> Result<Self, Failure> {
        let granted = view.granted()?;
        let (links, own) = match view.label() {
            None => (Which::Config, Some(view.config()?)),
            Some(label) => {
                let one = granted.config.named(import, label)?;
                let workload = granted.config.workload().clone();
                (Which::One(Links::new(workload, CONFIG, vec![one])), None)
            }
        };
        Ok(Self { granted, links, own, caller: view.instance.caller.clone() })
    }

    /// Of secrets.
    pub(crate) fn secrets(view: &View<'_>, import: &str) -> Result<Self, Failure> {
        let granted = view.granted()?;
        let links = match view.label() {
            None if granted.secrets.is_empty() => {
                // Says what to add.
                granted.secrets.named(import, "")?;
                Which::Secrets
            }
            None => Which::Secrets,
            Some(label) => {
                let one = granted.secrets.named(import, label)?;
                let workload = granted.secrets.workload().clone();
                Which::One(Links::new(workload, SECRETS, vec![one]))
            }
        };
        Ok(Self { granted, links, own: None, caller: view.instance.caller.clone() })
    }

    pub(crate) fn values(&self) -> Values<'_> {
        let links = match &self.links {
            Which::Config => &self.granted.config,
            Which::Secrets => &self.granted.secrets,
            Which::One(links) => links,
        };
        Values { own: self.own.as_deref().unwrap_or(&NOTHING), links }
    }
}
