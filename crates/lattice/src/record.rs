//! What is kept in the store and said on the bus: JSON, in which what is unknown is left alone, so that hosts of
//! different versions understand each other.

mod application;
mod host;
mod lead;
mod traffic;

pub use self::{
    application::{App, Autoscale, AutoscaleTarget, File, Head, Namespace, Revision, Scaled, Turn},
    host::{
        Assigned, Assignment, HEARTBEAT, Heartbeat, Measured, Missing, Reported, Scheduling,
        Trouble,
    },
    lead::{Leader, Rollout, Shared, Status, WorkloadStatus},
    traffic::{Backend, Entry, Routing},
};

use bytes::Bytes;
use reef_capability::Failure;
use serde::{Serialize, de::DeserializeOwned};

/// As it is kept.
///
/// # Errors
/// When it cannot be written as JSON.
pub fn encode<T: Serialize>(record: &T) -> Result<Bytes, Failure> {
    let json = serde_json::to_vec(record).map_err(|error| Failure::Invalid(error.to_string()))?;
    Ok(json.into())
}

/// As it was kept. `what`: named in the error.
///
/// # Errors
/// When it is not what it should be: somebody else wrote it, or a newer version.
pub fn decode<T: DeserializeOwned>(what: &str, json: &[u8]) -> Result<T, Failure> {
    serde_json::from_slice(json)
        .map_err(|error| Failure::Backend(format!("{what} cannot be understood: {error}")))
}
