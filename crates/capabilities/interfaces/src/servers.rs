//! Servers at addresses that guests choose: Redis and MQTT as Spin has them.

mod spin1;
mod spin2;
mod spin_mqtt3;
mod spin_redis3;

use std::time::Duration;

use reef_capability::{Caller, Failure};
use reef_messaging::{MqttBroker, RedisServer, Servers};
use reef_redis::redis::{Cmd, Value, cmd};
use wasmtime::component::{Accessor, Linker, LinkerInstance, Resource};

use crate::{
    Capable, OfInstance, View,
    instance::of_caller,
    scope::{Getter, offered},
};

/// What is offered.
pub(crate) const PROVIDED: &[&str] = &[
    "fermyon:spin/mqtt@2.0.0",
    "fermyon:spin/redis",
    "fermyon:spin/redis@2.0.0",
    "spin:mqtt/mqtt@3.0.0",
    "spin:redis/redis@3.0.0",
];

/// The shortest time after which a broker is asked whether it is there, as MQTT counts in whole seconds.
const SHORTEST: Duration = Duration::from_secs(1);

/// Offers the packages that are `wanted`.
pub(crate) fn add_to_linker<T: Capable>(
    linker: &mut Linker<T>,
    concurrent: bool,
    wanted: &impl Fn(&str) -> bool,
) -> wasmtime::Result<()> {
    if wanted("fermyon:spin/redis") || wanted("fermyon:spin/mqtt") {
        spin1::Imports::add_to_linker::<_, OfInstance<T>>(linker, T::capabilities)?;
        spin2::Imports::add_to_linker::<_, OfInstance<T>>(linker, T::capabilities)?;
    }
    if concurrent && wanted("spin:redis/") {
        spin_redis3::Imports::add_to_linker::<_, OfInstance<T>>(linker, T::capabilities)?;
    }
    if concurrent && wanted("spin:mqtt/") {
        spin_mqtt3::Imports::add_to_linker::<_, OfInstance<T>>(linker, T::capabilities)?;
    }
    Ok(())
}

/// Offers one interface, if it is one of these.
pub(crate) fn offer<T: Capable>(
    instance: &mut LinkerInstance<'_, T>,
    interface: &str,
    concurrent: bool,
    data: Getter<T>,
) -> wasmtime::Result<bool> {
    Ok(offered!(instance, interface, data, {
        "fermyon:spin/mqtt@2.0.0" => spin2::fermyon::spin::mqtt,
        "fermyon:spin/redis" => spin1::fermyon::spin::redis,
        "fermyon:spin/redis@2.0.0" => spin2::fermyon::spin::redis,
        "spin:mqtt/mqtt@3.0.0" if concurrent => spin_mqtt3::spin::mqtt::mqtt,
        "spin:redis/redis@3.0.0" if concurrent => spin_redis3::spin::redis::redis,
    }))
}

impl View<'_> {
    fn redis(&self, address: &str) -> Result<RedisServer, Failure> {
        let granted = self.granted()?;
        match &granted.servers {
            Some(servers) => servers.redis(address),
            None => Err(Servers::refused_redis(granted.messaging.workload(), address)),
        }
    }

    fn mqtt(
        &self,
        address: &str,
        who: (&str, &str),
        keep_alive: u64,
    ) -> Result<MqttBroker, Failure> {
        // Longer than that is as good as never.
        let keep_alive = Duration::from_secs(keep_alive.min(u16::MAX.into())).max(SHORTEST);
        let granted = self.granted()?;
        match &granted.servers {
            Some(servers) => servers.mqtt(address, who, keep_alive),
            None => Err(Servers::refused_mqtt(granted.messaging.workload(), address)),
        }
    }

    /// What a call needs that may outlive the borrow of the store's data.
    fn held<S: Clone + Send + 'static>(
        &self,
        connection: &Resource<S>,
    ) -> wasmtime::Result<(S, Caller)> {
        Ok((self.table.get(connection)?.clone(), self.instance.caller.clone()))
    }
}

fn held<T: Capable, S: Clone + Send + 'static>(
    store: &Accessor<T, OfInstance<T>>,
    connection: &Resource<S>,
) -> wasmtime::Result<(S, Caller)> {
    of_caller(store, |view| view.held(connection))
}

/// A command that is about a key, or about several.
fn about<A: AsRef<[u8]>>(name: &str, all: &[A]) -> Cmd {
    let mut command = cmd(name);
    for one in all {
        command.arg(one.as_ref());
    }
    command
}

/// A key, and what is to be done with these values of it.
fn with(name: &str, key: &str, values: &[String]) -> Cmd {
    let mut command = about(name, &[key]);
    for value in values {
        command.arg(value);
    }
    command
}

/// What a server says that was asked for something else.
fn other(value: &Value) -> Failure {
    Failure::Invalid(format!("Redis answered something else: {value:?}"))
}

fn number(value: Value) -> Result<i64, Failure> {
    match value {
        Value::Int(number) => Ok(number),
        other_value => Err(other(&other_value)),
    }
}

fn bytes(value: Value) -> Result<Option<Vec<u8>>, Failure> {
    match value {
        Value::Nil => Ok(None),
        Value::BulkString(bytes) => Ok(Some(bytes)),
        Value::SimpleString(text) => Ok(Some(text.into_bytes())),
        other_value => Err(other(&other_value)),
    }
}

fn texts(value: Value) -> Result<Vec<String>, Failure> {
    let (Value::Array(values) | Value::Set(values)) = value else { return Err(other(&value)) };
    let text = |value| {
        let bytes = bytes(value)?.unwrap_or_default();
        String::from_utf8(bytes)
            .map_err(|_| Failure::Invalid("a member of the set is no text".to_owned()))
    };
    values.into_iter().map(text).collect()
}

/// One part of an answer.
enum Part {
    Nil,
    Status(String),
    Number(i64),
    Bytes(Vec<u8>),
}

/// An answer without its levels, as Spin has it.
fn parts(value: Value) -> Result<Vec<Part>, Failure> {
    let mut parts = Vec::new();
    let mut left = vec![value];
    while let Some(value) = left.pop() {
        parts.push(match value {
            Value::Nil => Part::Nil,
            Value::Int(number) => Part::Number(number),
            Value::BulkString(bytes) => Part::Bytes(bytes),
            Value::SimpleString(text) => Part::Status(text),
            Value::Okay => Part::Status("OK".to_owned()),
            Value::Array(values) | Value::Set(values) => {
                left.extend(values.into_iter().rev());
                continue;
            }
            Value::Map(pairs) => {
                left.extend(pairs.into_iter().rev().flat_map(|(key, value)| [value, key]));
                continue;
            }
            Value::Double(number) => Part::Bytes(number.to_string().into_bytes()),
            Value::Boolean(yes) => Part::Number(yes.into()),
            Value::VerbatimString { text, .. } => Part::Bytes(text.into_bytes()),
            value => return Err(other(&value)),
        });
    }
    Ok(parts)
}

/// The values of a version of Spin's interface of Redis.
macro_rules! redis_values {
    ($($types:ident)::+) => {
        use $($types)::+::{RedisParameter, RedisResult};

        fn command(name: &str, arguments: Vec<RedisParameter>) -> reef_redis::redis::Cmd {
            let mut words = name.split_ascii_whitespace();
            let mut command = reef_redis::redis::cmd(words.next().unwrap_or_default());
            for word in words {
                command.arg(word);
            }
            for argument in arguments {
                match argument {
                    RedisParameter::Int64(number) => command.arg(number),
                    RedisParameter::Binary(bytes) => command.arg(bytes),
                };
            }
            command
        }

        fn results(
            value: reef_redis::redis::Value,
        ) -> Result<Vec<RedisResult>, reef_capability::Failure> {
            use crate::servers::Part;
            let result = |part| match part {
                Part::Nil => RedisResult::Nil,
                Part::Status(text) => RedisResult::Status(text),
                Part::Number(number) => RedisResult::Int64(number),
                Part::Bytes(bytes) => RedisResult::Binary(bytes),
            };
            Ok(crate::servers::parts(value)?.into_iter().map(result).collect())
        }
    };
}

/// The errors of a version of Spin's interface of Redis with connections.
macro_rules! redis_errors {
    ($error:ident) => {
        impl From<reef_capability::Failure> for $error {
            fn from(failure: reef_capability::Failure) -> Self {
                match failure {
                    reef_capability::Failure::Invalid(_) => Self::TypeError,
                    reef_capability::Failure::TooMany(_) => Self::TooManyConnections,
                    other => Self::Other(other.to_string()),
                }
            }
        }

        fn unopened(failure: reef_capability::Failure) -> $error {
            match failure {
                // As Spin says it of an address that is not granted.
                reef_capability::Failure::Invalid(_) | reef_capability::Failure::Denied(_) => {
                    $error::InvalidAddress
                }
                other => other.into(),
            }
        }
    };
}

/// The errors and qualities of service of a version of Spin's interface of MQTT.
macro_rules! mqtt_values {
    ($($types:ident)::+) => {
        use $($types)::+::{Error, Qos};

        impl From<reef_capability::Failure> for Error {
            fn from(failure: reef_capability::Failure) -> Self {
                match failure {
                    reef_capability::Failure::TooMany(_) => Self::TooManyConnections,
                    reef_capability::Failure::Unavailable { .. }
                    | reef_capability::Failure::Broken { .. }
                    | reef_capability::Failure::Timeout(_)
                    | reef_capability::Failure::Denied(_) => {
                        Self::ConnectionFailed(failure.to_string())
                    }
                    other => Self::Other(other.to_string()),
                }
            }
        }

        fn unopened(failure: reef_capability::Failure) -> Error {
            match failure {
                reef_capability::Failure::Invalid(_) => Error::InvalidAddress,
                other => other.into(),
            }
        }

        fn quality(qos: Qos) -> reef_mqtt::QoS {
            match qos {
                Qos::AtMostOnce => reef_mqtt::QoS::AtMostOnce,
                Qos::AtLeastOnce => reef_mqtt::QoS::AtLeastOnce,
                Qos::ExactlyOnce => reef_mqtt::QoS::ExactlyOnce,
            }
        }
    };
}

use {mqtt_values, redis_errors, redis_values};

#[cfg(test)]
mod tests;
