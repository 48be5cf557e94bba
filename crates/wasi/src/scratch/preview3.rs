//! WASI 0.3: what changes lengths and names, around Wasmtime's own.
//!
//! Only what is written through a stream is done here: Wasmtime's consumer of one cannot be looked into.

use std::{
    fs::File,
    io::{self, IoSlice},
    os::unix::fs::FileExt as _,
    path::Path,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use rustix::{
    fs::{AtFlags, statat},
    io::{ReadWriteFlags, pwritev2},
};
use tokio::{sync::oneshot, task::JoinHandle};
use wasmtime::{
    StoreContextMut,
    component::{
        Accessor, FutureReader, Linker, Resource, Source, StreamConsumer, StreamReader,
        StreamResult,
    },
};
use wasmtime_wasi::{
    filesystem::{Descriptor, WasiFilesystem, WasiFilesystemView as _},
    p3::{
        bindings::filesystem::types::{
            DescriptorFlags, ErrorCode, Filesize, HostDescriptorWithStore as Plain, OpenFlags,
            PathFlags,
        },
        filesystem::FilesystemResult,
    },
};

use super::{
    ledger::{Change, From, Id, Ledger},
    length,
    preview2::{named, register, replace, scratch_dir, scratch_file},
};
use crate::guest::ComponentGuest;

const TYPES: &str = "wasi:filesystem/types@0.3.0";
/// Bytes that are written at once.
const PIECE: usize = 64 << 10;

type Fd = Resource<Descriptor>;
type Store<'a> = StoreContextMut<'a, ComponentGuest>;
type Caller = Accessor<ComponentGuest>;
type Answer<T> = wasmtime::Result<(Result<T, ErrorCode>,)>;
type Written = FutureReader<Result<(), ErrorCode>>;

fn answer<T>(done: FilesystemResult<T>) -> Answer<T> {
    Ok((match done {
        Ok(done) => Ok(done),
        Err(error) => Err(error.downcast()?),
    },))
}

fn refused<T>(code: ErrorCode) -> Answer<T> {
    Ok((Err(code),))
}

fn dir_of(caller: &Caller, fd: &Fd) -> Option<(Arc<File>, Arc<Ledger>)> {
    caller.with(|mut access| scratch_dir(access.data_mut(), fd))
}

/// Writes what comes through a stream to a file of the scratch directory.
struct Writer {
    file: Arc<File>,
    id: Id,
    ledger: Arc<Ledger>,
    /// Where the next piece goes; at the end, if nothing is said.
    at: Option<u64>,
    task: Option<(Change, JoinHandle<io::Result<usize>>)>,
    done: Option<oneshot::Sender<Result<(), ErrorCode>>>,
}

impl Writer {
    fn close(&mut self, how: Result<(), ErrorCode>) {
        if let Some(done) = self.done.take() {
            // Nobody may wait for it.
            let _ = done.send(how);
        }
    }
}

fn write(file: &File, bytes: &[u8], at: Option<u64>) -> io::Result<usize> {
    match at {
        Some(at) => file.write_at(bytes, at),
        None => Ok(pwritev2(file, &[IoSlice::new(bytes)], 0, ReadWriteFlags::APPEND)?),
    }
}

impl<D> StreamConsumer<D> for Writer {
    type Item = u8;

    fn poll_consume(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        store: StoreContextMut<'_, D>,
        source: Source<'_, u8>,
        _: bool,
    ) -> Poll<wasmtime::Result<StreamResult>> {
        let mut source = source.as_direct(store);
        let me = &mut *self;
        if me.task.is_none() {
            let bytes = source.remaining();
            let bytes = bytes[..bytes.len().min(PIECE)].to_vec();
            let from = me.at.map_or(From::End, From::At);
            let Some(Ok(change)) = me.ledger.write(me.id, from, bytes.len() as u64) else {
                me.close(Err(ErrorCode::InsufficientSpace));
                return Poll::Ready(Ok(StreamResult::Dropped));
            };
            let (file, at) = (me.file.clone(), me.at);
            let task = tokio::task::spawn_blocking(move || write(&file, &bytes, at));
            me.task = Some((change, task));
        }
        let Some((_, task)) = &mut me.task else { return Poll::Pending };
        // A write that was begun is waited for, also by who would rather not: it cannot be taken back.
        let written = ready!(Pin::new(task).poll(cx));
        if let Some((change, _)) = me.task.take() {
            change.done(length(&me.file));
        }
        match written.unwrap_or_else(|error| Err(io::Error::other(error))) {
            Ok(count) => {
                source.mark_read(count);
                me.at = me.at.map(|at| at.saturating_add(count as u64));
                Poll::Ready(Ok(StreamResult::Completed))
            }
            Err(error) => {
                me.close(Err(error.into()));
                Poll::Ready(Ok(StreamResult::Dropped))
            }
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.close(Ok(()));
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

/// Writes the stream, if it is for a file of the scratch directory that may be written to.
fn via_stream(
    store: &mut Store<'_>,
    fd: &Fd,
    data: StreamReader<u8>,
    at: Option<u64>,
) -> wasmtime::Result<Result<Written, StreamReader<u8>>> {
    let Some((file, id, ledger)) = scratch_file(store.data_mut(), fd) else {
        return Ok(Err(data));
    };
    let (done, wait) = oneshot::channel();
    let writer = Writer { file, id, ledger, at, task: None, done: Some(done) };
    data.pipe(&mut *store, writer)?;
    Ok(Ok(FutureReader::new(&mut *store, wait)?))
}

fn lengths(linker: &mut Linker<ComponentGuest>) -> wasmtime::Result<()> {
    let mut types = linker.instance(TYPES)?;
    types.func_wrap(
        "[method]descriptor.write-via-stream",
        |mut store: Store<'_>, (fd, data, offset): (Fd, StreamReader<u8>, Filesize)| {
            match via_stream(&mut store, &fd, data, Some(offset))? {
                Ok(written) => Ok((written,)),
                Err(data) => {
                    let access = wasmtime::component::Access::<_, WasiFilesystem>::new(
                        store,
                        ComponentGuest::filesystem,
                    );
                    Ok((<WasiFilesystem as Plain<_>>::write_via_stream(access, fd, data, offset)?,))
                }
            }
        },
    )?;
    types.func_wrap(
        "[method]descriptor.append-via-stream",
        |mut store: Store<'_>, (fd, data): (Fd, StreamReader<u8>)| match via_stream(
            &mut store, &fd, data, None,
        )? {
            Ok(written) => Ok((written,)),
            Err(data) => {
                let access = wasmtime::component::Access::<_, WasiFilesystem>::new(
                    store,
                    ComponentGuest::filesystem,
                );
                Ok((<WasiFilesystem as Plain<_>>::append_via_stream(access, fd, data)?,))
            }
        },
    )?;
    types.func_wrap_concurrent(
        "[method]descriptor.set-size",
        |caller: &Caller, (fd, size): (Fd, Filesize)| {
            Box::pin(async move {
                let held = caller.with(|mut access| scratch_file(access.data_mut(), &fd));
                let change = held.as_ref().and_then(|(_, id, ledger)| ledger.resize(*id, size));
                let Ok(change) = change.transpose() else {
                    return refused(ErrorCode::InsufficientSpace);
                };
                let plain = caller.with_getter::<WasiFilesystem>(ComponentGuest::filesystem);
                let done = <WasiFilesystem as Plain<_>>::set_size(&plain, fd, size).await;
                if let (Some(change), Some((file, ..))) = (change, held) {
                    change.done(length(&file));
                }
                answer(done)
            })
        },
    )
}

fn names(linker: &mut Linker<ComponentGuest>) -> wasmtime::Result<()> {
    let mut types = linker.instance(TYPES)?;
    types.func_wrap_concurrent(
        "[method]descriptor.open-at",
        |caller: &Caller,
         (fd, follow, path, open, flags): (Fd, PathFlags, String, OpenFlags, DescriptorFlags)| {
            Box::pin(async move {
                let plain = caller.with_getter::<WasiFilesystem>(ComponentGuest::filesystem);
                let open_at = |fd, path| {
                    <WasiFilesystem as Plain<_>>::open_at(&plain, fd, follow, path, open, flags)
                };
                let Some((dir, ledger)) = dir_of(caller, &fd) else {
                    return answer(open_at(fd, path).await);
                };
                let _turn = ledger.names.lock().await;
                // A link that leads to nothing becomes a file, too.
                let made = open.contains(OpenFlags::CREATE)
                    && statat(&dir, Path::new(&path), AtFlags::empty()).is_err();
                if made && ledger.name().is_err() {
                    return refused(ErrorCode::InsufficientSpace);
                }
                let opened = open_at(fd, path).await;
                if opened.is_err() && made {
                    ledger.unname();
                }
                if let Ok(opened) = &opened {
                    caller.with(|mut access| {
                        register(&ledger, access.data_mut().filesystem().table, opened);
                    });
                }
                answer(opened)
            })
        },
    )?;
    types.func_wrap_concurrent(
        "[method]descriptor.create-directory-at",
        |caller: &Caller, (fd, path): (Fd, String)| {
            Box::pin(async move {
                let plain = caller.with_getter::<WasiFilesystem>(ComponentGuest::filesystem);
                let create =
                    |fd, path| <WasiFilesystem as Plain<_>>::create_directory_at(&plain, fd, path);
                let Some((_, ledger)) = dir_of(caller, &fd) else {
                    return answer(create(fd, path).await);
                };
                let _turn = ledger.names.lock().await;
                if ledger.name().is_err() {
                    return refused(ErrorCode::InsufficientSpace);
                }
                let done = create(fd, path).await;
                if done.is_err() {
                    ledger.unname();
                }
                answer(done)
            })
        },
    )?;
    types.func_wrap_concurrent(
        "[method]descriptor.symlink-at",
        |caller: &Caller, (fd, to, path): (Fd, String, String)| {
            Box::pin(async move {
                let plain = caller.with_getter::<WasiFilesystem>(ComponentGuest::filesystem);
                let link = |fd| <WasiFilesystem as Plain<_>>::symlink_at(&plain, fd, to, path);
                let Some((_, ledger)) = dir_of(caller, &fd) else {
                    return answer(link(fd).await);
                };
                let _turn = ledger.names.lock().await;
                if ledger.name().is_err() {
                    return refused(ErrorCode::InsufficientSpace);
                }
                let done = link(fd).await;
                if done.is_err() {
                    ledger.unname();
                }
                answer(done)
            })
        },
    )?;
    types.func_wrap_concurrent(
        "[method]descriptor.link-at",
        |caller: &Caller,
         (fd, follow, path, new_fd, new_path): (Fd, PathFlags, String, Fd, String)| {
            Box::pin(async move {
                let (from, to) = (dir_of(caller, &fd), dir_of(caller, &new_fd));
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
                let plain = caller.with_getter::<WasiFilesystem>(ComponentGuest::filesystem);
                let done = <WasiFilesystem as Plain<_>>::link_at(
                    &plain, fd, follow, path, new_fd, new_path,
                )
                .await;
                if let (Some(ledger), true) = (&ledger, done.is_err()) {
                    ledger.unname();
                }
                answer(done)
            })
        },
    )?;
    types.func_wrap_concurrent(
        "[method]descriptor.rename-at",
        |caller: &Caller, (fd, path, new_fd, new_path): (Fd, String, Fd, String)| {
            Box::pin(async move {
                let plain = caller.with_getter::<WasiFilesystem>(ComponentGuest::filesystem);
                let (from, to) = (dir_of(caller, &fd), dir_of(caller, &new_fd));
                let rename = |path, new_path| {
                    <WasiFilesystem as Plain<_>>::rename_at(&plain, fd, path, new_fd, new_path)
                };
                let (Some((dir, _)), Some((new_dir, ledger))) = (&from, &to) else {
                    if from.is_some() != to.is_some() {
                        return refused(ErrorCode::CrossDevice);
                    }
                    return answer(rename(path, new_path).await);
                };
                let _turn = ledger.names.lock().await;
                let (moved, replaced) = (named(dir, &path), named(new_dir, &new_path));
                let done = rename(path, new_path).await;
                if done.is_ok() {
                    replace(ledger, moved, replaced);
                }
                answer(done)
            })
        },
    )?;
    types.func_wrap_concurrent(
        "[method]descriptor.unlink-file-at",
        |caller: &Caller, (fd, path): (Fd, String)| {
            Box::pin(async move {
                let plain = caller.with_getter::<WasiFilesystem>(ComponentGuest::filesystem);
                let unlink =
                    |fd, path| <WasiFilesystem as Plain<_>>::unlink_file_at(&plain, fd, path);
                let Some((dir, ledger)) = dir_of(caller, &fd) else {
                    return answer(unlink(fd, path).await);
                };
                let _turn = ledger.names.lock().await;
                let removed = named(&dir, &path);
                let done = unlink(fd, path).await;
                if let (Ok(()), Some(removed)) = (&done, removed) {
                    ledger.removed(removed.id, removed.links);
                }
                answer(done)
            })
        },
    )?;
    types.func_wrap_concurrent(
        "[method]descriptor.remove-directory-at",
        |caller: &Caller, (fd, path): (Fd, String)| {
            Box::pin(async move {
                let plain = caller.with_getter::<WasiFilesystem>(ComponentGuest::filesystem);
                let remove =
                    |fd, path| <WasiFilesystem as Plain<_>>::remove_directory_at(&plain, fd, path);
                let Some((dir, ledger)) = dir_of(caller, &fd) else {
                    return answer(remove(fd, path).await);
                };
                let _turn = ledger.names.lock().await;
                let removed = named(&dir, &path);
                let done = remove(fd, path).await;
                if let (Ok(()), Some(removed)) = (&done, removed) {
                    ledger.removed_dir(removed.id);
                }
                answer(done)
            })
        },
    )
}
