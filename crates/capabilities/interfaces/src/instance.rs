//! What one instance of a guest may use.

use std::{collections::BTreeMap, fmt, sync::Arc};

use reef_capability::{Caller, Failure, Links};
use reef_key_value::KeyValue;
use wasmtime::component::{Resource, ResourceTable};

/// What a workload may use: its links, by capability.
#[derive(Debug)]
pub struct Capabilities {
    /// Values by their keys.
    pub key_value: Links<dyn KeyValue>,
}

/// What one instance may use, and what it chose.
#[derive(Clone)]
pub struct Instance {
    granted: Arc<Capabilities>,
    /// For whom it works now.
    pub caller: Caller,
    /// Links that it selected, by interface (`wasi:keyvalue/store`).
    pub(crate) selected: BTreeMap<String, String>,
}

/// The data of a store that has capabilities.
pub trait Capable: Send + 'static {
    /// What an adapter works with.
    fn capabilities(&mut self) -> View<'_>;
}

/// What an adapter works with.
pub struct View<'a> {
    /// The instance's resources.
    pub table: &'a mut ResourceTable,
    /// What it may use.
    pub instance: &'a mut Instance,
}

// === impl Capabilities ===

impl Capabilities {
    /// No links at all: each use is refused, and the refusal says what would grant it.
    pub fn none(workload: &Arc<str>) -> Self {
        Self { key_value: Links::new(workload.clone(), reef_key_value::CAPABILITY, Vec::new()) }
    }
}

impl Capabilities {
    /// Whether a link of any capability is called so.
    pub(crate) fn has_link(&self, name: &str) -> bool {
        self.key_value.iter().any(|link| link.name() == name)
    }
}

// === impl Instance ===

impl Instance {
    /// An instance of a workload that may use these.
    pub fn new(granted: Arc<Capabilities>) -> Self {
        Self { granted, caller: Caller::default(), selected: BTreeMap::new() }
    }

    /// What it may use. It outlives the borrow of the store's data.
    pub fn granted(&self) -> Arc<Capabilities> {
        self.granted.clone()
    }

    pub(crate) fn selected(&self, interface: &str) -> Option<&str> {
        self.selected.get(interface).map(String::as_str)
    }
}

// === impl View ===

impl View<'_> {
    /// Keeps a resource for the guest.
    ///
    /// # Errors
    /// When it has as many as it can hold.
    pub(crate) fn keep<R: Send + 'static>(&mut self, resource: R) -> Result<Resource<R>, Failure> {
        self.table.push(resource).map_err(|_| {
            Failure::TooMany("the instance holds as many resources as it can".to_owned())
        })
    }
}

impl fmt::Debug for View<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("View").field("instance", &self.instance).finish_non_exhaustive()
    }
}

impl fmt::Debug for Instance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Instance").field("selected", &self.selected).finish_non_exhaustive()
    }
}
