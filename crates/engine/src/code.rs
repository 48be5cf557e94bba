//! From an artifact to code that can be instantiated.

use std::{fs::File, os::fd::AsRawFd as _};

use reef_artifact::{Artifact, Form};
use wasmtime::{Module, component::Component};

use crate::{Engine, EngineError, Flavour};

/// Compiled code, mapped into memory. Cheap to clone.
#[derive(Clone)]
pub enum Code {
    /// A core module.
    Module(Module),
    /// A component.
    Component(Component),
}

/// What is said of a cause; it may have names of the guest's in it.
const LONGEST_CAUSE: usize = 2000;

/// Why an artifact could not be compiled.
#[derive(Debug, thiserror::Error)]
pub enum CompileError {
    /// No engine.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// Not valid, or of a feature that is not supported.
    #[error(
        "{name} does not compile: {}\n  build it again with current tools; if it was downloaded, \
         compare its digest with the publisher's",
        reef_artifact::visible(&format!("{:#}", .cause), LONGEST_CAUSE)
    )]
    Invalid {
        /// The artifact's name.
        name: String,
        /// What Wasmtime said.
        cause: wasmtime::Error,
    },
}

impl Engine {
    /// The code of an artifact: mapped from the cache, or compiled and kept there.
    ///
    /// Compiling takes all cores for as long as it takes, up to many seconds for an interpreter; call
    /// it where that may be waited for.
    ///
    /// # Errors
    /// When the artifact is invalid.
    pub fn compile(&self, artifact: &Artifact, flavour: Flavour) -> Result<Code, CompileError> {
        let engine = self.wasmtime(flavour)?;
        // Not the artifact's own digest: that one takes four times as long.
        let digest = blake3::hash(artifact.bytes()).to_hex();
        if let Some(cache) = self.cache()
            && let Some(file) = cache.load(flavour, &digest)
        {
            match map(engine, artifact.form(), file) {
                Ok(code) => return Ok(code),
                Err(error) => {
                    tracing::warn!(
                        error = format!("{error:#}"),
                        artifact = artifact.name(),
                        "An entry of the code cache does not load and is compiled anew."
                    );
                    cache.forget(flavour, &digest);
                }
            }
        }
        let invalid = |cause| CompileError::Invalid { name: artifact.name().to_owned(), cause };
        let _told = self.compiling(artifact.name(), artifact.bytes().len());
        let compiler = self.compiler(flavour)?;
        let bytes = match artifact.form() {
            Form::Module => compiler.precompile_module(artifact.bytes()),
            Form::Component => compiler.precompile_component(artifact.bytes()),
        }
        .map_err(invalid)?;
        // Mapped from the file at once, so that a first run is laid out in memory like every later one.
        let kept = self.cache().and_then(|cache| {
            cache.store(flavour, &digest, &bytes);
            map(engine, artifact.form(), cache.load(flavour, &digest)?).ok()
        });
        match kept {
            Some(code) => Ok(code),
            None => load(engine, artifact.form(), &bytes).map_err(invalid),
        }
    }
}

impl std::fmt::Debug for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Code::Module(_) => "Code::Module",
            Code::Component(_) => "Code::Component",
        })
    }
}

#[allow(unsafe_code, reason = "Wasmtime trusts compiled code; the cache vouches for it")]
fn map(engine: &wasmtime::Engine, form: Form, file: File) -> wasmtime::Result<Code> {
    match form {
        // SAFETY: the file holds what this engine's own compiler wrote: it comes from a folder that only
        // this user can write to, its seal has been verified through this very descriptor, and entries
        // are never written in place.
        Form::Module => unsafe { Module::deserialize_open_file(engine, file) }.map(Code::Module),
        Form::Component => {
            // Wasmtime takes a path here; this one names the verified descriptor, not whatever is at
            // the entry's path by now.
            let path = format!("/proc/self/fd/{}", file.as_raw_fd());
            // SAFETY: as above.
            unsafe { Component::deserialize_file(engine, path) }.map(Code::Component)
        }
    }
}

#[allow(unsafe_code, reason = "Wasmtime trusts compiled code; it was compiled just before")]
fn load(engine: &wasmtime::Engine, form: Form, bytes: &[u8]) -> wasmtime::Result<Code> {
    match form {
        // SAFETY: the bytes are the return value of this engine's compiler.
        Form::Module => unsafe { Module::deserialize(engine, bytes) }.map(Code::Module),
        // SAFETY: as above.
        Form::Component => unsafe { Component::deserialize(engine, bytes) }.map(Code::Component),
    }
}
