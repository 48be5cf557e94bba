//! What one instance of a guest may use.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, atomic::AtomicUsize},
};

use reef_blob_store::BlobStore;
use reef_capability::{Caller, Failure, Gate, Links};
use reef_config::{CONFIG, SECRETS, Store, Value, Values};
use reef_key_value::KeyValue;
use reef_messaging::{Answering, Channel, Servers};
use reef_sql::{Addresses, Sql};
use wasmtime::{
    StoreContextMut,
    component::{Resource, ResourceTable},
};

/// What a workload may use: its links, by capability.
#[derive(Debug)]
pub struct Capabilities {
    /// Values by their keys.
    pub key_value: Links<dyn KeyValue>,
    /// Messages.
    pub messaging: Links<Channel>,
    /// Configuration, beyond its own.
    pub config: Links<Store>,
    /// Secrets.
    pub secrets: Links<Store>,
    /// Databases.
    pub sql: Links<dyn Sql>,
    /// Databases at addresses that guests choose; without, none of them may be connected to.
    pub addresses: Option<Addresses>,
    /// The same for servers of Redis and MQTT.
    pub servers: Option<Servers>,
    /// Blobs in containers.
    pub blob_store: Links<dyn BlobStore>,
    /// What parts of the component have that were workloads of their own before they were composed in.
    pub parts: BTreeMap<u32, Part>,
}

/// What a part of a component has for itself.
#[derive(Clone, Debug)]
pub struct Part {
    /// What it may use.
    pub granted: Arc<Capabilities>,
    /// Its own configuration.
    pub config: Arc<BTreeMap<String, Value>>,
}

/// What one instance may use, and what it chose.
#[derive(Clone)]
pub struct Instance {
    granted: Arc<Capabilities>,
    /// The workload's own configuration.
    own: Arc<BTreeMap<String, Value>>,
    /// For whom it works now.
    pub caller: Caller,
    /// The message that it handles.
    pub answering: Option<Answering>,
    /// Links that it selected, by interface (`wasi:keyvalue/store`).
    pub(crate) selected: BTreeMap<String, String>,
    /// Bytes of blobs that it wrote before it said where they belong.
    pub(crate) unnamed: Arc<AtomicUsize>,
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

/// What values are read with. It outlives the borrow of the store's data.
pub(crate) struct Reader {
    pub(crate) granted: Arc<Capabilities>,
    own: Arc<BTreeMap<String, Value>>,
    pub(crate) caller: Caller,
}

/// Where nothing is a workload's own.
static NOTHING: BTreeMap<String, Value> = BTreeMap::new();

// === impl Capabilities ===

impl Capabilities {
    /// No links at all: each use is refused, and the refusal says what would grant it.
    pub fn none(workload: &Arc<str>) -> Self {
        Self {
            key_value: Links::new(workload.clone(), reef_key_value::CAPABILITY, Vec::new()),
            messaging: Links::new(workload.clone(), reef_messaging::CAPABILITY, Vec::new()),
            config: Links::new(workload.clone(), CONFIG, Vec::new()),
            secrets: Links::new(workload.clone(), SECRETS, Vec::new()),
            sql: Links::new(workload.clone(), reef_sql::CAPABILITY, Vec::new()),
            addresses: None,
            servers: None,
            blob_store: Links::new(workload.clone(), reef_blob_store::CAPABILITY, Vec::new()),
            parts: BTreeMap::new(),
        }
    }

    /// What every use of each link passes through, for metrics.
    pub fn gates(&self) -> impl Iterator<Item = &Gate> {
        let parts = self.parts.values().flat_map(|part| part.granted.own_gates());
        self.own_gates().chain(parts)
    }

    fn own_gates(&self) -> impl Iterator<Item = &Gate> {
        let values = self.config.iter().chain(self.secrets.iter()).map(|link| &link.gate);
        let sql = self.sql.iter().map(|link| &link.gate);
        let blobs = self.blob_store.iter().map(|link| &link.gate);
        let messages = self.messaging.iter().map(|link| &link.gate);
        let values = values.chain(sql).chain(blobs).chain(messages);
        self.key_value.iter().map(|link| &link.gate).chain(values)
    }
}

impl Capabilities {
    /// Whether a link of any capability is called so.
    pub(crate) fn has_link(&self, name: &str) -> bool {
        self.gates().any(|gate| **gate.link() == *name)
    }
}

// === impl Instance ===

impl Instance {
    /// An instance of a workload that may use these.
    pub fn new(granted: Arc<Capabilities>) -> Self {
        let (own, caller) = (Arc::default(), Caller::default());
        let selected = BTreeMap::new();
        Self { granted, own, caller, answering: None, selected, unnamed: Arc::default() }
    }

    /// One whose workload has configuration of its own.
    #[must_use]
    pub fn with_config(mut self, own: Arc<BTreeMap<String, Value>>) -> Self {
        self.own = own;
        self
    }

    /// What it may use. It outlives the borrow of the store's data.
    pub fn granted(&self) -> Arc<Capabilities> {
        self.granted.clone()
    }

    pub(crate) fn selected(&self, interface: &str) -> Option<&str> {
        self.selected.get(interface).map(String::as_str)
    }
}

// === impl Reader ===

impl Reader {
    /// Of the whole component, or of a part of it.
    pub(crate) fn of<T: Capable>(
        mut store: StoreContextMut<'_, T>,
        part: Option<u32>,
    ) -> Result<Self, Failure> {
        Self::of_data(store.data_mut(), part)
    }

    pub(crate) fn of_data<T: Capable>(data: &mut T, part: Option<u32>) -> Result<Self, Failure> {
        let view = data.capabilities();
        let caller = view.instance.caller.clone();
        if let Some(part) = part {
            let Part { granted, config } = view.part(part)?;
            return Ok(Self { granted, own: config, caller });
        }
        let Instance { granted, own, .. } = view.instance;
        Ok(Self { granted: granted.clone(), own: own.clone(), caller })
    }

    pub(crate) fn config(&self) -> Values<'_> {
        Values { own: &self.own, links: &self.granted.config }
    }

    pub(crate) fn secrets(&self) -> Values<'_> {
        Values { own: &NOTHING, links: &self.granted.secrets }
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
