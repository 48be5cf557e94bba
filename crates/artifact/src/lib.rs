//! What can be read off a WebAssembly binary, without running it.
//!
//! Two readings of different cost. [`Artifact::read`] walks the section headers of the outermost
//! level and reads imports and exports only: enough to know the [`Kind`] and cheap enough to stand
//! in front of every run. [`Artifact::inspect`] validates everything, looks into nested modules and
//! at every instruction, and says what the code needs.
//!
//! Nothing here opens a file, and no input makes it panic or allocate out of proportion.

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a failed test says enough"))]

mod artifact;
mod can_run;
mod digest;
mod error;
mod inspection;
mod kind;
mod name;
mod needs;
mod producers;
pub mod report;
mod scan;
mod sections;
mod sniff;
mod text;
mod wit;

pub use artifact::{Artifact, Export, Form, Import, Sort};
pub use can_run::{CanRun, Checked, Missing, Provided, Verdict, can_run};
pub use digest::{Digest, ParseDigestError};
pub use error::{Error, visible};
pub use inspection::{
    CustomSection, Function, Inspection, Item, Memory, Nested, SCHEMA_VERSION, Tool,
};
pub use kind::{Event, Kind, Served, Wasi};
pub use name::InterfaceName;
pub use needs::Needs;
pub use producers::{Language, Producers};
