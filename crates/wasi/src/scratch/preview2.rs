//! WASI 0.2: what changes lengths and names, around Wasmtime's own.
//!
//! Wasmtime's descriptors show their files, and the ledger knows which of those are in the scratch directory.

use std::{any::Any, fs::File, io, path::Path, sync::Arc};

use bytes::Bytes;
use rustix::fs::{AtFlags, FileType, statat};
use wasmtime::{
    StoreContextMut,
    component::{Linker, Resource, ResourceTable},
};
use wasmtime_wasi::{
    filesystem::{Descriptor, WasiFilesystemView as _},
    p2::{
        FsResult, OutputStream, Pollable, StreamError, StreamResult,
        bindings::filesystem::types::{
            DescriptorFlags, ErrorCode, Filesize, HostDescriptor, OpenFlags, PathFlags,
        },
    },
};
use wasmtime_wasi_io::streams::DynOutputStream;

use super::{
    id,
    ledger::{Change, From, Full, Id, Ledger},
    length,
};
use crate::guest::ComponentGuest;

const TYPES: &str = "wasi:filesystem/types@0.2.12";

type Store<'a> = StoreContextMut<'a, ComponentGuest>;
type Fd = Resource<Descriptor>;
type Answer<T> = wasmtime::Result<(Result<T, ErrorCode>,)>;

/// Something with a name.
pub(super) struct Named {
    pub(super) id: Id,
    pub(super) links: u64,
    is_dir: bool,
}

fn answer<T>(done: FsResult<T>) -> Answer<T> {
    Ok((match done {
        Ok(done) => Ok(done),
        Err(error) => Err(error.downcast()?),
    },))
}

fn refused<T>(code: ErrorCode) -> Answer<T> {
    Ok((Err(code),))
}

fn file(table: &ResourceTable, fd: &Fd) -> Option<Arc<File>> {
    match table.get(fd).ok()? {
        Descriptor::File(file) => Some(file.file.clone()),
        Descriptor::Dir(_) => None,
    }
}

fn dir(table: &ResourceTable, fd: &Fd) -> Option<Arc<File>> {
    match table.get(fd).ok()? {
        Descriptor::Dir(dir) => Some(dir.dir.clone()),
        Descriptor::File(_) => None,
    }
}

/// The file and what its length is charged to, if it is in the scratch directory.
pub(super) fn scratch_file(
    guest: &mut ComponentGuest,
    fd: &Fd,
) -> Option<(Arc<File>, Id, Arc<Ledger>)> {
    let ledger = guest.ledger()?;
    let file = file(guest.filesystem().table, fd)?;
    let id = id(&file.metadata().ok()?);
    ledger.has_file(id).then_some((file, id, ledger))
}

/// The directory and what its names are charged to, if it is in the scratch directory.
pub(super) fn scratch_dir(guest: &mut ComponentGuest, fd: &Fd) -> Option<(Arc<File>, Arc<Ledger>)> {
    let ledger = guest.ledger()?;
    let dir = dir(guest.filesystem().table, fd)?;
    ledger.has_dir(id(&dir.metadata().ok()?)).then_some((dir, ledger))
}

/// Tells the ledger of what was opened in the scratch directory.
pub(super) fn register(ledger: &Ledger, table: &ResourceTable, opened: &Fd) {
    if let Some(dir) = dir(table, opened)
        && let Ok(meta) = dir.metadata()
    {
        ledger.found_dir(id(&meta));
    }
    if let Some(file) = file(table, opened)
        && let Ok(meta) = file.metadata()
    {
        let by: Arc<dyn Any + Send + Sync> = file;
        ledger.opened(id(&meta), meta.len(), Arc::downgrade(&by));
    }
}

/// What a path leads to, links not followed. What leads out of the directory is refused by whoever uses it: here it
/// is only looked at.
pub(super) fn named(dir: &File, path: &str) -> Option<Named> {
    let stat = statat(dir, Path::new(path), AtFlags::SYMLINK_NOFOLLOW).ok()?;
    let is_dir = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
    #[allow(clippy::useless_conversion, reason = "its type is another on other machines")]
    let links = stat.st_nlink.into();
    Some(Named { id: (stat.st_dev, stat.st_ino), links, is_dir })
}

/// Writes a piece after the other to a file of the scratch directory.
struct Metered {
    inner: DynOutputStream,
    file: Arc<File>,
    id: Id,
    ledger: Arc<Ledger>,
    /// Where the next piece goes; at the end, if nothing is said.
    at: Option<u64>,
    on_its_way: Option<Change>,
}

impl Metered {
    fn settle(&mut self) {
        if let Some(change) = self.on_its_way.take() {
            change.done(length(&self.file));
        }
    }
}

#[async_trait::async_trait]
impl OutputStream for Metered {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.settle();
        let count = bytes.len() as u64;
        let from = self.at.map_or(From::End, From::At);
        match self.ledger.write(self.id, from, count) {
            Some(Ok(change)) => self.on_its_way = Some(change),
            Some(Err(Full)) => {
                let error = io::Error::from(rustix::io::Errno::NOSPC);
                return Err(StreamError::LastOperationFailed(error.into()));
            }
            None => {}
        }
        self.inner.write(bytes)?;
        self.at = self.at.map(|at| at.saturating_add(count));
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        self.inner.flush()
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        let permit = self.inner.check_write();
        // None before what was written is there, or has failed.
        if !matches!(permit, Ok(0)) {
            self.settle();
        }
        permit
    }

    async fn cancel(&mut self) {
        self.inner.cancel().await;
        self.settle();
    }
}

#[async_trait::async_trait]
impl Pollable for Metered {
    async fn ready(&mut self) {
        self.inner.ready().await;
    }
}

/// Puts the ledger before what changes lengths and names.
pub(crate) fn add_to_linker(linker: &mut Linker<ComponentGuest>) -> wasmtime::Result<()> {
    linker.allow_shadowing(true);
    lengths(linker)?;
    names(linker)?;
    linker.allow_shadowing(false);
    Ok(())
}

fn lengths(linker: &mut Linker<ComponentGuest>) -> wasmtime::Result<()> {
    let mut types = linker.instance(TYPES)?;
    types.func_wrap_async(
        "[method]descriptor.write",
        |mut store: Store<'_>, (fd, bytes, offset): (Fd, Vec<u8>, Filesize)| {
            Box::new(async move {
                let held = scratch_file(store.data_mut(), &fd);
                let from = From::At(offset);
                let change = held
                    .as_ref()
                    .and_then(|(_, id, ledger)| ledger.write(*id, from, bytes.len() as u64));
                let Ok(change) = change.transpose() else {
                    return refused(ErrorCode::InsufficientSpace);
                };
                let done = store.data_mut().filesystem().write(fd, bytes, offset).await;
                if let (Some(change), Some((file, ..))) = (change, held) {
                    change.done(length(&file));
                }
                answer(done)
            })
        },
    )?;
    types.func_wrap_async(
        "[method]descriptor.set-size",
        |mut store: Store<'_>, (fd, size): (Fd, Filesize)| {
            Box::new(async move {
                let held = scratch_file(store.data_mut(), &fd);
                let change = held.as_ref().and_then(|(_, id, ledger)| ledger.resize(*id, size));
                let Ok(change) = change.transpose() else {
                    return refused(ErrorCode::InsufficientSpace);
                };
                let done = store.data_mut().filesystem().set_size(fd, size).await;
                if let (Some(change), Some((file, ..))) = (change, held) {
                    change.done(length(&file));
                }
                answer(done)
            })
        },
    )?;
    types.func_wrap(
        "[method]descriptor.write-via-stream",
        |mut store: Store<'_>, (fd, offset): (Fd, Filesize)| {
            let held = scratch_file(store.data_mut(), &fd);
            let stream = store.data_mut().filesystem().write_via_stream(fd, offset);
            answer(metered(&mut store, stream, held, Some(offset)))
        },
    )?;
    types.func_wrap("[method]descriptor.append-via-stream", |mut store: Store<'_>, (fd,): (Fd,)| {
        let held = scratch_file(store.data_mut(), &fd);
        let stream = store.data_mut().filesystem().append_via_stream(fd);
        answer(metered(&mut store, stream, held, None))
    })
}

/// The stream with the ledger before it, if it is one into the scratch directory.
fn metered(
    store: &mut Store<'_>,
    stream: FsResult<Resource<DynOutputStream>>,
    held: Option<(Arc<File>, Id, Arc<Ledger>)>,
    at: Option<u64>,
) -> FsResult<Resource<DynOutputStream>> {
    let stream = stream?;
    let Some((file, id, ledger)) = held else { return Ok(stream) };
    let table = store.data_mut().filesystem().table;
    let inner = table.delete(stream)?;
    let metered = Metered { inner, file, id, ledger, at, on_its_way: None };
    Ok(table.push(Box::new(metered) as DynOutputStream)?)
}

fn names(linker: &mut Linker<ComponentGuest>) -> wasmtime::Result<()> {
    let mut types = linker.instance(TYPES)?;
    types.func_wrap_async(
        "[method]descriptor.open-at",
        |mut store: Store<'_>,
         (fd, follow, path, open, flags): (
            Fd,
            PathFlags,
            String,
            OpenFlags,
            DescriptorFlags,
        )| {
            Box::new(async move {
                let Some((dir, ledger)) = scratch_dir(store.data_mut(), &fd) else {
                    let mut view = store.data_mut().filesystem();
                    return answer(view.open_at(fd, follow, path, open, flags).await);
                };
                let _turn = ledger.names.lock().await;
                // A link that leads to nothing becomes a file, too.
                let made = open.contains(OpenFlags::CREATE)
                    && statat(&dir, Path::new(&path), AtFlags::empty()).is_err();
                if made && ledger.name().is_err() {
                    return refused(ErrorCode::InsufficientSpace);
                }
                let mut view = store.data_mut().filesystem();
                let opened = view.open_at(fd, follow, path, open, flags).await;
                if opened.is_err() && made {
                    ledger.unname();
                }
                if let Ok(opened) = &opened {
                    register(&ledger, view.table, opened);
                }
                answer(opened)
            })
        },
    )?;
    types.func_wrap_async(
        "[method]descriptor.create-directory-at",
        |mut store: Store<'_>, (fd, path): (Fd, String)| {
            Box::new(async move {
                let Some((_, ledger)) = scratch_dir(store.data_mut(), &fd) else {
                    let mut view = store.data_mut().filesystem();
                    return answer(view.create_directory_at(fd, path).await);
                };
                let _turn = ledger.names.lock().await;
                if ledger.name().is_err() {
                    return refused(ErrorCode::InsufficientSpace);
                }
                let mut view = store.data_mut().filesystem();
                let done = view.create_directory_at(fd, path).await;
                if done.is_err() {
                    ledger.unname();
                }
                answer(done)
            })
        },
    )?;
    types.func_wrap_async(
        "[method]descriptor.symlink-at",
        |mut store: Store<'_>, (fd, to, path): (Fd, String, String)| {
            Box::new(async move {
                let Some((_, ledger)) = scratch_dir(store.data_mut(), &fd) else {
                    return answer(store.data_mut().filesystem().symlink_at(fd, to, path).await);
                };
                let _turn = ledger.names.lock().await;
                if ledger.name().is_err() {
                    return refused(ErrorCode::InsufficientSpace);
                }
                let done = store.data_mut().filesystem().symlink_at(fd, to, path).await;
                if done.is_err() {
                    ledger.unname();
                }
                answer(done)
            })
        },
    )?;
    types.func_wrap_async(
        "[method]descriptor.link-at",
        |mut store: Store<'_>,
         (fd, follow, path, new_fd, new_path): (Fd, PathFlags, String, Fd, String)| {
            Box::new(async move {
                let from = scratch_dir(store.data_mut(), &fd);
                let to = scratch_dir(store.data_mut(), &new_fd);
                if from.is_some() != to.is_some() {
                    // As between two file systems, each with its own room.
                    return refused(ErrorCode::CrossDevice);
                }
                let ledger = to.map(|(_, ledger)| ledger);
                let _turn = match &ledger {
                    Some(ledger) => Some(ledger.names.lock().await),
                    None => None,
                };
                if ledger.as_ref().is_some_and(|ledger| ledger.name().is_err()) {
                    return refused(ErrorCode::InsufficientSpace);
                }
                let mut view = store.data_mut().filesystem();
                let done = view.link_at(fd, follow, path, new_fd, new_path).await;
                if let (Some(ledger), true) = (&ledger, done.is_err()) {
                    ledger.unname();
                }
                answer(done)
            })
        },
    )?;
    types.func_wrap_async(
        "[method]descriptor.rename-at",
        |mut store: Store<'_>, (fd, path, new_fd, new_path): (Fd, String, Fd, String)| {
            Box::new(async move {
                let from = scratch_dir(store.data_mut(), &fd);
                let to = scratch_dir(store.data_mut(), &new_fd);
                let (Some((dir, _)), Some((new_dir, ledger))) = (&from, &to) else {
                    if from.is_some() != to.is_some() {
                        return refused(ErrorCode::CrossDevice);
                    }
                    let mut view = store.data_mut().filesystem();
                    return answer(view.rename_at(fd, path, new_fd, new_path).await);
                };
                let _turn = ledger.names.lock().await;
                let (moved, replaced) = (named(dir, &path), named(new_dir, &new_path));
                let mut view = store.data_mut().filesystem();
                let done = view.rename_at(fd, path, new_fd, new_path).await;
                if done.is_ok() {
                    replace(ledger, moved, replaced);
                }
                answer(done)
            })
        },
    )?;
    types.func_wrap_async(
        "[method]descriptor.unlink-file-at",
        |mut store: Store<'_>, (fd, path): (Fd, String)| {
            Box::new(async move {
                let Some((dir, ledger)) = scratch_dir(store.data_mut(), &fd) else {
                    return answer(store.data_mut().filesystem().unlink_file_at(fd, path).await);
                };
                let _turn = ledger.names.lock().await;
                let removed = named(&dir, &path);
                let done = store.data_mut().filesystem().unlink_file_at(fd, path).await;
                if let (Ok(()), Some(removed)) = (&done, removed) {
                    ledger.removed(removed.id, removed.links);
                }
                answer(done)
            })
        },
    )?;
    types.func_wrap_async(
        "[method]descriptor.remove-directory-at",
        |mut store: Store<'_>, (fd, path): (Fd, String)| {
            Box::new(async move {
                let Some((dir, ledger)) = scratch_dir(store.data_mut(), &fd) else {
                    let mut view = store.data_mut().filesystem();
                    return answer(view.remove_directory_at(fd, path).await);
                };
                let _turn = ledger.names.lock().await;
                let removed = named(&dir, &path);
                let done = store.data_mut().filesystem().remove_directory_at(fd, path).await;
                if let (Ok(()), Some(removed)) = (&done, removed) {
                    ledger.removed_dir(removed.id);
                }
                answer(done)
            })
        },
    )
}

/// A name was moved to another, of something else perhaps. Two names of one file stay as they are.
pub(super) fn replace(ledger: &Ledger, moved: Option<Named>, replaced: Option<Named>) {
    let Some(replaced) = replaced else { return };
    if moved.is_some_and(|moved| moved.id == replaced.id) {
        return;
    }
    if replaced.is_dir {
        ledger.removed_dir(replaced.id);
    } else {
        ledger.removed(replaced.id, replaced.links);
    }
}
