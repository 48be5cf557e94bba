//! Where guest code runs, and nowhere else: Wasmtime with Reef's rules around it.
//!
//! An [`Engine`] turns an artifact into [`Code`] (compiled once, cached on disk), and code into a store
//! whose guest is confined: memory by a [`Limiter`], processor time by [`Paced`], wall time by
//! [`within`]. Every kind of guest goes through the same three, so that a limit means the same for a
//! command, an HTTP handler and a CGI script.
//!
//! Processor time is shared out in two steps. A guest runs first on the thread that called it, which
//! costs nothing; one that is still computing after [`BURST`] is moved to the [`Background`]: threads of
//! lower priority on which workloads take turns by the time they have already had.

mod background;
mod cache;
mod clock;
mod code;
mod config;
mod limiter;
mod pace;
mod settings;
mod store;

pub use background::Background;
pub use cache::Cache;
pub use clock::{TICK, Ticker};
pub use code::{Code, CompileError};
pub use config::{Allocation, EngineConfig, EngineError, Flavour};
pub use limiter::Limiter;
pub use pace::{Activity, BURST, DeadlinePassed, Paced, Share, within};
pub use store::{CompileHook, Confined, Engine, refresh};
