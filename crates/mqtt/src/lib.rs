//! MQTT brokers (version 3.1.1): an address, and a connection that is kept.
//!
//! [`Broker`] is the one place where an address becomes a connection: URL, TLS, credentials, deadlines.
//! [`Client`] publishes; [`listen`] stays subscribed to a topic, whatever becomes of the broker.
//!
//! Credentials are never a part of what is said: [`Broker`] shows the host alone.

#![cfg_attr(test, allow(clippy::panic, reason = "a failed test says enough"))]

mod broker;
mod client;
mod listen;

pub use broker::{AddressError, Broker, ConnectError, Credentials};
pub use client::{Client, PublishError};
pub use listen::{Ack, Event, Message, QoS, Topic, TopicError, listen, listen_until};
