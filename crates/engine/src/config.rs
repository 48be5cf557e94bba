//! How Wasmtime is set up.

use std::path::PathBuf;

use wasmtime::{
    Enabled, InstanceAllocationStrategy, PoolingAllocationConfig, WasmBacktraceDetails,
};

/// Where instances get their memory from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Allocation {
    /// Mapped when needed: the cheapest start, for one instance in a short process.
    OnDemand,
    /// Slots reserved at the start and reset by copying: the cheapest instance, for servers.
    Pooling {
        /// Instances that may live at once, over all workloads of the process.
        instances: u32,
    },
}

/// What an [`Engine`](crate::Engine) is made from.
#[derive(Clone, Debug)]
pub struct EngineConfig {
    /// How instances are allocated.
    pub allocation: Allocation,
    /// Folder of the code cache; `None` compiles each time.
    pub cache: Option<PathBuf>,
    /// Whether computing guests are interrupted at every tick: what deadlines, shares and neighbours
    /// need. A single run without either does without the thread that ticks.
    pub ticks: bool,
    /// Upper bound of the code cache in bytes; the entries used longest ago go first.
    pub cache_limit: u64,
}

impl Default for EngineConfig {
    fn default() -> Self {
        Self { allocation: Allocation::OnDemand, cache: None, ticks: true, cache_limit: 4 << 30 }
    }
}

/// Which machinery a guest needs.
///
/// Component-model concurrency (streams, futures, asynchronous functions) costs each store and each
/// call something; a guest that cannot use it does not pay for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Flavour {
    /// Core modules and components of WASI 0.2.
    Plain,
    /// Components that use the component model's asynchronous types: WASI 0.3.
    Concurrent,
}

/// Why an engine could not be made.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// Wasmtime refuses this machine or these settings.
    #[error("the WebAssembly engine does not start on this machine: {0:#}")]
    Start(wasmtime::Error),
}

/// Bytes of linear memory that a slot keeps mapped between two instances. Returning pages to the
/// kernel and faulting them in again costs more than copying them.
const KEEP_MEMORY: usize = 4 << 20;
const KEEP_TABLE: usize = 64 << 10;
const KEEP_STACK: usize = 128 << 10;
/// Guest stack. The rest of a fiber's stack is for host functions.
const WASM_STACK: usize = 1 << 20;
const FIBER_STACK: usize = 2 << 20;

pub(crate) fn wasmtime_config(flavour: Flavour, allocation: Allocation) -> wasmtime::Config {
    let mut config = wasmtime::Config::new();
    config
        .epoch_interruption(true)
        .concurrency_support(flavour == Flavour::Concurrent)
        .max_wasm_stack(WASM_STACK)
        .async_stack_size(FIBER_STACK)
        .wasm_backtrace_details(WasmBacktraceDetails::Enable)
        .native_unwind_info(false)
        .memory_init_cow(true)
        .wasm_component_model(true)
        .wasm_component_model_implements(true);
    match allocation {
        Allocation::OnDemand => config.allocation_strategy(InstanceAllocationStrategy::OnDemand),
        Allocation::Pooling { instances } => {
            config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool(instances)))
        }
    };
    config
}

fn pool(instances: u32) -> PoolingAllocationConfig {
    let mut pool = PoolingAllocationConfig::new();
    // A component is several core instances, mostly one memory; a composed one has several of each.
    pool.total_component_instances(instances)
        .total_core_instances(instances.saturating_mul(16))
        .total_memories(instances.saturating_mul(2))
        .total_tables(instances.saturating_mul(4))
        .total_stacks(instances.saturating_mul(2))
        .total_gc_heaps(instances.clamp(1, 256))
        .max_core_instances_per_component(200)
        .max_memories_per_component(64)
        .max_memories_per_module(8)
        .max_tables_per_component(200)
        .max_tables_per_module(16)
        .table_elements(100_000)
        .max_core_instance_size(4 << 20)
        .max_component_instance_size(4 << 20)
        .linear_memory_keep_resident(KEEP_MEMORY)
        .table_keep_resident(KEEP_TABLE)
        .async_stack_keep_resident(KEEP_STACK)
        .pagemap_scan(Enabled::Auto);
    pool
}
