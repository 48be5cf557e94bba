//! Redis servers and MQTT brokers at addresses that guests choose, where their workload may connect.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use reef_capability::{Caller, Failure, Gate, Operation, Policy, Secret};
use reef_egress::{Egress, Granted, Tls, Way};
use reef_mqtt::{Broker, Credentials, QoS};
use reef_redis::redis::{Cmd, Value};
use tokio::runtime::Handle;

use crate::{CAPABILITY, mqtt, redis};

/// Servers whose connections are kept.
const KEPT: usize = 16;

static COMMAND: Operation = Operation::once("command");
static PUBLISH: Operation = Operation::once("publish");

/// The servers that a workload may connect to by itself: those whose hosts it was granted. Connections are kept for
/// the addresses that were used last.
pub struct Servers {
    workload: Arc<str>,
    egress: Egress,
    tls: Tls,
    policy: Policy,
    runtime: Handle,
    redis: Mutex<Vec<(Secret, RedisServer)>>,
    mqtt: Mutex<Vec<(MqttKey, MqttBroker)>>,
}

/// Address, user, password and keep-alive.
type MqttKey = (Secret, Secret, Secret, Duration);

/// A Redis server at an address that a guest chose. Cheap to clone.
#[derive(Clone, Debug)]
pub struct RedisServer {
    gate: Arc<Gate>,
    client: reef_redis::Client,
}

/// An MQTT broker at an address that a guest chose. Cheap to clone.
#[derive(Clone, Debug)]
pub struct MqttBroker {
    gate: Arc<Gate>,
    client: reef_mqtt::Client,
}

impl Servers {
    /// Those of a workload, which trusts and comes as `tls` says; each is used as `policy` says.
    pub fn new(
        workload: Arc<str>,
        (egress, tls): (Egress, Tls),
        policy: Policy,
        runtime: Handle,
    ) -> Self {
        let (redis, mqtt) = (Mutex::default(), Mutex::default());
        Self { workload, egress, tls, policy, runtime, redis, mqtt }
    }

    /// The Redis server at an address: `redis://host:6379`.
    ///
    /// # Errors
    /// When the address makes no sense (`Invalid`), or the workload may not connect there (`Denied`).
    pub fn redis(&self, address: &str) -> Result<RedisServer, Failure> {
        kept(&self.redis, Secret::from(address), || {
            let server = reef_redis::Server::parse(address);
            let server = server.map_err(|error| Failure::Invalid(error.to_string()))?;
            // A socket of this machine is nobody's to grant by an address.
            let Some((host, port)) = server.host() else {
                return Err(Failure::Denied("a socket of this machine is not granted".to_owned()));
            };
            let (gate, way) = self.way("redis", host, port)?;
            let server = server.by(way).with_tls(self.tls.clone());
            let client = reef_redis::Client::new(server, redis::ANSWERING, self.runtime.clone());
            Ok(RedisServer { gate, client })
        })
    }

    /// The MQTT broker at an address: `mqtt://host:1883`. An empty name means nobody in particular.
    ///
    /// # Errors
    /// As [`redis`](Self::redis).
    pub fn mqtt(
        &self,
        address: &str,
        (name, password): (&str, &str),
        keep_alive: Duration,
    ) -> Result<MqttBroker, Failure> {
        let key = (address.into(), name.into(), password.into(), keep_alive);
        kept(&self.mqtt, key, || {
            let broker = Broker::parse(address, Some(keep_alive));
            let mut broker = broker.map_err(|error| Failure::Invalid(error.to_string()))?;
            if !name.is_empty() {
                let password = (!password.is_empty()).then(|| password.to_owned());
                broker = broker.with_credentials(Credentials { name: name.to_owned(), password });
            }
            let (host, port) = broker.host();
            let (gate, way) = self.way("mqtt", host, port)?;
            let broker = broker.by(way).with_tls(self.tls.clone());
            let client = reef_mqtt::Client::new(broker, self.runtime.clone());
            Ok(MqttBroker { gate, client })
        })
    }

    /// What is said to a workload that was granted no address at all, and asks for this one of Redis. It is logged.
    pub fn refused_redis(workload: &Arc<str>, address: &str) -> Failure {
        match reef_redis::Server::parse(address) {
            Ok(server) => refused(workload, "redis", server.host()),
            Err(error) => Failure::Invalid(error.to_string()),
        }
    }

    /// The same of MQTT.
    pub fn refused_mqtt(workload: &Arc<str>, address: &str) -> Failure {
        match Broker::parse(address, None) {
            Ok(broker) => refused(workload, "mqtt", Some(broker.host())),
            Err(error) => Failure::Invalid(error.to_string()),
        }
    }

    fn way(
        &self,
        system: &'static str,
        host: &str,
        port: u16,
    ) -> Result<(Arc<Gate>, Way), Failure> {
        let granted = checked(&self.workload, &self.egress, system, (host, port))?;
        let (workload, policy) = (self.workload.clone(), self.policy.clone());
        let named = format!("{host}:{port}").into();
        let names = (CAPABILITY, system);
        let gate = Gate::new(workload, named, names, policy, &[&COMMAND, &PUBLISH]);
        Ok((Arc::new(gate), Way::through(Arc::new(granted))))
    }
}

/// What a workload was granted, if that is one of it. A refusal is logged.
fn checked(
    workload: &Arc<str>,
    egress: &Egress,
    system: &'static str,
    (host, port): (&str, u16),
) -> Result<Granted, Failure> {
    let granted = Granted::new(workload.clone(), egress.clone(), system);
    match granted.check(host, port) {
        Ok(()) => Ok(granted),
        Err(why) => {
            tracing::warn!(workload = &**workload, denied = "egress", "{why}");
            Err(Failure::Denied(why))
        }
    }
}

fn refused(workload: &Arc<str>, system: &'static str, place: Option<(&str, u16)>) -> Failure {
    let none = Egress::new(Vec::new());
    let refused = place.and_then(|place| checked(workload, &none, system, place).err());
    refused.unwrap_or_else(|| Failure::Denied("a socket of this machine is not granted".to_owned()))
}

/// One that is known, or a new one in the place of the one that was not used for the longest time.
fn kept<K: PartialEq, S: Clone>(
    all: &Mutex<Vec<(K, S)>>,
    key: K,
    make: impl FnOnce() -> Result<S, Failure>,
) -> Result<S, Failure> {
    let mut all = all.lock().unwrap_or_else(PoisonError::into_inner);
    let at = all.iter().position(|(one, _)| *one == key);
    let known = match at {
        Some(at) => all.remove(at),
        None => (key, make()?),
    };
    if all.len() >= KEPT {
        all.remove(0);
    }
    let server = known.1.clone();
    all.push(known);
    Ok(server)
}

impl RedisServer {
    /// Has a command carried out.
    ///
    /// # Errors
    /// When it is too large, or there is no answer. `Invalid` when a value is of another kind.
    pub async fn ask(&self, caller: &Caller, command: &Cmd) -> Result<Value, Failure> {
        let bytes = command.args_iter().map(|arg| match arg {
            reef_redis::redis::Arg::Simple(bytes) => bytes.len(),
            _ => 0,
        });
        self.gate.fits("command", bytes.sum())?;
        let asking = || async { self.client.ask::<Value>(command).await.map_err(redis::failed) };
        self.gate.run(caller, &COMMAND, asking).await
    }
}

impl MqttBroker {
    /// Publishes a message.
    ///
    /// # Errors
    /// When it is too large, has no topic, or the broker does not have it as far as is known.
    pub async fn publish(
        &self,
        caller: &Caller,
        topic: &str,
        payload: Bytes,
        qos: QoS,
    ) -> Result<(), Failure> {
        self.gate.fits("message", topic.len() + payload.len())?;
        let publishing = || async {
            let published = self.client.publish(topic, payload.clone(), qos).await;
            published.map_err(mqtt::failed)
        };
        self.gate.run(caller, &PUBLISH, publishing).await
    }
}

impl fmt::Debug for Servers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Servers").field("workload", &self.workload).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_what_was_granted_is_connected_to() {
        let egress = Egress::new(vec!["redis://127.0.0.1:1".parse().unwrap()]);
        let runtime = Handle::current();
        let servers =
            Servers::new("w".into(), (egress, Tls::default()), Policy::default(), runtime);
        assert!(servers.redis("redis://127.0.0.1:1").is_ok());
        for denied in ["redis://127.0.0.1:2", "redis://localhost:1", "redis+unix:///run/redis.sock"]
        {
            let denied = servers.redis(denied);
            assert!(matches!(denied, Err(Failure::Denied(_))), "{denied:?}");
        }
        assert!(matches!(servers.redis("hunter2"), Err(Failure::Invalid(_))));
        let alive = Duration::from_secs(5);
        let denied = servers.mqtt("mqtt://127.0.0.1:1", ("", ""), alive);
        assert!(matches!(denied, Err(Failure::Denied(_))), "{denied:?}");
    }

    #[test]
    fn who_was_granted_nothing_is_told_what_would_grant_it() {
        let workload = "shop/w".into();
        let said = |failure: Failure| {
            assert!(matches!(failure, Failure::Denied(_)), "{failure}");
            failure.to_string()
        };
        let redis = said(Servers::refused_redis(&workload, "redis://:hunter2@db:7000"));
        assert!(redis.contains("db:7000") && redis.contains("egress"), "{redis}");
        let mqtt = said(Servers::refused_mqtt(&workload, "mqtt://broker:1883"));
        assert!(mqtt.contains("broker:1883") && !redis.contains("hunter2"), "{mqtt}");
        said(Servers::refused_redis(&workload, "redis+unix:///run/redis.sock"));
        assert!(matches!(Servers::refused_mqtt(&workload, "http://x"), Failure::Invalid(_)));
    }

    #[test]
    fn the_oldest_makes_room() {
        let all = Mutex::default();
        for key in 0..KEPT * 2 {
            assert_eq!(kept(&all, key, || Ok(key)), Ok(key));
        }
        assert_eq!(kept(&all, KEPT, || Ok(0)), Ok(KEPT), "it was kept");
        assert_eq!(kept(&all, 0, || Ok(7)), Ok(7), "it was not");
        assert_eq!(all.lock().unwrap().len(), KEPT);
    }
}
