//! The file, which is opened again when the disk failed: after such a fault, the library refuses every use.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
};

use redb::Database;
use reef_capability::Failure;

/// Pages of the file that are held in memory.
const PAGES: usize = 16 << 20;

#[derive(Debug)]
pub(super) struct File {
    path: PathBuf,
    open: RwLock<Option<Arc<Database>>>,
}

impl File {
    /// Opens it, or makes it.
    pub(super) fn open(path: PathBuf) -> Result<Self, redb::DatabaseError> {
        let database = create(&path)?;
        Ok(Self { path, open: RwLock::new(Some(Arc::new(database))) })
    }

    /// What is open: opened again, if need be, which may wait for the disk.
    pub(super) fn database(&self) -> Result<Arc<Database>, Failure> {
        let open = self.open.read().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(database) = open {
            return Ok(database);
        }
        let mut open = self.open.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(database) = &*open {
            return Ok(database.clone());
        }
        let database = match create(&self.path) {
            Ok(database) => Arc::new(database),
            // Somebody still reads.
            Err(redb::DatabaseError::DatabaseAlreadyOpen) => return Err(self.again()),
            Err(error) => return Err(self.failure(error.into())),
        };
        tracing::info!(file = %self.path.display(), "The key-value store is open again.");
        *open = Some(database.clone());
        Ok(database)
    }

    /// What an error of a database means to who asked. One that failed is not used again.
    pub(super) fn failed(&self, database: &Arc<Database>, error: redb::Error) -> Failure {
        if matches!(error, redb::Error::Io(_) | redb::Error::PreviousIo) {
            let mut open = self.open.write().unwrap_or_else(PoisonError::into_inner);
            if open.as_ref().is_some_and(|open| Arc::ptr_eq(open, database)) {
                *open = None;
            }
        }
        self.failure(error)
    }

    fn failure(&self, error: redb::Error) -> Failure {
        let full = [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded];
        match error {
            redb::Error::Io(error) if full.contains(&error.kind()) => {
                Failure::Full(error.to_string())
            }
            redb::Error::PreviousIo => self.again(),
            other => Failure::Backend(format!("{}: {other}", self.path.display())),
        }
    }

    fn again(&self) -> Failure {
        let file = self.path.display();
        Failure::unreachable(format!("{file} failed before, and is opened again"))
    }
}

fn create(path: &Path) -> Result<Database, redb::DatabaseError> {
    Database::builder().set_cache_size(PAGES).create(path)
}
