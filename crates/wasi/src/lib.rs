//! The guest's world, built from grants: what was not granted is not there.
//!
//! [`Grants`] say what one workload may do; a [`World`] holds them ready and makes the data of a store
//! for each instance; [`link`] offers the interfaces of WASI to modules and components.

mod capabilities;
mod events;
mod experimental_http;
mod guest;
mod link;
mod logging;
mod next;
mod otel;
mod outbound;
mod preview1;
mod preview2;
mod provided;
mod response;
mod scratch;
mod sockets;
mod spin_http;
mod stdin;
mod stdio;
mod tls;
mod trace;
mod unfinished;
mod voice;

pub use events::{CronError, CronMetadata, MqttError, MqttMetadata, Redis1Error, Redis3Error};
pub use guest::{ComponentGuest, MOST_RESOURCES, ModuleGuest, World, WorldError, trust};
pub use link::{PartImport, Storage, component_linker, module_linker};
pub use next::{Handled, Next};
pub use otel::Signals;
pub use outbound::Outbound;
pub use provided::provided;
pub use reef_interfaces::{
    ASYNCHRONOUS, BrokerMessage, Capabilities, Letter, Part, SCOPED, Scopes, StreamedMessage,
    Unhandled, WasiError,
};
pub use spin_http::{SpinHttpFault, SpinMethod, SpinRequest, SpinResponse};
pub use stdio::{Lines, Stdio};
pub use trace::{GuestTrace, HttpSpan, Traced};
