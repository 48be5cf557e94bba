//! What a description says of messages.

use std::{sync::Arc, time::Duration};

use reef_app::{Link, MessageTrigger, Workload as Described};
use reef_bus::{Capacity, Subject};

use super::{DeployError, Order};
use crate::{
    Workload,
    task::{Handler, Plan, When},
};

/// The capability to publish on the bus.
const CAPABILITY: &str = "messaging";
const PACKAGE: &str = "wasmcloud:messaging";
/// The setting that says where.
const SUBJECTS: &str = "subjects";
/// Messages that are handled at once, where nothing else is said.
const AT_ONCE: u32 = 32;

/// Where a workload may publish: anywhere, if nothing is said.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Publishes(pub(super) Option<Vec<Subject>>);

/// Whether a link is to the bus.
pub(super) fn is_messaging(link: &Link) -> bool {
    let import = link
        .import
        .strip_prefix(PACKAGE)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/') || rest.starts_with('@'));
    import && link.capability.as_ref().is_some_and(|name| name.as_str() == CAPABILITY)
}

impl Order {
    /// Where a workload may publish, if it may.
    pub(super) fn publishes(
        &self,
        described: &Described,
    ) -> Result<Option<Publishes>, DeployError> {
        let mut all: Option<Publishes> = None;
        for link in described.links.iter().filter(|link| is_messaging(link)) {
            let others: Vec<_> =
                link.config.keys().filter(|key| *key != SUBJECTS).map(String::as_str).collect();
            if !others.is_empty() {
                tracing::info!(
                    workload = described.name.as_str(),
                    settings = others.join(","),
                    "The bus is this host's own, which has no such settings."
                );
            }
            let Some(template) = link.config.get(SUBJECTS) else {
                all = Some(Publishes(None));
                continue;
            };
            let text = self.text(template)?;
            let subjects = text.split(',').map(str::trim).filter(|text| !text.is_empty());
            let subjects = subjects.map(str::parse).collect::<Result<Vec<Subject>, _>>();
            let subjects = subjects.map_err(|error| DeployError::Value {
                workload: described.name.to_string(),
                why: error.to_string(),
            })?;
            match &mut all {
                Some(Publishes(Some(known))) => known.extend(subjects),
                Some(Publishes(None)) => {}
                none => *none = Some(Publishes(Some(subjects))),
            }
        }
        Ok(all)
    }
}

/// What a trigger makes of a workload.
pub(super) fn plan(
    described: &Described,
    trigger: &MessageTrigger,
    deadline: Option<Duration>,
) -> Plan {
    let limits = &described.limits;
    let waiting = limits.queue.map(|queue| queue.max(1) as usize);
    let default = Capacity::default();
    let when = When::Message {
        subject: trigger.subject.value.clone(),
        queue: trigger.queue.as_ref().map(|queue| Arc::from(queue.as_str())),
        capacity: Capacity { messages: waiting.unwrap_or(default.messages), ..default },
        most: limits.requests.unwrap_or(AT_ONCE) as usize,
    };
    Plan { when, args: Vec::new(), deadline }
}

/// Whether a workload can do what is planned for it.
pub(super) fn check(plan: &Plan, workload: &Workload) -> Result<(), DeployError> {
    if !matches!(plan.when, When::Message { .. }) || Handler::of(workload).is_some() {
        return Ok(());
    }
    let kind = workload.kinds().first().map(ToString::to_string).unwrap_or_default();
    Err(DeployError::Value {
        workload: workload.name().to_string(),
        why: format!(
            "messages go to a component that exports `wasmcloud:messaging/handler` 0.2 or to a \
             command, and this is neither: {kind}"
        ),
    })
}
