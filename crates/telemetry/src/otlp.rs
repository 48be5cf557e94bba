//! The export by OTLP over HTTP: where to, as whom, by what, and what became of it.

mod client;
mod config;
mod counts;
mod export;
mod resource;
mod stop;

pub(crate) use client::Sender;
pub use config::{BatchLimits, OtlpConfig, Sampling, Target};
pub use counts::ExportCounts;
pub(crate) use counts::{Counts, Report};
pub(crate) use export::Export;
pub(crate) use resource::Resources;
pub(crate) use stop::Stop;
