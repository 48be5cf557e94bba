//! What a description says of messages.

use std::{sync::Arc, time::Duration};

use reef_app::{MessageTrigger, MqttTrigger, RedisTrigger, Template, Workload as Described};
use reef_bus::Capacity;
use reef_capability::{Gate, Link, Links, OpenError, Opened, POLICY, Policy, find};
use reef_document::At;
use reef_egress::Tls;
use reef_messaging::{BACKENDS, CAPABILITY, Channel, Messaging, OPERATIONS, TERMS, Terms};

use super::{
    DeployError, Order,
    capabilities::{CapabilityLink, Linker},
};
use crate::{
    Workload,
    task::{Handler, Plan, Sort, Source, When},
};

/// Messages that are handled at once, where nothing else is said.
const AT_ONCE: u32 = 32;

impl Linker<'_> {
    /// The links to what carries messages.
    pub(super) fn messaging(
        &self,
        wanted: &[CapabilityLink],
        opened: &Opened<dyn Messaging>,
    ) -> Result<Links<Channel>, DeployError> {
        let mut links = Vec::new();
        for one in wanted.iter().filter(|one| one.capability == CAPABILITY) {
            let link = self.channel(one, opened).map_err(|error| self.refused(one, &error))?;
            links.push(Arc::new(link));
        }
        Ok(Links::new(self.name.clone(), CAPABILITY, links))
    }

    fn channel(
        &self,
        wanted: &CapabilityLink,
        opened: &Opened<dyn Messaging>,
    ) -> Result<Link<Channel>, OpenError> {
        if let Some(backend) = &wanted.backend {
            let backend = find(BACKENDS, backend)?;
            wanted.settings.only(&[backend.settings, TERMS, POLICY])?;
        }
        // What is the workload's own does not make another backend of it.
        let mut wanted = wanted.clone();
        let terms = Terms::take(&mut wanted.settings)?;
        let link = self.link(&wanted, (BACKENDS, OPERATIONS), opened)?;
        let Link { place, mut gate, mut backend } = link;
        if let Some(kept) = wanted.offline {
            if wanted
                .backend
                .as_deref()
                .is_none_or(|name| Some(name) == BACKENDS.first().map(|one| one.name))
            {
                return Err(OpenError::Place(
                    "`offline = \"queue\"` is for messages of a server: this host's own bus is never cut off"
                        .to_owned(),
                ));
            }
            let journal = self.journal(&wanted, kept)?;
            backend = Arc::new(reef_messaging::Offline::new(backend, journal, self.runtime()));
            gate = gate.without_breaker();
        }
        Ok(Link { place, gate, backend: Arc::new(Channel::new(backend, terms)?) })
    }
}

/// A workload's way to the bus of this host, for messages that it is given and no link of it is to.
pub(crate) fn on_bus(workload: &Arc<str>, bus: &Arc<dyn Messaging>) -> Arc<Link<Channel>> {
    let system = BACKENDS.first().map_or("", |backend| backend.system);
    let names = (CAPABILITY, system);
    let gate = Gate::new(workload.clone(), "bus".into(), names, Policy::default(), OPERATIONS);
    Arc::new(Link { place: None, gate, backend: Arc::new(Channel::unlimited(bus.clone())) })
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
        let server = server.with_tls(self.trust(described)?);
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
        let mut broker = read(described, &address, broker)?.with_tls(self.trust(described)?);
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

    /// Whom a workload trusts, and as whom it comes.
    fn trust(&self, described: &Described) -> Result<Tls, DeployError> {
        let Some(given) = self.tls(described)? else { return Ok(Tls::default()) };
        reef_wasi::trust(&given).map_err(|(path, why)| DeployError::Value {
            workload: described.name.to_string(),
            why: format!("{} cannot be used for TLS: {why}", path.display()),
        })
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
pub(super) fn room(described: &Described) -> (Capacity, usize) {
    let limits = &described.limits;
    let waiting = limits.queue.map(|queue| queue.max(1) as usize);
    let default = Capacity::default();
    let capacity = Capacity { messages: waiting.unwrap_or(default.messages), ..default };
    (capacity, limits.requests.unwrap_or(AT_ONCE) as usize)
}

impl Order {
    /// What a trigger makes of a workload.
    pub(super) fn messages(
        &self,
        described: &Described,
        trigger: &MessageTrigger,
        deadline: Option<Duration>,
    ) -> Result<Plan, DeployError> {
        let (capacity, most) = room(described);
        let link = match &trigger.link {
            None => None,
            Some(name) => {
                let all = self.wanted(described)?;
                let mut of = all.into_iter().filter(|one| one.capability == CAPABILITY);
                let link = of.find(|one| one.name == name.as_str());
                Some(link.ok_or_else(|| DeployError::Value {
                    workload: described.name.to_string(),
                    why: format!(
                        "its messages are to come over its link `{}`, and it has none that is \
                         called so; add link = [{{ import = \"wasmcloud:messaging\", \
                         name = \"{}\", capability = \"messaging\", config = {{ … }} }}]",
                        name.value, name.value
                    ),
                })?)
            }
        };
        let when = When::Message {
            subject: trigger.subject.value.clone(),
            queue: trigger.queue.as_ref().map(|queue| Arc::from(queue.as_str())),
            link,
            capacity,
            most,
        };
        Ok(Plan { when, args: Vec::new(), deadline })
    }
}

/// Whether a workload can handle what is planned for it.
pub(super) fn check(sort: Sort, workload: &Workload) -> Result<(), DeployError> {
    if Handler::of(workload, sort).is_some() {
        return Ok(());
    }
    let kind = workload.kinds().first().map(ToString::to_string).unwrap_or_default();
    Err(DeployError::Value {
        workload: workload.name().to_string(),
        why: format!("{}, and this is something else: {kind}", sort.wanted()),
    })
}
