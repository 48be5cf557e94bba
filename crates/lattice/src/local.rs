//! A lattice of one process: a bus within it, a file, and a folder. Nothing has to be installed.

mod disk;
mod objects;
mod store;

use std::{fs, path::Path, sync::Arc};

use reef_bus::InProcess;
use reef_capability::Failure;

use crate::Lattice;

/// What is wanted.
const STORE: &str = "lattice.redb";
/// Which process has it open: for the message to another one.
const PROCESS: &str = "lattice.pid";
/// What it is made of.
const OBJECTS: &str = "objects";

/// One in a folder, which is made if it is not there.
pub(crate) fn open(folder: &Path) -> Result<Lattice, Failure> {
    fs::create_dir_all(folder).map_err(|error| disk::failed(folder, &error))?;
    let store = store::File::open(&folder.join(STORE), &folder.join(PROCESS))?;
    let objects = objects::Folder::open(&folder.join(OBJECTS))?;
    let bus = Arc::new(InProcess::default());
    Ok(Lattice::new(crate::DEFAULT, bus, Arc::new(store), Arc::new(objects)))
}
