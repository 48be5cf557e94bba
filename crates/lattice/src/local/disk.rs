//! What a disk says.

use std::{fs, io, path::Path};

use reef_capability::Failure;

/// An error of a disk as a failure.
pub(super) fn failed(path: &Path, error: &io::Error) -> Failure {
    let said = format!("{}: {error}", path.display());
    if is_full(error) { Failure::Full(said) } else { Failure::Backend(said) }
}

/// Whether there is no room, as opposed to a fault.
pub(super) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// Has what a folder lists survive a power cut.
pub(super) fn sync_folder(folder: &Path) -> io::Result<()> {
    // Windows has no such thing, and opens no folders.
    if cfg!(unix) { fs::File::open(folder)?.sync_all() } else { Ok(()) }
}
