//! What one instance of a guest may use.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, atomic::AtomicUsize},
};

use reef_blob_store::BlobStore;
use reef_capability::{Caller, Failure, Gate, Links};
use reef_config::{CONFIG, SECRETS, Store, Value};
use reef_key_value::KeyValue;
use reef_messaging::{Answering, Channel, Servers};
use reef_sql::{Addresses, Sql};
use wasmtime::{
    AsContextMut as _, StoreContextMut,
    component::{Accessor, Resource, ResourceTable},
};

use crate::{OfInstance, Scopes, scope::Getter};

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
    scopes: Scopes,
    /// Bytes of blobs that it wrote before it said where they belong.
    pub(crate) unnamed: Arc<AtomicUsize>,
}

/// The data of a store that has capabilities.
pub trait Capable: Send + 'static {
    /// What an adapter works with.
    fn capabilities(&mut self) -> View<'_>;

    /// For whom the call is made that the guest is in: [`Instance::caller`], unless the instance works for several at
    /// once, where it is for nobody, and the data may know better.
    fn caller(store: &mut StoreContextMut<'_, Self>) -> Caller
    where
        Self: Sized,
    {
        store.data_mut().capabilities().instance.caller.clone()
    }
}

/// A look at the instance that is for whom the call is made that the guest is in. To be taken before the first wait:
/// later, the guest may be in another call.
pub(crate) fn of_caller<T: Capable, R>(
    accessor: &Accessor<T, OfInstance<T>>,
    look: impl FnOnce(&mut View<'_>) -> R,
) -> R {
    accessor.with(|mut access| {
        let caller = T::caller(&mut access.as_context_mut());
        look_for(access.get(), caller, look)
    })
}

/// The same where there is no more than the store.
pub(crate) fn of_call<T: Capable, R>(
    mut store: StoreContextMut<'_, T>,
    data: Getter<T>,
    look: impl FnOnce(&mut View<'_>) -> R,
) -> R {
    let caller = T::caller(&mut store);
    look_for(data(store.data_mut()), caller, look)
}

fn look_for<R>(mut view: View<'_>, caller: Caller, look: impl FnOnce(&mut View<'_>) -> R) -> R {
    let usual = std::mem::replace(&mut view.instance.caller, caller);
    let seen = look(&mut view);
    view.instance.caller = usual;
    seen
}

/// What an adapter works with.
pub struct View<'a> {
    /// The instance's resources.
    pub table: &'a mut ResourceTable,
    /// What it may use.
    pub instance: &'a mut Instance,
    /// Which import it is called by, if that has links of its own.
    pub(crate) number: Option<usize>,
}

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
        self.own_gates().any(|gate| **gate.link() == *name)
    }
}

// === impl Instance ===

impl Instance {
    /// An instance of a workload that may use these.
    pub fn new(granted: Arc<Capabilities>) -> Self {
        let (own, caller) = (Arc::default(), Caller::default());
        let (selected, scopes) = (BTreeMap::new(), Scopes::default());
        Self { granted, own, caller, answering: None, selected, scopes, unnamed: Arc::default() }
    }

    /// One whose workload has configuration of its own.
    #[must_use]
    pub fn with_config(mut self, own: Arc<BTreeMap<String, Value>>) -> Self {
        self.own = own;
        self
    }

    /// One of a component some of whose imports have links of their own.
    #[must_use]
    pub fn with_scopes(mut self, scopes: Scopes) -> Self {
        self.scopes = scopes;
        self
    }

    /// What it may use. It outlives the borrow of the store's data.
    pub fn granted(&self) -> Arc<Capabilities> {
        self.granted.clone()
    }

    pub(crate) fn own(&self) -> &Arc<BTreeMap<String, Value>> {
        &self.own
    }

    pub(crate) fn parts(&self) -> &BTreeMap<u32, Part> {
        &self.granted.parts
    }

    pub(crate) fn scopes(&self) -> &Scopes {
        &self.scopes
    }

    pub(crate) fn selected(&self, interface: &str) -> Option<&str> {
        self.selected.get(interface).map(String::as_str)
    }
}

// === impl View ===

impl<'a> View<'a> {
    /// What an adapter works with that is called by the whole component, under an interface's own name.
    pub fn new(table: &'a mut ResourceTable, instance: &'a mut Instance) -> Self {
        Self { table, instance, number: None }
    }

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
