//! `wasi:logging`: what a guest says, into the log of the host.

use wasmtime::{
    StoreContextMut,
    component::{ComponentType, Lift, Linker, Lower},
};

use crate::{guest::ComponentGuest, trace::traced, voice::Severity};

/// The draft, and the same without a version, as wasmCloud's first components import it.
const NAMES: [&str; 2] = ["wasi:logging/logging@0.1.0-draft", "wasi:logging/logging"];

/// `wasi:logging/logging.level`.
#[derive(Clone, Copy, Debug, ComponentType, Lift, Lower)]
#[component(enum)]
#[repr(u8)]
#[expect(dead_code, reason = "guests make them")]
enum Level {
    #[component(name = "trace")]
    Trace,
    #[component(name = "debug")]
    Debug,
    #[component(name = "info")]
    Info,
    #[component(name = "warn")]
    Warn,
    #[component(name = "error")]
    Error,
    #[component(name = "critical")]
    Critical,
}

impl From<Level> for Severity {
    fn from(level: Level) -> Self {
        match level {
            Level::Trace => Self::Trace,
            Level::Debug => Self::Debug,
            Level::Info => Self::Info,
            Level::Warn => Self::Warn,
            Level::Error => Self::Error,
            Level::Critical => Self::Critical,
        }
    }
}

/// Offers the interface if its package is `wanted`.
pub(crate) fn add_to_linker(
    linker: &mut Linker<ComponentGuest>,
    wanted: impl Fn(&str) -> bool,
) -> wasmtime::Result<()> {
    if !wanted("wasi:logging/") {
        return Ok(());
    }
    for name in NAMES {
        linker.instance(name)?.func_wrap(
            "log",
            |mut store: StoreContextMut<'_, ComponentGuest>,
             (level, context, message): (Level, String, String)| {
                let trace = traced(&mut store)?.and_then(|traced| traced.trace_id());
                let voice = store.data().voice();
                voice.log(level.into(), &context, &message, trace.as_deref());
                Ok(())
            },
        )?;
    }
    Ok(())
}
