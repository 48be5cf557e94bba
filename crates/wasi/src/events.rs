//! What handlers of Spin's events are called with, and how they say that they failed.
//!
//! The types are those of `spin:redis` 3.0.0 and `fermyon:spin` before versions (`inbound-redis`),
//! `spin:mqtt-trigger` 3.0.0, and `fermyon:spin-cron` 2.0.0, which `spin:cron` 3.0.0 has the same.

use wasmtime::component::{ComponentType, Lift, Lower};

/// `fermyon:spin/redis-types.error`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ComponentType, Lift, Lower, thiserror::Error)]
#[component(enum)]
#[repr(u8)]
pub enum Redis1Error {
    /// No error, said as one.
    #[component(name = "success")]
    #[error("it returned the error `success`")]
    Success,
    /// The only error that there is.
    #[component(name = "error")]
    #[error("it returned an error")]
    Error,
}

/// `spin:redis/redis.error`, 3.0.0.
#[derive(Clone, Debug, PartialEq, Eq, ComponentType, Lift, Lower, thiserror::Error)]
#[component(variant)]
pub enum Redis3Error {
    /// No such address.
    #[component(name = "invalid-address")]
    #[error("it returned the error `invalid-address`")]
    InvalidAddress,
    /// Too many at once.
    #[component(name = "too-many-connections")]
    #[error("it returned the error `too-many-connections`")]
    TooManyConnections,
    /// Not of the type that was expected.
    #[component(name = "type-error")]
    #[error("it returned the error `type-error`")]
    TypeError,
    /// In its own words.
    #[component(name = "other")]
    #[error("{0}")]
    Other(String),
}

/// `spin:mqtt-trigger/spin-mqtt-types.metadata`.
#[derive(Clone, Debug, PartialEq, Eq, ComponentType, Lift, Lower)]
#[component(record)]
pub struct MqttMetadata {
    /// Where the message was published.
    pub topic: String,
}

/// `spin:mqtt-trigger/spin-mqtt-types.error`.
#[derive(Clone, Debug, PartialEq, Eq, ComponentType, Lift, Lower, thiserror::Error)]
#[component(variant)]
pub enum MqttError {
    /// In its own words.
    #[component(name = "other")]
    #[error("{0}")]
    Other(String),
}

/// `fermyon:spin-cron/cron-types.metadata`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ComponentType, Lift, Lower)]
#[component(record)]
pub struct CronMetadata {
    /// When it was, in seconds since 1970.
    pub timestamp: u64,
}

/// `fermyon:spin-cron/cron-types.error`.
#[derive(Clone, Debug, PartialEq, Eq, ComponentType, Lift, Lower, thiserror::Error)]
#[component(variant)]
pub enum CronError {
    /// In its own words.
    #[component(name = "other")]
    #[error("{0}")]
    Other(String),
}
