//! The OCI contract: what registries call things, and how they hold WebAssembly.
//!
//! [`Reference`] names an artifact; [`Document`] is what a registry answers for it: a manifest, or an
//! index of several. [`Manifest::wasm`] finds the layer that is the WebAssembly, in whichever of the
//! layouts that are in use (SPECIFICATION of each: OCI distribution and image 1.1; the CNCF's Wasm
//! artifact; runwasi; wasm-to-oci, which Istio reads; Krustlet's, which wasmCloud and WAGI read).

mod manifest;
mod reference;

pub use manifest::{
    Descriptor, Document, ENTRY_TYPES, Index, LARGEST, LayerError, Manifest, ManifestError,
};
pub use reference::{Reference, ReferenceError};
