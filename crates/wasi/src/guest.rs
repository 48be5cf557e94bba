//! The data of a guest's store.

use std::{
    collections::BTreeMap,
    fmt, io,
    path::PathBuf,
    sync::{Arc, OnceLock},
};

use reef_config::Value;
use reef_egress::{Client, ClientConfig, Egress, PemError, Sockets, Tls, TlsClient};
use reef_engine::{Confined, Limiter, Share};
use reef_grants::{Access, Grants, Limits};
use reef_interfaces::{Capabilities, Instance, Scopes};
use reef_messaging::Answering;
use wasmtime::component::{GuestTaskId, ResourceTable};
use wasmtime_wasi::{FsPerms, WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView, p1::WasiP1Ctx};
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};
use wasmtime_wasi_tls::WasiTlsCtx;

use crate::{
    experimental_http::Requests,
    next::{Next, Onward},
    otel::Signals,
    outbound::{Internal, Outbound},
    scratch::{Ledger, ModuleScratch, Scratch},
    sockets::SocketRules,
    stdin::Stdin,
    stdio::{Lines, Stdio},
    tls,
    trace::{Traced, Traces},
    unfinished::Begun,
    voice::Voice,
};

/// Most streams, sockets, requests and the like that an instance can hold: each is memory of the host.
pub const MOST_RESOURCES: usize = 100_000;

/// One workload's world: its grants, checked and held ready for each instance.
pub struct World {
    name: Arc<str>,
    grants: Grants,
    limits: Limits,
    share: Arc<Share>,
    client: Client,
    tls: TlsClient,
    sockets: Arc<SocketRules>,
    config: Arc<BTreeMap<String, Value>>,
    internal: Arc<Internal>,
    next: OnceLock<Arc<dyn Next>>,
    capabilities: OnceLock<Arc<Capabilities>>,
    signals: OnceLock<Arc<dyn Signals>>,
    /// Where nothing is linked.
    without: Arc<Capabilities>,
    scopes: Scopes,
    voice: Arc<Voice>,
    scratch: Option<Arc<Scratch>>,
}

/// Why a world cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum WorldError {
    /// A granted directory cannot be opened.
    #[error(
        "{workload}: the granted directory {path} cannot be opened: {source}; make it, or change --dir (in a manifest, dirs)"
    )]
    Dir {
        /// Which workload.
        workload: Arc<str>,
        /// The directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// There is no place for a scratch directory.
    #[error(
        "{workload}: its scratch directory cannot be made in {place}: {source}; make room there, or set TMPDIR"
    )]
    Scratch {
        /// Which workload.
        workload: Arc<str>,
        /// Where it was to be.
        place: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file with certificates or a key cannot be used.
    #[error("{workload}: {path} cannot be used for TLS: {why}")]
    Tls {
        /// Which workload.
        workload: Arc<str>,
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
}

/// What belongs to one instance of a component.
pub struct ComponentGuest {
    // What it sends is dropped before what that comes out of.
    outbound: Outbound,
    onward: Onward,
    limiter: Limiter,
    wasi: WasiCtx,
    pub(crate) table: ResourceTable,
    http: WasiHttpCtx,
    tls: WasiTlsCtx,
    rules: Arc<SocketRules>,
    traces: Traces,
    pub(crate) instance: Instance,
    voice: Arc<Voice>,
    signals: Option<Arc<dyn Signals>>,
    scratch: Option<Arc<Scratch>>,
}

/// What belongs to one instance of a core module.
pub struct ModuleGuest {
    limiter: Limiter,
    wasi: WasiP1Ctx,
    pub(crate) requests: Requests,
    scratch: Option<ModuleScratch>,
}

/// Whom a workload trusts, and as whom it comes.
///
/// # Errors
/// The file that cannot be used, and why.
pub fn trust(given: &reef_grants::Tls) -> Result<Tls, (PathBuf, String)> {
    let roots = given.roots.as_ref();
    let (cert, key) = given.identity.as_ref().map(|(cert, key)| (cert, key)).unzip();
    let identity = cert.zip(key).map(|(cert, key)| (&*cert.text, &*key.text));
    Tls::from_pem(roots.map(|file| &*file.text), identity).map_err(|error| {
        let (file, why) = match error {
            PemError::Roots(why) => (roots, why),
            PemError::Cert(why) => (cert, why),
            PemError::Key(why) => (key, why),
        };
        (file.map(|file| file.path.clone()).unwrap_or_default(), why)
    })
}

// === impl World ===

impl World {
    /// Checks the grants of a workload.
    ///
    /// # Errors
    /// When a granted directory is not there.
    pub fn new(
        name: Arc<str>,
        grants: Grants,
        limits: Limits,
        share: Arc<Share>,
    ) -> Result<Self, WorldError> {
        for dir in &grants.dirs {
            std::fs::read_dir(&dir.host).map_err(|source| WorldError::Dir {
                workload: name.clone(),
                path: dir.host.clone(),
                source,
            })?;
        }
        let mut config = ClientConfig::new(&*name, Egress::new(grants.egress.clone()));
        if let Some(given) = &grants.tls {
            config.tls = trust(given).map_err(|(path, why)| WorldError::Tls {
                workload: name.clone(),
                path,
                why,
            })?;
        }
        let sockets = Sockets::new(config.egress.clone(), config.resolver.clone());
        let sockets =
            SocketRules::new(name.clone(), config.egress.clone(), sockets, &grants.listen).into();
        let (tls, client) = (TlsClient::new(config.tls.clone()), Client::new(config));
        let config = grants.config.iter();
        let config = config.map(|(name, value)| (name.clone(), value.as_str().into())).collect();
        let without = Arc::new(Capabilities::none(&name));
        let scratch = grants.scratch.as_ref().map(|scratch| Scratch::new(scratch.quota.0));
        let scratch = scratch.transpose().map_err(|source| WorldError::Scratch {
            workload: name.clone(),
            place: std::env::temp_dir(),
            source,
        })?;
        let scratch = scratch.map(Arc::new);
        let voice = Arc::new(Voice::new(name.clone()));
        Ok(Self {
            name,
            grants,
            limits,
            share,
            client,
            tls,
            sockets,
            config: Arc::new(config),
            internal: Arc::default(),
            next: OnceLock::new(),
            capabilities: OnceLock::new(),
            signals: OnceLock::new(),
            without,
            scopes: Scopes::default(),
            voice,
            scratch,
        })
    }

    /// The workload's name, as messages say it.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// The workload's limits.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// What the workload may do.
    pub fn grants(&self) -> &Grants {
        &self.grants
    }

    /// The workload's processor time and meter.
    pub fn share(&self) -> &Arc<Share> {
        &self.share
    }

    /// The workload's way out.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Whom the workload trusts and as whom it comes, where it is not HTTP that it speaks.
    pub fn tls(&self) -> &TlsClient {
        &self.tls
    }

    /// Puts a handler behind this one, which then is a middleware. Once: a second one is ignored.
    pub fn set_next(&self, next: Arc<dyn Next>) {
        let _ = self.next.set(next);
    }

    /// The same, for a component some of whose imports have links of their own.
    #[must_use]
    pub fn with_scopes(self, scopes: Scopes) -> Self {
        Self { scopes, ..self }
    }

    /// The imports that have links of their own.
    pub fn scopes(&self) -> &Scopes {
        &self.scopes
    }

    /// Has handlers answer requests to these hosts, in place of all that did so before.
    pub fn set_internal(&self, hosts: BTreeMap<String, Arc<dyn Next>>) {
        self.internal.set(hosts);
    }

    /// Exports what it measures and logs by itself. Once: a second way is ignored.
    pub fn set_signals(&self, signals: Arc<dyn Signals>) {
        let _ = self.signals.set(signals);
    }

    /// Links it to capabilities. Once: a second one is ignored.
    pub fn set_capabilities(&self, capabilities: Arc<Capabilities>) {
        let _ = self.capabilities.set(capabilities);
    }

    /// What it is linked to.
    pub fn capabilities(&self) -> &Arc<Capabilities> {
        self.capabilities.get().unwrap_or(&self.without)
    }

    /// Logs `stream` ("stdout" or "stderr") of the workload, a line at a time.
    pub fn lines(&self, stream: &'static str) -> Lines {
        Lines::new(self.voice.clone(), stream)
    }

    /// Data for an instance of a component.
    ///
    /// # Errors
    /// When a granted directory has gone.
    pub fn component(&self, args: &[String], stdio: Stdio) -> Result<ComponentGuest, WorldError> {
        self.component_with(args, &[], stdio)
    }

    /// The same; `env` comes on top of what was granted.
    ///
    /// # Errors
    /// When a granted directory has gone.
    pub fn component_with(
        &self,
        args: &[String],
        env: &[(String, String)],
        stdio: Stdio,
    ) -> Result<ComponentGuest, WorldError> {
        let mut table = ResourceTable::new();
        table.set_max_capacity(MOST_RESOURCES);
        Ok(ComponentGuest {
            limiter: self.limiter(),
            wasi: self.context(args, env, stdio)?.build(),
            table,
            http: WasiHttpCtx::new(),
            tls: tls::context(&self.name, &self.tls),
            outbound: Outbound::new(self.name.clone(), self.client.clone(), self.internal.clone()),
            rules: self.sockets.clone(),
            onward: Onward {
                next: self.next.get().cloned(),
                trace: Traced::default(),
                begun: Begun::default(),
            },
            traces: Traces::default(),
            instance: Instance::new(self.capabilities().clone())
                .with_config(self.config.clone())
                .with_scopes(self.scopes.clone()),
            voice: self.voice.clone(),
            signals: self.signals.get().cloned(),
            scratch: self.scratch.clone(),
        })
    }

    /// Data for an instance of a core module; `env` comes on top of what was granted (a CGI
    /// environment).
    ///
    /// # Errors
    /// When a granted directory has gone.
    pub fn module(
        &self,
        args: &[String],
        env: &[(String, String)],
        stdio: Stdio,
    ) -> Result<ModuleGuest, WorldError> {
        let wasi = self.context(args, env, stdio)?.build_p1();
        // Three standard streams, then what was granted, in that order.
        let root = 3 + u32::try_from(self.grants.dirs.len()).unwrap_or(u32::MAX - 3);
        let scratch = self.scratch.as_ref().map(|scratch| scratch.of_module(root));
        Ok(ModuleGuest { limiter: self.limiter(), wasi, requests: self.requests(), scratch })
    }

    /// Data for an instance of a core module that is granted nothing.
    ///
    /// # Errors
    /// None that is expected: nothing is opened.
    pub fn bare_module(&self, args: &[String], stdio: Stdio) -> Result<ModuleGuest, WorldError> {
        let mut wasi = WasiCtxBuilder::new();
        wasi.args(args);
        self.streams(&mut wasi, stdio);
        // It is only asked; it sends nothing.
        let requests = Requests::none(self.name.clone());
        Ok(ModuleGuest { limiter: self.limiter(), wasi: wasi.build_p1(), requests, scratch: None })
    }

    fn requests(&self) -> Requests {
        Requests::new(self.name.clone(), self.client.clone(), self.limits.outgoing)
    }

    fn limiter(&self) -> Limiter {
        Limiter::new(&self.limits, self.share.meter().clone())
    }

    fn context(
        &self,
        args: &[String],
        env: &[(String, String)],
        stdio: Stdio,
    ) -> Result<WasiCtxBuilder, WorldError> {
        let mut wasi = WasiCtxBuilder::new();
        wasi.args(args);
        for (key, value) in &self.grants.env {
            // A trigger's own variables count: guests take the first of a name.
            if !env.iter().any(|(own, _)| own == key) {
                wasi.env(key, value);
            }
        }
        wasi.envs(env);
        // Who has the streams of the process is alone in it: what is done with a file stays on this thread, which takes a
        // tenth of the time. Others, a deadline and a share of the processor would wait for a slow disk with it.
        let is_alone = matches!(stdio, Stdio::Inherit)
            && self.limits.deadline.is_none()
            && self.limits.cpu.is_none();
        wasi.allow_blocking_current_thread(is_alone);
        self.streams(&mut wasi, stdio);

        for dir in &self.grants.dirs {
            let perms = match dir.access {
                Access::ReadOnly => FsPerms::ReadOnly,
                Access::ReadWrite => FsPerms::ReadWrite,
            };
            wasi.preopened_dir(&dir.host, &dir.guest, perms).map_err(|error| WorldError::Dir {
                workload: self.name.clone(),
                path: dir.host.clone(),
                source: io::Error::other(format!("{error:#}")),
            })?;
        }
        if let (Some(scratch), Some(grant)) = (&self.scratch, &self.grants.scratch) {
            let opened = wasi.preopened_dir(scratch.path(), &grant.guest, FsPerms::ReadWrite);
            opened.map_err(|error| WorldError::Scratch {
                workload: self.name.clone(),
                place: scratch.path().to_owned(),
                source: io::Error::other(format!("{error:#}")),
            })?;
        }
        self.sockets.apply(&mut wasi);
        Ok(wasi)
    }

    fn streams(&self, wasi: &mut WasiCtxBuilder, stdio: Stdio) {
        match stdio {
            Stdio::Inherit => {
                wasi.stdin(Stdin).inherit_stdout().inherit_stderr();
            }
            Stdio::Log => {
                wasi.stdout(self.lines("stdout"));
                wasi.stderr(self.lines("stderr"));
            }
            Stdio::Piped { stdin, stdout } => {
                wasi.stdin(crate::stdio::Boxed(stdin));
                wasi.stdout(crate::stdio::Boxed(stdout));
                wasi.stderr(self.lines("stderr"));
            }
            Stdio::Captured { stdin, output, errors } => {
                wasi.stdin(crate::stdio::Boxed(stdin));
                wasi.stdout(crate::stdio::Boxed(output));
                wasi.stderr(crate::stdio::Boxed(errors));
            }
        }
    }
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("World").field("name", &self.name).finish_non_exhaustive()
    }
}

// === impl ComponentGuest ===

impl ComponentGuest {
    /// The store's limiter.
    pub fn limits(&self) -> &Limiter {
        &self.limiter
    }

    /// What all that it asks of others from now on belongs to, for a guest that works for one request at a
    /// time.
    pub fn set_trace(&mut self, trace: Traced) {
        if !trace.is_empty() || self.is_traced() {
            self.instance.caller = trace.caller();
            self.traces.set(trace);
            self.send_for(None);
        }
    }

    /// The same for one of several tasks. To be called for each that begins.
    pub fn set_task_trace(&mut self, task: GuestTaskId, trace: Traced) {
        self.traces.begin(task, trace);
        self.instance.caller = self.traces.caller();
    }

    /// Its request has its answer. To be called for each that was begun.
    pub fn end_task(&mut self, task: GuestTaskId) {
        self.traces.end(task);
        self.instance.caller = self.traces.caller();
    }

    pub(crate) fn traces(&self) -> &Traces {
        &self.traces
    }

    /// Whether traces are passed on at all.
    pub(crate) fn is_traced(&self) -> bool {
        !self.traces.is_empty() || !self.outbound.trace.is_empty()
    }

    /// What is sent next belongs to this task.
    pub(crate) fn send_for(&mut self, task: Option<GuestTaskId>) {
        let trace = self.traces.of(task);
        self.onward.trace.clone_from(trace);
        self.outbound.trace.clone_from(trace);
    }

    pub(crate) fn onward(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView { hooks: &mut self.onward, table: &mut self.table, ctx: &mut self.http }
    }

    pub(crate) fn tls_parts(&mut self) -> (&mut WasiTlsCtx, &mut ResourceTable) {
        (&mut self.tls, &mut self.table)
    }

    /// Lets it answer the message that it is going to handle.
    pub fn set_answering(&mut self, answering: Option<Answering>) {
        self.instance.answering = answering;
    }

    /// What its scratch directory is charged to, if it has one.
    pub(crate) fn ledger(&self) -> Option<Arc<Ledger>> {
        self.scratch.as_ref().map(|scratch| scratch.ledger())
    }

    /// The workload's name.
    pub(crate) fn name(&self) -> &Arc<str> {
        self.voice.workload()
    }

    pub(crate) fn voice(&self) -> &Voice {
        &self.voice
    }

    /// Where what it measures and logs by itself goes, if anywhere.
    pub(crate) fn signals(&self) -> Option<&Arc<dyn Signals>> {
        self.signals.as_ref()
    }

    pub(crate) fn rules(&self) -> &SocketRules {
        &self.rules
    }
}

impl Confined for ComponentGuest {
    fn limiter(&mut self) -> &mut Limiter {
        &mut self.limiter
    }
}

impl WasiView for ComponentGuest {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl WasiHttpView for ComponentGuest {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView { hooks: &mut self.outbound, table: &mut self.table, ctx: &mut self.http }
    }
}

impl fmt::Debug for ComponentGuest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ComponentGuest").field("limiter", &self.limiter).finish_non_exhaustive()
    }
}

// === impl ModuleGuest ===

impl ModuleGuest {
    /// The store's limiter.
    pub fn limits(&self) -> &Limiter {
        &self.limiter
    }

    pub(crate) fn wasi(&mut self) -> &mut WasiP1Ctx {
        &mut self.wasi
    }

    /// The same with its scratch directory, if it has one.
    pub(crate) fn metered(
        &mut self,
    ) -> Result<(&mut WasiP1Ctx, &mut ModuleScratch), &mut WasiP1Ctx> {
        match &mut self.scratch {
            Some(scratch) => Ok((&mut self.wasi, scratch)),
            None => Err(&mut self.wasi),
        }
    }
}

impl Confined for ModuleGuest {
    fn limiter(&mut self) -> &mut Limiter {
        &mut self.limiter
    }
}

impl fmt::Debug for ModuleGuest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ModuleGuest").field("limiter", &self.limiter).finish_non_exhaustive()
    }
}

#[cfg(test)]
#[allow(clippy::expect_used, reason = "tests")]
pub(crate) fn tests_guest() -> ModuleGuest {
    let limits = Limits::default();
    let share = Arc::new(Share::new(&limits, Arc::new(reef_meter::Meter::new())));
    let world = World::new("test".into(), Grants::default(), limits, share);
    world.and_then(|world| world.module(&[], &[], Stdio::Log)).expect("nothing is granted")
}
