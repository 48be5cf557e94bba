//! What a description says of messages.

use std::{sync::Arc, time::Duration};

use reef_app::{Link, MessageTrigger, MqttTrigger, RedisTrigger, Template, Workload as Described};
use reef_bus::{Capacity, Subject};
use reef_document::At;

use super::{DeployError, Order};
use crate::{
    Workload,
    task::{Handler, Plan, Sort, Source, When},
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

impl Order {
    /// The channel of a trigger. What is wrong with an address says nothing of it: it may hold a password.
    pub(super) fn redis(
        &self,
        described: &Described,
        trigger: &RedisTrigger,
    ) -> Result<Source, DeployError> {
        let address = self.text(&trigger.address)?;
        let server = read(described, &address, reef_redis::Server::parse)?;
        Ok(Source::Redis { server, channel: self.text(&trigger.channel)? })
    }

    /// The topic of a trigger.
    pub(super) fn mqtt(
        &self,
        described: &Described,
        trigger: &MqttTrigger,
    ) -> Result<Source, DeployError> {
        let keep_alive = trigger.keep_alive.map(|every| every.0);
        let address = self.text(&trigger.address)?;
        let broker = |address: &str| reef_mqtt::Broker::parse(address, keep_alive);
        let mut broker = read(described, &address, broker)?;
        let text = |template: &Option<At<Template>>| {
            template.as_ref().map(|template| self.text(template)).transpose()
        };
        let (name, password) = (text(&trigger.username)?, text(&trigger.password)?);
        // Empty is what an anonymous client says.
        let given = |text: Option<String>| text.filter(|text| !text.is_empty());
        match (given(name), given(password)) {
            (None, None) => {}
            (Some(name), password) => {
                broker = broker.with_credentials(reef_mqtt::Credentials { name, password });
            }
            (None, Some(_)) => {
                return Err(DeployError::Value {
                    workload: described.name.to_string(),
                    why: "its MQTT trigger has a password and no username".to_owned(),
                });
            }
        }
        let topic = read(described, &self.text(&trigger.topic)?, str::parse)?;
        let qos = match trigger.qos {
            0 => reef_mqtt::QoS::AtMostOnce,
            1 => reef_mqtt::QoS::AtLeastOnce,
            2 => reef_mqtt::QoS::ExactlyOnce,
            other => {
                return Err(DeployError::Value {
                    workload: described.name.to_string(),
                    why: format!(
                        "there is no quality of service {other}: write `qos = 0` (at most once), 1 \
                         (at least once) or 2 (exactly once)"
                    ),
                });
            }
        };
        Ok(Source::Mqtt { broker, topic, qos })
    }
}

/// Reads what a template came to.
fn read<T, E: std::error::Error>(
    described: &Described,
    text: &str,
    parse: impl FnOnce(&str) -> Result<T, E>,
) -> Result<T, DeployError> {
    parse(text).map_err(|error| DeployError::Value {
        workload: described.name.to_string(),
        why: error.to_string(),
    })
}

/// What a trigger for messages of another server makes of a workload.
pub(super) fn feed_plan(described: &Described, source: Source, deadline: Option<Duration>) -> Plan {
    let (capacity, most) = room(described);
    Plan { when: When::Feed { source: source.into(), capacity, most }, args: Vec::new(), deadline }
}

/// How many messages wait, and how many are handled at once.
fn room(described: &Described) -> (Capacity, usize) {
    let limits = &described.limits;
    let waiting = limits.queue.map(|queue| queue.max(1) as usize);
    let default = Capacity::default();
    let capacity = Capacity { messages: waiting.unwrap_or(default.messages), ..default };
    (capacity, limits.requests.unwrap_or(AT_ONCE) as usize)
}

/// What a trigger makes of a workload.
pub(super) fn plan(
    described: &Described,
    trigger: &MessageTrigger,
    deadline: Option<Duration>,
) -> Plan {
    let (capacity, most) = room(described);
    let when = When::Message {
        subject: trigger.subject.value.clone(),
        queue: trigger.queue.as_ref().map(|queue| Arc::from(queue.as_str())),
        capacity,
        most,
    };
    Plan { when, args: Vec::new(), deadline }
}

/// Whether a workload can handle what is planned for it.
pub(super) fn check(sort: Sort, workload: &Workload) -> Result<(), DeployError> {
    if Handler::of(workload, sort).is_some() {
        return Ok(());
    }
    let kind = workload.kinds().first().map(ToString::to_string).unwrap_or_default();
    Err(DeployError::Value {
        workload: workload.name().to_string(),
        why: format!("{}, and this is neither: {kind}", sort.wanted()),
    })
}
