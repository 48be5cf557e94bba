//! A directory of a workload's own, empty when it starts and gone when it ends, with a quota.
//!
//! No file system of an ordinary machine limits a directory without privileges, so the quota is kept here: whatever
//! a guest does to the length of a file, or to names, passes the [`Ledger`] first. What is done then is Wasmtime's.
//! Guests without a scratch directory are linked to the plain functions.

mod ledger;
mod preview1;
mod preview2;
mod preview3;

use std::{
    fs::{File, Metadata},
    io,
    os::unix::fs::MetadataExt as _,
    path::Path,
    sync::Arc,
};

use reef_engine::Flavour;
use tempfile::TempDir;
use wasmtime::component::Linker;

use self::ledger::Id;
use crate::guest::ComponentGuest;

pub(crate) use self::{
    ledger::Ledger,
    preview1::{ModuleScratch, define},
};

/// A workload's scratch directory.
#[derive(Debug)]
pub(crate) struct Scratch {
    folder: TempDir,
    ledger: Arc<Ledger>,
}

impl Scratch {
    pub(crate) fn new(quota: u64) -> io::Result<Self> {
        let folder = TempDir::with_prefix("reef-scratch-")?;
        let root = id(&folder.path().metadata()?);
        Ok(Self { folder, ledger: Arc::new(Ledger::new(quota, root)) })
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn ledger(&self) -> Arc<Ledger> {
        self.ledger.clone()
    }

    /// For an instance of a module, which sees it as this descriptor.
    pub(crate) fn of_module(&self, root: u32) -> ModuleScratch {
        ModuleScratch::new(self.ledger.clone(), root)
    }
}

/// Puts the ledger before what changes lengths and names in a component's world.
pub(crate) fn add_to_linker(
    linker: &mut Linker<ComponentGuest>,
    flavour: Flavour,
) -> wasmtime::Result<()> {
    preview2::add_to_linker(linker)?;
    match flavour {
        Flavour::Plain => Ok(()),
        Flavour::Concurrent => preview3::add_to_linker(linker),
    }
}

fn id(meta: &Metadata) -> Id {
    (meta.dev(), meta.ino())
}

/// How long it is, if that can be known.
fn length(file: &File) -> Option<u64> {
    file.metadata().ok().map(|meta| meta.len())
}
