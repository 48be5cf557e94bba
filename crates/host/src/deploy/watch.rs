//! What a description says of stores that are watched.

use std::time::Duration;

use reef_app::{Change, WatchTrigger, Workload as Described};
use reef_key_value::{CAPABILITY, Happening, Wish};

use super::{DeployError, Order, messaging::room};
use crate::task::{Plan, When};

/// How often a change is handled at most, and the first pause before the second time, where nothing else is said.
const MAX_DELIVER: u32 = 5;
const BACKOFF: Duration = Duration::from_secs(1);

impl Order {
    /// What a trigger makes of a workload.
    pub(super) fn watch(
        &self,
        described: &Described,
        trigger: &WatchTrigger,
        deadline: Option<Duration>,
    ) -> Result<Plan, DeployError> {
        let (capacity, most) = room(described);
        let mut links = self.wanted(described)?;
        links.retain(|link| link.capability == CAPABILITY);
        let wish = Wish {
            prefix: trigger.prefix.clone().unwrap_or_default(),
            key: trigger.key.as_ref().map(|key| key.value.clone()),
            only: trigger.only.map(|only| match only {
                Change::Set => Happening::Set,
                Change::Delete => Happening::Delete,
            }),
            waiting: capacity.messages,
            max_deliver: trigger.max_deliver.as_ref().map_or(MAX_DELIVER, |most| most.value),
            backoff: trigger.backoff.map_or(BACKOFF, |backoff| backoff.0),
        };
        let when = When::Watch { store: trigger.store.value.clone(), links, wish, most };
        Ok(Plan { when, args: Vec::new(), deadline })
    }
}
