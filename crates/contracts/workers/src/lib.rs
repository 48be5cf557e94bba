//! The contract of Wasm Workers Server: a folder is a site, and a file in it is what answers at its path.
//!
//! Pure: names and bytes in, typed model out. Nothing here opens a file or runs a guest.
//!
//! * [`Site`]: which worker answers at which route, from the names of a folder's files;
//! * [`Settings`]: the `NAME.toml` beside a worker; [`Project`]: the `.wws.toml` of the folder;
//! * [`Request`] and [`Response`]: the JSON that a worker reads from standard input and the JSON that it
//!   writes to standard output; [`Entries`]: the key-value map that goes through both;
//! * [`public`]: the static files beside them.
//!
//! A worker is a WASI command that runs once for each request: a `.wasm` file itself, or a script that a
//! language's runtime evaluates.
//!
//! Sources: the documents and the source of vmware-labs/wasm-workers-server, version 1.7. Where this
//! differs, the item concerned says how and why.

mod entries;
mod language;
mod pattern;
mod project;
pub mod public;
mod request;
mod response;
mod routes;
mod settings;
mod site;

pub use entries::{Changes, Entries};
pub use language::{INITIALIZE, Language};
pub use pattern::PatternError;
pub use project::{Project, Repository, Runtime};
pub use request::Request;
pub use response::{Error, MAX_HEADERS, Response};
pub use settings::{
    Backend, Data, Features, Folder, HttpRequests, KeyValue, Model, Settings, Value, WasiNn,
};
pub use site::{Fault, MAX_ROUTES, Reason, Site, Skipped, Worker};
