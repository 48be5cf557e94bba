//! HTTP: requests in, guests called, responses out.
//!
//! A request goes through routing, admission (a bounded queue), an instance (kept from an earlier
//! request, or fresh) and comes back as an [`Answer`], which holds its place, its meter and its span
//! until the last byte is written.

mod answer;
mod component;
mod dispatch;
mod entries;
mod ingress;
mod instances;
mod spans;
mod spin;
mod turn;
mod uri;
mod wagi;
mod workers;

pub use dispatch::{Queueing, Reuse, ServeError, ServeOptions};
pub use entries::SharedEntries;
pub use ingress::{Forward, Ingress, Mount, Mounted, Script, Table};
pub(crate) use spans::signals;
