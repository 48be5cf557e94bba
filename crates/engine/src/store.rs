//! The engine, and stores made by it.

use std::{
    fmt,
    sync::{Arc, OnceLock},
};

use wasmtime::{Store, UpdateDeadline};

use crate::{
    cache::Cache,
    clock::Ticker,
    config::{Allocation, EngineConfig, EngineError, Flavour, wasmtime_config},
    limiter::Limiter,
    pace::{Activity, Share},
};

/// Ticks until a guest that was just entered is interrupted: a whole one at least.
const FIRST_TICKS: u64 = 2;

/// Gives a store that was idle its full slice again; otherwise its guest would be interrupted at
/// once, for the ticks that passed meanwhile.
pub fn refresh<T: 'static>(mut store: impl wasmtime::AsContextMut<Data = T>) {
    store.as_context_mut().set_epoch_deadline(FIRST_TICKS);
}

/// Data of a store that can be confined.
pub trait Confined: Send + 'static {
    /// The store's limiter.
    fn limiter(&mut self) -> &mut Limiter;
}

/// Compiles and instantiates guests. One per process.
pub struct Engine {
    config: EngineConfig,
    runtimes: ByFlavour<Runtime>,
    compilers: ByFlavour<wasmtime::Engine>,
    cache: Option<Cache>,
    on_compile: Option<CompileHook>,
}

/// Called with a name and a size in bytes when something has to be compiled; what it returns is
/// dropped when that is done.
pub type CompileHook = fn(&str, usize) -> Box<dyn Send>;

/// One of each flavour, made at its first use.
struct ByFlavour<T> {
    plain: OnceLock<T>,
    concurrent: OnceLock<T>,
}

struct Runtime {
    wasmtime: wasmtime::Engine,
    ticker: Option<Arc<Ticker>>,
}

// === impl Engine ===

impl Engine {
    /// An engine; nothing is reserved before its first use.
    pub fn new(config: EngineConfig) -> Self {
        let cache =
            config.cache.as_ref().and_then(|dir| match Cache::open(dir, config.cache_limit) {
                Ok(cache) => Some(cache),
                Err(error) => {
                    tracing::warn!(%error, "Compiled code is not kept.");
                    None
                }
            });
        Self {
            config,
            runtimes: ByFlavour::default(),
            compilers: ByFlavour::default(),
            cache,
            on_compile: None,
        }
    }

    /// Has somebody told when something must be compiled.
    #[must_use]
    pub fn on_compile(mut self, hook: CompileHook) -> Self {
        self.on_compile = Some(hook);
        self
    }

    pub(crate) fn compiling(&self, name: &str, size: usize) -> Option<Box<dyn Send>> {
        self.on_compile.map(|hook| hook(name, size))
    }

    /// The Wasmtime engine of one flavour. It runs code and does not compile any.
    ///
    /// # Errors
    /// When Wasmtime does not start on this machine.
    pub fn wasmtime(&self, flavour: Flavour) -> Result<&wasmtime::Engine, EngineError> {
        self.runtime(flavour).map(|runtime| &runtime.wasmtime)
    }

    /// A store for one guest, limited in memory and interrupted at every tick while it computes.
    ///
    /// # Errors
    /// When Wasmtime does not start on this machine.
    pub fn store<T: Confined>(
        &self,
        flavour: Flavour,
        share: &Arc<Share>,
        data: T,
    ) -> Result<(Store<T>, Arc<Activity>), EngineError> {
        let runtime = self.runtime(flavour)?;
        let activity = Activity::new(share.clone(), runtime.ticker.clone());
        let mut store = Store::new(&runtime.wasmtime, data);
        store.limiter(|data| data.limiter());
        store.set_epoch_deadline(FIRST_TICKS);
        store.epoch_deadline_callback({
            let activity = activity.clone();
            move |_| {
                Ok(match activity.interrupt() {
                    true => UpdateDeadline::Yield(1),
                    false => UpdateDeadline::Continue(1),
                })
            }
        });
        Ok((store, activity))
    }

    pub(crate) fn cache(&self) -> Option<&Cache> {
        self.cache.as_ref()
    }

    /// What compiles for [`Engine::wasmtime`]. Apart from it, as most starts find all they need in the
    /// cache, and setting a compiler up is a good part of a short run.
    pub(crate) fn compiler(&self, flavour: Flavour) -> Result<&wasmtime::Engine, EngineError> {
        self.compilers.get(flavour, || {
            wasmtime::Engine::new(&wasmtime_config(flavour, Allocation::OnDemand))
                .map_err(EngineError::Start)
        })
    }

    fn runtime(&self, flavour: Flavour) -> Result<&Runtime, EngineError> {
        self.runtimes.get(flavour, || Runtime::start(flavour, &self.config))
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine").field("config", &self.config).finish_non_exhaustive()
    }
}

// === impl ByFlavour ===

impl<T> ByFlavour<T> {
    fn get<E>(&self, flavour: Flavour, make: impl FnOnce() -> Result<T, E>) -> Result<&T, E> {
        let slot = match flavour {
            Flavour::Plain => &self.plain,
            Flavour::Concurrent => &self.concurrent,
        };
        if let Some(made) = slot.get() {
            return Ok(made);
        }
        let made = make()?;
        Ok(slot.get_or_init(|| made))
    }
}

impl<T> Default for ByFlavour<T> {
    fn default() -> Self {
        Self { plain: OnceLock::new(), concurrent: OnceLock::new() }
    }
}

// === impl Runtime ===

impl Runtime {
    fn start(flavour: Flavour, config: &EngineConfig) -> Result<Self, EngineError> {
        let start = |allocation| {
            wasmtime::Engine::new(wasmtime_config(flavour, allocation).enable_compiler(false))
        };
        let wasmtime = match start(config.allocation) {
            Ok(engine) => engine,
            Err(error) if config.allocation != Allocation::OnDemand => {
                tracing::warn!(
                    error = format!("{error:#}"),
                    "The address space is too small for a pool of instances: each is mapped when \
                     needed, which is slower. Raise `ulimit -v` or lower --max-instances."
                );
                start(Allocation::OnDemand).map_err(EngineError::Start)?
            }
            Err(error) => return Err(EngineError::Start(error)),
        };
        let ticker = config
            .ticks
            .then(|| Ticker::start(vec![wasmtime.clone()]).map(Arc::new))
            .transpose()
            .map_err(|error| EngineError::Start(error.into()))?;
        Ok(Self { wasmtime, ticker })
    }
}
