//! What workloads are linked to beyond each other: capabilities and their backends.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::Arc,
};

use reef_app::{Offline, Workload as Described};
use reef_artifact::Artifact;
use reef_blob_store::BlobStore;
use reef_capability::{
    BACKEND, BUCKET, Backend, Gate, Link, Links, OpenError, Opened, Opening, Operation, Policy,
    Setting, Settings, find,
};
use reef_config::{CONFIG, SECRETS, Store};
use reef_egress::{Egress, Tls};
use reef_grants::{Destination, Grants};
use reef_journal::{Journal, Journals, OFFLINE_CAPACITY};
use reef_key_value::{KeyValue, Merge};
use reef_messaging::{Messaging, Servers};
use reef_sql::{Addresses, Sql};
use reef_wasi::{Capabilities, Part, SCOPED};

use super::{DeployError, Host, Order, make::Identity};
use crate::{Workload, workload::package};

/// Everything that is open, for all applications.
#[derive(Debug, Default)]
pub(super) struct Backends {
    /// Where applications keep their own.
    data: Option<PathBuf>,
    key_value: Opened<dyn KeyValue>,
    pub(super) messaging: Opened<dyn Messaging>,
    journals: Journals,
    pub(super) config: Opened<Store>,
    blob_store: Opened<dyn BlobStore>,
    sql: Opened<dyn Sql>,
}

/// What a workload that is composed into another is linked to, beside that one's own links.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct CapabilityPart {
    /// Which: the names of its imports say it.
    number: u32,
    name: Arc<str>,
    wanted: Vec<CapabilityLink>,
    config: Vec<(String, String)>,
    /// Servers that it may connect to by addresses of its own.
    egress: Vec<Destination>,
    tls: Option<reef_grants::Tls>,
}

/// A link to a capability, as it was described.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct CapabilityLink {
    pub(super) capability: &'static str,
    pub(crate) name: String,
    pub(super) backend: Option<String>,
    place: Option<String>,
    pub(super) settings: Settings,
    /// What is kept while its backend cannot be reached.
    pub(super) offline: Option<Kept>,
}

/// What is kept while a backend cannot be reached, and which of two values stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Kept {
    pub(super) capacity: u64,
    pub(super) merge: Merge,
}

/// How much is kept, if nothing is said.
const KEPT: u64 = 16 << 20;

/// Capabilities, and the packages of interfaces that a link to each may name.
const CAPABILITIES: &[(&str, &[&str])] = &[
    (CONFIG, &["wasi:config", "fermyon:spin", "spin:variables"]),
    (
        reef_key_value::CAPABILITY,
        &["wasi:keyvalue", "fermyon:spin", "spin:key-value", "wasmcloud:keyvalue", "wrpc:keyvalue"],
    ),
    (reef_messaging::CAPABILITY, &["wasmcloud:messaging", "wasi:messaging"]),
    (SECRETS, &["wasmcloud:secrets"]),
    (
        reef_sql::CAPABILITY,
        &["fermyon:spin", "spin:mysql", "spin:postgres", "spin:sqlite", "wasmcloud:postgres"],
    ),
    (reef_blob_store::CAPABILITY, &["wasi:blobstore", "wasmcloud:blobstore", "wrpc:blobstore"]),
];

/// The capability that an interface is of.
fn capability_of(interface: &str) -> Option<&'static str> {
    let name = interface.split('@').next().unwrap_or_default();
    // One package has several.
    if let Some(("fermyon:spin", name)) = name.split_once('/') {
        return match name {
            "config" | "variables" => Some(CONFIG),
            "key-value" => Some(reef_key_value::CAPABILITY),
            "mysql" | "postgres" | "rdbms-types" | "sqlite" => Some(reef_sql::CAPABILITY),
            _ => None,
        };
    }
    let package = name.split('/').next().unwrap_or_default();
    let known = CAPABILITIES.iter().find(|(_, packages)| packages.contains(&package));
    known.map(|(name, _)| *name)
}

/// The capability that a link is to, if it is to one that is opened here.
pub(super) fn capability(link: &reef_app::Link) -> Option<&'static str> {
    let named = link.capability.as_ref()?;
    let known = CAPABILITIES.iter().find(|(name, _)| *name == named.as_str());
    known.map(|(name, _)| *name)
}

/// The settings that a link's backend takes; none if there is no such backend, which is told when it is opened.
fn taken(capability: &str, backend: Option<&str>) -> &'static [Setting] {
    fn of<C: ?Sized>(table: &'static [Backend<C>], name: Option<&str>) -> &'static [Setting] {
        let found = name.map_or(table.first(), |name| find(table, name).ok());
        found.map(|backend| backend.settings).unwrap_or_default()
    }
    match capability {
        CONFIG | SECRETS => of(reef_config::BACKENDS, backend),
        reef_key_value::CAPABILITY => of(reef_key_value::BACKENDS, backend),
        reef_messaging::CAPABILITY => of(reef_messaging::BACKENDS, backend),
        reef_sql::CAPABILITY => of(reef_sql::BACKENDS, backend),
        reef_blob_store::CAPABILITY => of(reef_blob_store::BACKENDS, backend),
        _ => &[],
    }
}

/// Whether a link's import means this interface.
fn covers(import: &str, interface: &str) -> bool {
    interface
        .strip_prefix(import)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '@']))
}

impl Backends {
    pub(super) fn new(data: Option<PathBuf>) -> Self {
        Self { data, ..Self::default() }
    }

    /// Where a volume of an application is, if there is a place for data. Both names have no slash.
    pub(super) fn volume(&self, application: &str, name: &str) -> Option<PathBuf> {
        Some(self.data.as_ref()?.join(application).join("volumes").join(name))
    }
}

impl Order {
    /// What the parts of a composition are linked to, each by itself.
    pub(super) fn parts(&self, artifact: &Artifact) -> Result<Vec<CapabilityPart>, DeployError> {
        let part = |(number, described)| {
            let name = self.qualified_name(described, 1).into();
            let wanted = self.wanted(described)?;
            let Grants { config, egress, tls, .. } = self.grants(described)?;
            Ok(CapabilityPart { number, name, wanted, config, egress, tls })
        };
        self.described_parts(artifact).map(part).collect()
    }

    /// Which workload of the application, in a composition, and what it imports there by links of its own.
    pub(super) fn own(&self, described: &Described, inherit: bool) -> (u32, Vec<String>) {
        let index = self.application.workloads.iter().position(|one| one.name == described.name);
        let part = index.and_then(|index| u32::try_from(index).ok()).unwrap_or(u32::MAX);
        let all = || SCOPED.iter().copied().flatten().map(|name| (*name).to_owned());
        let linked = |name: &str| {
            let of = capability_of(name);
            let mut links = described.links.iter().filter(|link| capability(link) == of);
            let own = !described.config.is_empty() && of == Some(CONFIG);
            own || of.is_some() && links.any(|link| covers(&link.import, name))
        };
        // What it inherits is that of the other, but for what it is linked to itself.
        let mut imports: Vec<_> =
            if inherit { all().filter(|name| linked(name)).collect() } else { all().collect() };
        // Whole packages: an interface's types may come from another one.
        let elsewhere = described.links.iter().filter(|link| self.is_elsewhere(link));
        imports.extend(elsewhere.map(|link| package(&link.import).to_owned()));
        (part, imports)
    }

    /// The parts of a composition that have imports of their own, and which workload each is.
    pub(super) fn described_parts<'o>(
        &'o self,
        artifact: &Artifact,
    ) -> impl Iterator<Item = (u32, &'o Described)> {
        let numbers: BTreeSet<_> =
            crate::workload::parts(artifact).iter().map(|import| import.part).collect();
        numbers.into_iter().filter_map(|number| {
            let index = usize::try_from(number).unwrap_or(usize::MAX);
            Some((number, self.application.workloads.get(index)?))
        })
    }

    /// The capabilities that a workload is linked to.
    pub(super) fn wanted(&self, described: &Described) -> Result<Vec<CapabilityLink>, DeployError> {
        let mut all = Vec::<CapabilityLink>::new();
        for link in &described.links {
            let Some(capability) = capability(link) else { continue };
            let wrong = |why: String| DeployError::Value {
                workload: described.name.to_string(),
                why: format!("its link of `{}`: {why}", link.import.value),
            };
            let packages = CAPABILITIES.iter().find(|(name, _)| *name == capability);
            let packages = packages.map(|(_, packages)| *packages).unwrap_or_default();
            if !packages.contains(&package(&link.import)) {
                let known: Vec<_> = packages.iter().map(|name| format!("`{name}`")).collect();
                return Err(wrong(format!(
                    "the capability `{capability}` has the interfaces of {}",
                    known.join(", ")
                )));
            }
            let mut settings = Settings::default();
            for (name, template) in &link.config {
                settings.insert(name.clone(), self.text(template)?);
            }
            let mut take = |name| settings.take(name).map(|text| text.expose().to_owned());
            let (backend, place) = (take(BACKEND.name), take(BUCKET.name));
            if place.is_some() && [CONFIG, SECRETS].contains(&capability) {
                let name = BUCKET.name;
                return Err(wrong(format!(
                    "`{name}` is no setting of a source of values; a value that is called so is written `value.{name}`, \
                     a bucket of NATS `kv-bucket`"
                )));
            }
            let capacity = settings.size(OFFLINE_CAPACITY.name);
            let capacity = capacity.map_err(|error| wrong(error.to_string()))?;
            settings.take(OFFLINE_CAPACITY.name);
            let queues = link.offline.as_ref().is_some_and(|one| one.value == Offline::Queue);
            if capacity.is_some() && !queues {
                return Err(wrong(format!(
                    "`{}` belongs to `offline = \"queue\"`",
                    OFFLINE_CAPACITY.name
                )));
            }
            let merge = link.merge.as_ref().map(|merge| merge.value).unwrap_or_default();
            let merge = match merge {
                reef_app::Merge::LastWriter => Merge::LastWriter,
                reef_app::Merge::FirstWriter => Merge::FirstWriter,
            };
            let offline = queues.then(|| Kept { capacity: capacity.unwrap_or(KEPT), merge });
            // What was replaced in a file makes another workload of it, as another setting does.
            settings
                .read_files(taken(capability, backend.as_deref()), &self.folder)
                .map_err(|error| wrong(error.to_string()))?;
            let name = link.name.clone().unwrap_or_else(|| "default".to_owned());
            // Interfaces of one package may be linked one by one, to the same.
            let wanted = CapabilityLink { capability, name, backend, place, settings, offline };
            if all.contains(&wanted) {
                continue;
            }
            let other =
                |one: &&CapabilityLink| one.capability == capability && one.name == wanted.name;
            if all.iter().any(|one| other(&one)) {
                return Err(wrong(format!(
                    "another one of the capability `{capability}` is called `{}` too; give each a `name`",
                    wanted.name
                )));
            }
            all.push(wanted);
        }
        Ok(all)
    }
}

impl CapabilityPart {
    /// How it connects to servers at addresses of its own, if it may.
    fn out(&self) -> Result<Option<(Egress, Tls)>, DeployError> {
        if self.egress.is_empty() {
            return Ok(None);
        }
        let tls = self.tls.as_ref().map(reef_wasi::trust).transpose();
        let tls = tls.map_err(|(path, why)| DeployError::Value {
            workload: self.name.to_string(),
            why: format!("{} cannot be used for TLS: {why}", path.display()),
        })?;
        Ok(Some((Egress::new(self.egress.clone()), tls.unwrap_or_default())))
    }
}

impl Host {
    /// Links a workload to what it wants.
    pub(super) fn link_capabilities(
        &self,
        order: &Order,
        identity: &Identity,
        workload: &Workload,
    ) -> Result<(), DeployError> {
        let egress = &workload.world.grants().egress;
        if identity.wanted.is_empty() && identity.parts.is_empty() && egress.is_empty() {
            return Ok(());
        }
        let out = (!egress.is_empty())
            .then(|| (Egress::new(egress.clone()), workload.world.tls().tls().clone()));
        let mut capabilities = self.capabilities(order, workload.name(), &identity.wanted, out)?;
        for part in &identity.parts {
            let own = self.capabilities(order, &part.name, &part.wanted, part.out()?)?;
            let config = part.config.iter();
            let config = config.map(|(name, value)| (name.clone(), value.as_str().into()));
            let part_own = Part { granted: Arc::new(own), config: Arc::new(config.collect()) };
            capabilities.parts.insert(part.number, part_own);
        }
        workload.world.set_capabilities(Arc::new(capabilities));
        Ok(())
    }

    fn capabilities(
        &self,
        order: &Order,
        name: &Arc<str>,
        wanted: &[CapabilityLink],
        out: Option<(Egress, Tls)>,
    ) -> Result<Capabilities, DeployError> {
        let mut capabilities = Capabilities::none(name);
        let scope = order.scope();
        let application = scope.as_str();
        let data = self.backends.data.as_ref().map(|data| data.join(application));
        let data = data.as_deref();
        let runtime = self.workers.handle(0);
        let journals = &self.backends.journals;
        let namespace = order.application.namespace();
        let folder = &order.folder;
        let linker = Linker { name, namespace, application, folder, data, runtime, journals };
        capabilities.key_value = linker.key_value(wanted, &self.backends.key_value)?;
        capabilities.messaging = linker.messaging(wanted, &self.backends.messaging)?;
        let table = (reef_config::BACKENDS, reef_config::OPERATIONS);
        let opened = &self.backends.config;
        capabilities.config = linker.links(CONFIG, wanted, table, opened)?;
        capabilities.secrets = linker.links(SECRETS, wanted, table, opened)?;
        capabilities.sql = linker.links(
            reef_sql::CAPABILITY,
            wanted,
            (reef_sql::BACKENDS, &reef_sql::OPERATIONS),
            &self.backends.sql,
        )?;
        capabilities.blob_store = linker.links(
            reef_blob_store::CAPABILITY,
            wanted,
            (reef_blob_store::BACKENDS, reef_blob_store::OPERATIONS),
            &self.backends.blob_store,
        )?;
        if let Some(out) = out {
            // A guest may name the address of a database that it may connect to.
            let name = name.clone();
            let (policy, runtime) = (Policy::default(), runtime.clone());
            let servers = Servers::new(name.clone(), out.clone(), policy.clone(), runtime.clone());
            capabilities.servers = Some(servers);
            capabilities.addresses = Some(Addresses::new(name, out, policy, runtime));
        }
        Ok(capabilities)
    }
}

/// What links of one workload are made with.
pub(super) struct Linker<'a> {
    pub(super) name: &'a Arc<str>,
    namespace: &'a str,
    application: &'a str,
    folder: &'a Path,
    data: Option<&'a Path>,
    runtime: &'a tokio::runtime::Handle,
    journals: &'a Journals,
}

impl Linker<'_> {
    pub(super) fn runtime(&self) -> &tokio::runtime::Handle {
        self.runtime
    }

    /// The links to one capability.
    fn links<C: ?Sized>(
        &self,
        capability: &'static str,
        wanted: &[CapabilityLink],
        (table, operations): (&'static [Backend<C>], &'static [&'static Operation]),
        opened: &Opened<C>,
    ) -> Result<Links<C>, DeployError> {
        let mut links = Vec::new();
        for one in wanted.iter().filter(|one| one.capability == capability) {
            let link = self.link(one, (table, operations), opened);
            let link = link.map_err(|error| self.refused(one, &error))?;
            links.push(Arc::new(link));
        }
        Ok(Links::new(self.name.clone(), capability, links))
    }

    /// The links to key-value stores.
    fn key_value(
        &self,
        wanted: &[CapabilityLink],
        opened: &Opened<dyn KeyValue>,
    ) -> Result<Links<dyn KeyValue>, DeployError> {
        let table = (reef_key_value::BACKENDS, reef_key_value::OPERATIONS);
        let mut links = Vec::new();
        for one in wanted.iter().filter(|one| one.capability == reef_key_value::CAPABILITY) {
            let link = self.link(one, table, opened).and_then(|link| self.kept(one, link));
            let link = link.map_err(|error| self.refused(one, &error))?;
            links.push(Arc::new(link));
        }
        Ok(Links::new(self.name.clone(), reef_key_value::CAPABILITY, links))
    }

    /// A link that goes on while its store cannot be reached, if that is wanted.
    fn kept(
        &self,
        wanted: &CapabilityLink,
        link: Link<dyn KeyValue>,
    ) -> Result<Link<dyn KeyValue>, OpenError> {
        let Some(kept) = wanted.offline else { return Ok(link) };
        if !link.backend.is_dated() {
            return Err(OpenError::Place(
                "`offline = \"queue\"` is for the backend `nats`, which says when a value was written: what is on this \
                 machine is never cut off, and others do not say it"
                    .to_owned(),
            ));
        }
        let journal = self.journal(wanted, kept)?;
        let Link { place, gate, backend } = link;
        let offline = reef_key_value::Offline::new(backend, kept.merge, journal, self.runtime);
        let backend = Arc::new(offline.map_err(|failure| OpenError::Place(failure.to_string()))?);
        Ok(Link { place, gate: gate.without_breaker(), backend })
    }

    /// Where what a link cannot send now is kept.
    pub(super) fn journal(
        &self,
        wanted: &CapabilityLink,
        kept: Kept,
    ) -> Result<Arc<Journal>, OpenError> {
        let data = self.data.ok_or_else(|| {
            let why = "`offline = \"queue\"` keeps what waits, and this host keeps nothing: leave --no-data out";
            OpenError::Place(why.to_owned())
        })?;
        // Names have no slash; a workload's own has its application's before it.
        let workload = self.name.rsplit('/').next().unwrap_or(self.name);
        let link = reef_journal::file_name(&wanted.name);
        let file = format!("{}-{link}.redb", wanted.capability);
        let [namespace, workload] = [self.namespace, workload].map(reef_journal::file_name);
        let path = data.join("offline").join(namespace).join(workload).join(file);
        let opened = self.journals.open(&path, kept.capacity);
        opened.map_err(|failure| OpenError::Place(failure.to_string()))
    }

    pub(super) fn refused(&self, wanted: &CapabilityLink, error: &OpenError) -> DeployError {
        DeployError::Value {
            workload: self.name.to_string(),
            why: format!("its link `{}` of {}: {error}", wanted.name, wanted.capability),
        }
    }

    pub(super) fn link<C: ?Sized>(
        &self,
        wanted: &CapabilityLink,
        (table, operations): (&'static [Backend<C>], &'static [&'static Operation]),
        opened: &Opened<C>,
    ) -> Result<Link<C>, OpenError> {
        let backend = match (&wanted.backend, table) {
            (None, [first, ..]) => first,
            (name, _) => find(table, name.as_deref().unwrap_or_default())?,
        };
        let policy = Policy::read(&wanted.settings)?;
        let opening = Opening {
            application: self.application,
            settings: &wanted.settings,
            folder: self.folder,
            data: self.data,
            runtime: self.runtime,
        };
        let gate = Gate::new(
            self.name.clone(),
            wanted.name.as_str().into(),
            (wanted.capability, backend.system),
            policy,
            operations,
        );
        let place = wanted.place.as_deref().map(Arc::from);
        Ok(Link { place, gate, backend: opened.open(backend, opening)? })
    }
}
