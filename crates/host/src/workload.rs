//! A workload, ready to be called.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use reef_artifact::{Artifact, CanRun, Form, Import, InterfaceName, Kind, Verdict, Wasi};
use reef_engine::{
    Background, Code, CompileError, Engine, EngineError, Flavour, Paced, Share, within,
};
use reef_grants::{Grants, Limits};
use reef_meter::Meter;
use reef_wasi::{
    Capabilities, ComponentGuest, ModuleGuest, PartImport, Scopes, Stdio, Storage, World,
    WorldError,
};
use wasmtime::{InstancePre, component};

use crate::{
    Failure,
    failure::Trap,
    pipe::{Ending, Pipe},
    remote::{self, Callee, OptionsOf, import_over_bus},
};

/// An import of a workload that is answered elsewhere.
#[derive(Clone)]
pub struct Remote {
    /// Which part of a composition imports it, if it is one's own.
    pub part: Option<u32>,
    /// The interface (`acme:math/add`, with or without a version), or its package.
    pub import: String,
    /// Who answers.
    pub callee: Arc<dyn Callee>,
}

impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Remote").field("import", &self.import).finish_non_exhaustive()
    }
}

/// What a workload is made from.
#[derive(Clone, Debug)]
pub struct Spec {
    /// Its name, as messages and metrics say it.
    pub name: Arc<str>,
    /// What it may do.
    pub grants: Grants,
    /// What it may use.
    pub limits: Limits,
    /// What of it is answered elsewhere.
    pub remote: Vec<Remote>,
}

/// An artifact, compiled, linked to its world and within its limits: an instance away from running.
pub struct Workload {
    pub(crate) engine: Arc<Engine>,
    pub(crate) flavour: Flavour,
    pub(crate) world: World,
    pub(crate) linked: Linked,
    kinds: Vec<Kind>,
    imports: Vec<Import>,
}

pub(crate) enum Linked {
    Module(InstancePre<ModuleGuest>),
    Component(component::InstancePre<ComponentGuest>),
}

/// Why a workload cannot be run.
#[derive(Debug, thiserror::Error)]
pub enum PrepareError {
    /// No engine.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// Not valid.
    #[error(transparent)]
    Compile(#[from] CompileError),
    /// A grant cannot be honoured.
    #[error(transparent)]
    World(#[from] WorldError),
    /// It imports what Reef does not have.
    #[error("{}", missing(.name, .answer))]
    Missing {
        /// Which workload.
        name: Arc<str>,
        /// Each import, found or not.
        answer: CanRun,
    },
    /// It imports something under a known name but of another shape.
    #[error(
        "{name} does not fit what Reef offers: {}\n  build it for the version that \
         `reef inspect --can-run` names, or rebuild it with current tools",
        reef_artifact::visible(&format!("{:#}", .cause), 2000)
    )]
    Link {
        /// Which workload.
        name: Arc<str>,
        /// What Wasmtime said.
        cause: wasmtime::Error,
    },
}

fn missing(name: &str, answer: &CanRun) -> String {
    let mut text = format!("{name} imports what Reef does not have:");
    for checked in answer.missing() {
        text.push_str(&format!("\n  {}", checked.import));
        if let Verdict::Missing { nearest: Some(nearest), .. } = &checked.verdict {
            text.push_str(&format!(" (Reef has {nearest})"));
        }
    }
    if answer.missing().any(|checked| checked.import.contains("@0.2.0-rc-2023-")) {
        text.push_str(
            "\nIt was built against a release candidate of WASI, which nobody else has any more: build it \
             again with a current SDK (of Spin's, 2.0.0 or later).",
        );
    }
    text.push_str("\nRun `reef inspect --can-run` on it for the whole list.");
    text
}

// === impl Workload ===

impl Workload {
    /// Compiles (or takes from the cache) and links an artifact.
    ///
    /// Takes as long as compiling takes; call it where that may be waited for.
    ///
    /// # Errors
    /// When the artifact is invalid, imports something unknown, or a grant cannot be honoured.
    pub fn prepare(
        engine: Arc<Engine>,
        artifact: &Artifact,
        spec: Spec,
    ) -> Result<Self, PrepareError> {
        let Spec { name, grants, limits, remote } = spec;
        let (flavour, code) = compile(&engine, artifact)?;
        let storage = match grants.scratch {
            Some(_) => Storage::Metered,
            None => Storage::Plain,
        };
        let (linked, scopes) = link(flavour, artifact, (&name, storage), &remote, code)?;
        let share = Arc::new(Share::new(&limits, Arc::new(Meter::new())));
        let world = World::new(name, grants, limits, share)?.with_scopes(scopes);
        Ok(Self {
            engine,
            flavour,
            world,
            linked,
            kinds: artifact.kinds().to_vec(),
            imports: artifact.imports().to_vec(),
        })
    }

    /// The same once more, with nothing behind it yet: for middleware, which knows what it stands in
    /// front of.
    ///
    /// # Errors
    /// When a granted directory has gone.
    pub fn again(&self) -> Result<Self, PrepareError> {
        let (name, limits) = (self.name().clone(), self.world.limits().clone());
        let share = Arc::new(Share::new(&limits, Arc::new(Meter::new())));
        let world = World::new(name, self.world.grants().clone(), limits, share)?;
        let world = world.with_scopes(self.world.scopes().clone());
        let linked = match &self.linked {
            Linked::Module(pre) => Linked::Module(pre.clone()),
            Linked::Component(pre) => Linked::Component(pre.clone()),
        };
        Ok(Self {
            engine: self.engine.clone(),
            flavour: self.flavour,
            world,
            linked,
            kinds: self.kinds.clone(),
            imports: self.imports.clone(),
        })
    }

    /// Makes an instance and drops it: whether one can be made is then known, and its code is in
    /// memory.
    ///
    /// # Errors
    /// When it cannot be made, or not within the deadline.
    pub async fn try_instance(
        &self,
        deadline: Duration,
        background: Option<Arc<Background>>,
    ) -> Result<(), Failure> {
        let start = Instant::now();
        let name = || self.name().clone();
        let (world, share) = (&self.world, self.world.share());
        let instantiated = match &self.linked {
            Linked::Module(pre) => {
                let guest = world.module(&[], &[], Stdio::Log)?;
                let (mut store, activity) = self.engine.store(self.flavour, share, guest)?;
                let pre = pre.clone();
                let made = async move {
                    let made = pre.instantiate_async(&mut store).await.map(drop);
                    made.map_err(|error| Trap::new(error, Some(store.data().limits())))
                };
                within(deadline.into(), start, Paced::new(activity, background, made)).await
            }
            Linked::Component(pre) => {
                let guest = world.component(&[], Stdio::Log)?;
                let (mut store, activity) = self.engine.store(self.flavour, share, guest)?;
                let pre = pre.clone();
                let made = async move {
                    let made = pre.instantiate_async(&mut store).await.map(drop);
                    made.map_err(|error| Trap::new(error, Some(store.data().limits())))
                };
                within(deadline.into(), start, Paced::new(activity, background, made)).await
            }
        };
        match instantiated {
            Ok(Some(Ok(()))) => Ok(()),
            Ok(Some(Err(cause))) => Err(Failure::Instantiate { workload: name(), cause }),
            Ok(None) => Err(Failure::Shutdown { workload: name() }),
            Err(passed) => Err(Failure::Deadline { workload: name(), passed }),
        }
    }

    /// Whether it is a module with a function of that name.
    pub fn exports_function(&self, name: &str) -> bool {
        match &self.linked {
            Linked::Module(pre) => {
                pre.module().get_export(name).is_some_and(|export| export.func().is_some())
            }
            Linked::Component(_) => false,
        }
    }

    /// What a module's function prints when it is called with nothing: no environment, no directory.
    /// At most so many bytes and one, so that more can be told from as many.
    ///
    /// # Errors
    /// When it cannot be called, traps, or is not done within the deadline.
    pub async fn printed_by(
        &self,
        function: &str,
        most: usize,
        deadline: Duration,
        background: Option<Arc<Background>>,
    ) -> Result<Vec<u8>, Failure> {
        let start = Instant::now();
        let (name, share) = (self.name().clone(), self.world.share());
        let Linked::Module(pre) = &self.linked else { return Ok(Vec::new()) };
        let (pipe, reader) = Pipe::new();
        let guest = self.world.bare_module(
            &[],
            Stdio::Piped { stdin: Box::new(tokio::io::empty()), stdout: Box::new(pipe.clone()) },
        )?;
        let (mut store, activity) = self.engine.store(self.flavour, share, guest)?;
        let (pre, function) = (pre.clone(), function.to_owned());
        let running = async move {
            // Told also when this is dropped.
            let _ending = Ending(pipe);
            let called = async {
                let instance = pre.instantiate_async(&mut store).await?;
                let function = instance.get_typed_func::<(), ()>(&mut store, &function)?;
                function.call_async(&mut store, ()).await
            };
            match called.await {
                Ok(()) => Ok(()),
                Err(error) if Trap::exit_status(&error) == Some(0) => Ok(()),
                Err(error) => Err(Trap::new(error, Some(store.data().limits()))),
            }
        };
        let reading = async {
            let mut printed = Vec::new();
            while let Some(piece) = reader.next().await {
                printed.extend_from_slice(&piece);
                if printed.len() > most {
                    printed.truncate(most + 1);
                    break;
                }
            }
            // Whatever it prints beyond that is not wanted.
            drop(reader);
            printed
        };
        let paced = Paced::new(activity, background, running);
        match within(deadline.into(), start, futures::future::join(paced, reading)).await {
            Ok((Some(Ok(())), printed)) => Ok(printed),
            Ok((Some(Err(cause)), _)) => Err(Failure::Trapped { workload: name, cause }),
            Ok((None, _)) => Err(Failure::Shutdown { workload: name }),
            Err(passed) => Err(Failure::Deadline { workload: name, passed }),
        }
    }

    /// Its name.
    pub fn name(&self) -> &Arc<str> {
        self.world.name()
    }

    /// How it can be run, the preferred way first.
    pub fn kinds(&self) -> &[Kind] {
        &self.kinds
    }

    /// Whether it imports an interface, in whatever version.
    pub fn imports_interface(&self, interface: &str) -> bool {
        self.imports.iter().any(|import| match import {
            Import::Component { name, .. } => name.name == interface,
            Import::Core { .. } => false,
        })
    }

    /// What it is linked to.
    pub fn capabilities(&self) -> &Arc<Capabilities> {
        self.world.capabilities()
    }

    /// What it has used.
    pub fn meter(&self) -> &Arc<Meter> {
        self.world.share().meter()
    }
}

impl fmt::Debug for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Workload")
            .field("name", self.name())
            .field("kinds", &self.kinds)
            .field("flavour", &self.flavour)
            .finish_non_exhaustive()
    }
}

fn compile(engine: &Engine, artifact: &Artifact) -> Result<(Flavour, Code), CompileError> {
    if artifact.form() == Form::Component && !fits_plain(artifact) {
        return Ok((Flavour::Concurrent, engine.compile(artifact, Flavour::Concurrent)?));
    }
    match engine.compile(artifact, Flavour::Plain) {
        Ok(code) => Ok((Flavour::Plain, code)),
        // Asynchronous types can hide where names do not show them: in an interface of the
        // component's own. Only then is a component that the plain engine refuses valid.
        Err(refused @ CompileError::Invalid { .. }) if artifact.form() == Form::Component => {
            match engine.compile(artifact, Flavour::Concurrent) {
                Ok(code) => Ok((Flavour::Concurrent, code)),
                Err(_) => Err(refused),
            }
        }
        Err(error) => Err(error),
    }
}

/// Whether all that a component is known to speak is WASI 0.2.
fn fits_plain(artifact: &Artifact) -> bool {
    let newer = |name: &str, version: Option<&semver::Version>| {
        let package = name.split('/').next().unwrap_or(name);
        let versioned = package.starts_with("wasi:") || package == "wasmcloud:messaging";
        (versioned && version.is_some_and(|v| (v.major, v.minor) > (0, 2)))
            || reef_wasi::ASYNCHRONOUS.contains(&package)
    };
    // What a part has for its own is named after it.
    let newer = |name: &str, version: Option<&semver::Version>| {
        newer(reef_compose::own_import(name).map_or(name, |(_, name)| name), version)
    };
    let imports = artifact.imports().iter().any(|import| match import {
        Import::Component { name, .. } => newer(&name.name, name.version.as_ref()),
        Import::Core { .. } => false,
    });
    let exports = artifact.exports().iter().any(|e| newer(e.name(), e.version()));
    let known = artifact.kinds().iter().any(|kind| {
        matches!(
            kind,
            Kind::Command(Wasi::V0_2(_))
                | Kind::HttpHandler(Wasi::V0_2(_))
                | Kind::MessageHandler { .. }
                | Kind::EventHandler(_)
                | Kind::SpinHttpHandler
        )
    });
    known && !imports && !exports
}

/// The imports that parts of a composition have for their own.
pub(crate) fn parts(artifact: &Artifact) -> Vec<PartImport> {
    let part = |import: &InterfaceName| {
        let import = import.to_string();
        let (part, interface) = reef_compose::own_import(&import)?;
        Some(PartImport { part, interface: interface.to_owned(), import: import.clone() })
    };
    import_names(artifact).filter_map(part).collect()
}

/// What a component imports, by name.
pub(crate) fn import_names(artifact: &Artifact) -> impl Iterator<Item = &InterfaceName> {
    artifact.imports().iter().filter_map(|import| match import {
        Import::Component { name, .. } => Some(name),
        Import::Core { .. } => None,
    })
}

fn link(
    flavour: Flavour,
    artifact: &Artifact,
    (name, storage): (&Arc<str>, Storage),
    remote: &[Remote],
    code: Code,
) -> Result<(Linked, Scopes), PrepareError> {
    let explain =
        |cause: wasmtime::Error| match reef_artifact::can_run(artifact, &reef_wasi::provided()) {
            Ok(answer) if !answer.all_satisfied() => {
                PrepareError::Missing { name: name.clone(), answer }
            }
            _ => PrepareError::Link { name: name.clone(), cause },
        };
    match code {
        Code::Module(module) => reef_wasi::module_linker(&module, storage)
            .and_then(|linker| linker.instantiate_pre(&module))
            .map(|pre| (Linked::Module(pre), Scopes::default())),
        Code::Component(component) => {
            let mut own = parts(artifact);
            own.retain(|import| !remote.iter().any(|one| one.is_for_package_of(import)));
            let made = reef_wasi::component_linker(&component, flavour, storage, &own);
            let made = made.and_then(|(mut linker, scopes)| {
                for one in remote {
                    one.link(&component, &mut linker)?;
                }
                Ok((linker, scopes))
            });
            // Why an interface cannot be carried says more than that it is missing.
            let (linker, scopes) =
                made.map_err(|cause| PrepareError::Link { name: name.clone(), cause })?;
            linker.instantiate_pre(&component).map(|pre| (Linked::Component(pre), scopes))
        }
    }
    .map_err(explain)
}

impl Remote {
    /// Has the interfaces that it is for answered by it.
    fn link(
        &self,
        component: &component::Component,
        linker: &mut component::Linker<ComponentGuest>,
    ) -> wasmtime::Result<()> {
        let engine = component.engine();
        // Whoever waits for the guest ends it in time, and what it waits for with it.
        let options: OptionsOf<ComponentGuest> = Arc::new(|_| reef_rpc::Options::default());
        for (name, item) in component.component_type().imports(engine) {
            let component::types::ComponentItem::ComponentInstance(instance) = item.ty else {
                continue;
            };
            let (part, interface) = match reef_compose::own_import(name) {
                Some((part, interface)) => (Some(part), interface),
                None => (None, name),
            };
            if part == self.part && self.is_for(interface) {
                let functions = remote::interface(engine, &instance)?;
                let names = (name, interface);
                import_over_bus(linker, names, &functions, &self.callee, &options)?;
            }
        }
        Ok(())
    }

    fn is_for(&self, name: &str) -> bool {
        let unversioned = name.split('@').next().unwrap_or(name);
        [name, unversioned, package(name)].contains(&&*self.import)
    }

    /// Whether it is for an interface of the same package, the types of which may be imported beside it.
    fn is_for_package_of(&self, import: &PartImport) -> bool {
        self.part == Some(import.part) && package(&self.import) == package(&import.interface)
    }
}

/// The package of an import, or of a part of one, without its version.
pub(crate) fn package(name: &str) -> &str {
    name.split(['/', '@']).next().unwrap_or(name)
}
