//! Names of things, cheap to copy, and moments.

use std::{borrow::Borrow, fmt, ops::Deref, sync::Arc, time::Duration};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

/// A name: of a host, a namespace, an application, a workload, a digest. Copies share their text.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id(Arc<str>);

/// Which workload: its name within its application, within its namespace. Written as `namespace/app/workload`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WorkloadKey {
    /// The namespace, whose quota it counts towards.
    pub namespace: Id,
    /// The application.
    pub app: Id,
    /// The workload's name there.
    pub workload: Id,
}

/// A moment: milliseconds since one that all of an input's moments share.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Time(pub u64);

impl WorkloadKey {
    /// The key of `workload` of `app` in `namespace`.
    pub fn new(namespace: impl Into<Id>, app: impl Into<Id>, workload: impl Into<Id>) -> Self {
        Self { namespace: namespace.into(), app: app.into(), workload: workload.into() }
    }
}

impl Time {
    /// The moment that is `wait` later; the last one there is where that is too far.
    pub fn after(self, wait: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)))
    }
}

// === impl Id ===

impl Deref for Id {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for Id {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl<T: AsRef<str>> From<T> for Id {
    fn from(text: T) -> Self {
        Self(text.as_ref().into())
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for Id {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from).map(|text| Self(text.into()))
    }
}

// === impl WorkloadKey ===

/// `namespace/app/workload`.
impl fmt::Display for WorkloadKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.namespace, self.app, self.workload)
    }
}

impl Serialize for WorkloadKey {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for WorkloadKey {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        let mut parts = text.splitn(3, '/');
        match (parts.next(), parts.next(), parts.next()) {
            (Some(namespace), Some(app), Some(workload)) => Ok(Self::new(namespace, app, workload)),
            _ => Err(D::Error::custom("a workload is written as `namespace/app/workload`")),
        }
    }
}
