//! WASI 0.1: what changes lengths and names, around Wasmtime's own.
//!
//! A module's descriptors are Wasmtime's affair, so those that lead into the scratch directory are followed here by
//! their numbers: from the one that it is given on, through each that it opens from there.

use std::{collections::HashMap, sync::Arc};

use wasmtime::Linker;
use wasmtime_wasi::p1::{
    WasiP1Ctx,
    types::{self, Errno, Fdflags, Filetype, Lookupflags, Oflags},
    wasi_snapshot_preview1::{self as preview1, WasiSnapshotPreview1},
};
use wiggle::{GuestMemory, GuestPtr};

use super::ledger::{Change, From, Full, Id, Ledger};
use crate::{
    guest::ModuleGuest,
    preview1::{MODULE, enter_with},
};

/// What an instance of a module has open of its scratch directory.
#[derive(Debug)]
pub(crate) struct ModuleScratch {
    ledger: Arc<Ledger>,
    open: HashMap<u32, Open>,
}

#[derive(Debug)]
enum Open {
    Dir,
    File {
        id: Id,
        /// Shows the ledger that it is open.
        #[expect(dead_code, reason = "being there is all it does")]
        by: Arc<()>,
    },
}

type Done = wasmtime::Result<i32>;

const NO_SPACE: i32 = Errno::Nospc as i32;
/// As between two file systems, each with its own room.
const CROSS_DEVICE: i32 = Errno::Xdev as i32;

/// Something with a name.
struct Named {
    id: Id,
    links: u64,
    is_dir: bool,
}

impl ModuleScratch {
    pub(super) fn new(ledger: Arc<Ledger>, root: u32) -> Self {
        Self { ledger, open: HashMap::from([(root, Open::Dir)]) }
    }

    fn is_dir(&self, fd: i32) -> bool {
        matches!(self.open.get(&fd.cast_unsigned()), Some(Open::Dir))
    }

    fn file(&self, fd: i32) -> Option<Id> {
        match self.open.get(&fd.cast_unsigned())? {
            Open::File { id, .. } => Some(*id),
            Open::Dir => None,
        }
    }

    fn write(&self, fd: i32, from: From, bytes: u64) -> Result<Option<Change>, Full> {
        let Some(id) = self.file(fd) else { return Ok(None) };
        self.ledger.write(id, from, bytes).transpose()
    }
}

/// How many bytes a write of these vectors is of: Wasmtime writes the first that has any.
fn bytes(memory: &GuestMemory<'_>, vectors: i32, count: i32) -> u64 {
    (0..count.cast_unsigned())
        .map_while(|nth| {
            let at = vectors.cast_unsigned().checked_add(nth.checked_mul(8)?)?.checked_add(4)?;
            memory.read(GuestPtr::<u32>::new(at)).ok()
        })
        .find(|length| *length > 0)
        .map_or(0, u64::from)
}

fn path(at: i32, length: i32) -> GuestPtr<str> {
    GuestPtr::new((at.cast_unsigned(), length.cast_unsigned()))
}

/// The length of a file, if that can be known.
async fn length(wasi: &mut WasiP1Ctx, memory: &mut GuestMemory<'_>, fd: i32) -> Option<u64> {
    let stat = WasiSnapshotPreview1::fd_filestat_get(wasi, memory, fd.into()).await;
    stat.ok().map(|stat| stat.size)
}

fn id(stat: &types::Filestat) -> Id {
    (0, stat.ino)
}

/// What a path leads to, links not followed.
async fn named(
    wasi: &mut WasiP1Ctx,
    memory: &mut GuestMemory<'_>,
    fd: i32,
    path: GuestPtr<str>,
) -> Option<Named> {
    let flags = Lookupflags::empty();
    let stat = WasiSnapshotPreview1::path_filestat_get(wasi, memory, fd.into(), flags, path).await;
    let stat = stat.ok()?;
    let is_dir = stat.filetype == Filetype::Directory;
    Some(Named { id: id(&stat), links: stat.nlink, is_dir })
}

async fn settle(
    change: Option<Change>,
    wasi: &mut WasiP1Ctx,
    memory: &mut GuestMemory<'_>,
    fd: i32,
) {
    if let Some(change) = change {
        change.done(length(wasi, memory, fd).await);
    }
}

async fn fd_write(
    (wasi, scratch): (&mut WasiP1Ctx, &mut ModuleScratch),
    memory: &mut GuestMemory<'_>,
    (fd, vectors, count, result): (i32, i32, i32, i32),
) -> Done {
    let mut change = None;
    if scratch.file(fd).is_some() {
        let appends = WasiSnapshotPreview1::fd_fdstat_get(wasi, memory, fd.into()).await;
        let appends = appends.is_ok_and(|stat| stat.fs_flags.contains(Fdflags::APPEND));
        let from = match WasiSnapshotPreview1::fd_tell(wasi, memory, fd.into()) {
            Ok(at) if !appends => From::At(at),
            _ => From::End,
        };
        match scratch.write(fd, from, bytes(memory, vectors, count)) {
            Ok(charged) => change = charged,
            Err(Full) => return Ok(NO_SPACE),
        }
    }
    let done = preview1::fd_write(wasi, memory, fd, vectors, count, result).await;
    settle(change, wasi, memory, fd).await;
    done
}

async fn fd_pwrite(
    (wasi, scratch): (&mut WasiP1Ctx, &mut ModuleScratch),
    memory: &mut GuestMemory<'_>,
    (fd, vectors, count, offset, result): (i32, i32, i32, i64, i32),
) -> Done {
    let from = From::At(offset.cast_unsigned());
    let Ok(change) = scratch.write(fd, from, bytes(memory, vectors, count)) else {
        return Ok(NO_SPACE);
    };
    let done = preview1::fd_pwrite(wasi, memory, fd, vectors, count, offset, result).await;
    settle(change, wasi, memory, fd).await;
    done
}

async fn fd_filestat_set_size(
    (wasi, scratch): (&mut WasiP1Ctx, &mut ModuleScratch),
    memory: &mut GuestMemory<'_>,
    (fd, size): (i32, i64),
) -> Done {
    let change = scratch.file(fd).and_then(|id| scratch.ledger.resize(id, size.cast_unsigned()));
    let Ok(change) = change.transpose() else { return Ok(NO_SPACE) };
    let done = preview1::fd_filestat_set_size(wasi, memory, fd, size).await;
    settle(change, wasi, memory, fd).await;
    done
}

async fn path_open(
    (wasi, scratch): (&mut WasiP1Ctx, &mut ModuleScratch),
    memory: &mut GuestMemory<'_>,
    (fd, lookup, at, len, open, rights, inherited, flags, result): (
        i32,
        i32,
        i32,
        i32,
        i32,
        i64,
        i64,
        i32,
        i32,
    ),
) -> Done {
    let inside = scratch.is_dir(fd);
    let ledger = scratch.ledger.clone();
    let _turn = if inside { Some(ledger.names.lock().await) } else { None };
    let creates = inside && open & i32::from(Oflags::CREAT.bits()) != 0;
    let mut made = false;
    if creates {
        // A link that leads to nothing becomes a file, too.
        let follow = Lookupflags::SYMLINK_FOLLOW;
        let path = path(at, len);
        let there =
            WasiSnapshotPreview1::path_filestat_get(wasi, memory, fd.into(), follow, path).await;
        made = there.is_err();
        if made && ledger.name().is_err() {
            return Ok(NO_SPACE);
        }
    }
    let done = preview1::path_open(
        wasi, memory, fd, lookup, at, len, open, rights, inherited, flags, result,
    )
    .await?;
    if done != 0 {
        if made {
            ledger.unname();
        }
        return Ok(done);
    }
    let opened: u32 = memory.read(GuestPtr::new(result.cast_unsigned()))?;
    scratch.open.remove(&opened);
    if !inside {
        return Ok(done);
    }
    let stat = WasiSnapshotPreview1::fd_filestat_get(wasi, memory, opened.into()).await;
    let stat = stat.map_err(|_| wasmtime::Error::msg("a file that was just opened is gone"))?;
    let open = if stat.filetype == Filetype::Directory {
        Open::Dir
    } else {
        let by = Arc::new(());
        let weak = Arc::downgrade(&by);
        ledger.opened(id(&stat), stat.size, weak);
        Open::File { id: id(&stat), by }
    };
    scratch.open.insert(opened, open);
    Ok(done)
}

async fn fd_close(
    (wasi, scratch): (&mut WasiP1Ctx, &mut ModuleScratch),
    memory: &mut GuestMemory<'_>,
    (fd,): (i32,),
) -> Done {
    let done = preview1::fd_close(wasi, memory, fd).await?;
    if done == 0 {
        scratch.open.remove(&fd.cast_unsigned());
    }
    Ok(done)
}

async fn fd_renumber(
    (wasi, scratch): (&mut WasiP1Ctx, &mut ModuleScratch),
    memory: &mut GuestMemory<'_>,
    (fd, to): (i32, i32),
) -> Done {
    let done = preview1::fd_renumber(wasi, memory, fd, to).await?;
    if done == 0 && fd != to {
        let moved = scratch.open.remove(&fd.cast_unsigned());
        scratch.open.remove(&to.cast_unsigned());
        scratch.open.extend(moved.map(|open| (to.cast_unsigned(), open)));
    }
    Ok(done)
}

async fn path_create_directory(
    (wasi, scratch): (&mut WasiP1Ctx, &mut ModuleScratch),
    memory: &mut GuestMemory<'_>,
    (fd, at, len): (i32, i32, i32),
) -> Done {
    if !scratch.is_dir(fd) {
        return preview1::path_create_directory(wasi, memory, fd, at, len).await;
    }
    let ledger = scratch.ledger.clone();
    let _turn = ledger.names.lock().await;
    if ledger.name().is_err() {
        return Ok(NO_SPACE);
    }
    let done = preview1::path_create_directory(wasi, memory, fd, at, len).await?;
    if done != 0 {
        ledger.unname();
    }
    Ok(done)
}

async fn path_symlink(
    (wasi, scratch): (&mut WasiP1Ctx, &mut ModuleScratch),
    memory: &mut GuestMemory<'_>,
    (at, len, fd, new_at, new_len): (i32, i32, i32, i32, i32),
) -> Done {
    if !scratch.is_dir(fd) {
        return preview1::path_symlink(wasi, memory, at, len, fd, new_at, new_len).await;
    }
    let ledger = scratch.ledger.clone();
    let _turn = ledger.names.lock().await;
    if ledger.name().is_err() {
        return Ok(NO_SPACE);
    }
    let done = preview1::path_symlink(wasi, memory, at, len, fd, new_at, new_len).await?;
    if done != 0 {
        ledger.unname();
    }
    Ok(done)
}

async fn path_link(
    (wasi, scratch): (&mut WasiP1Ctx, &mut ModuleScratch),
    memory: &mut GuestMemory<'_>,
    (fd, flags, at, len, new_fd, new_at, new_len): (i32, i32, i32, i32, i32, i32, i32),
) -> Done {
    let (from, to) = (scratch.is_dir(fd), scratch.is_dir(new_fd));
    if from != to {
        return Ok(CROSS_DEVICE);
    }
    let ledger = scratch.ledger.clone();
    let _turn = ledger.names.lock().await;
    if to && ledger.name().is_err() {
        return Ok(NO_SPACE);
    }
    let done =
        preview1::path_link(wasi, memory, fd, flags, at, len, new_fd, new_at, new_len).await?;
    if done != 0 && to {
        ledger.unname();
    }
    Ok(done)
}

async fn path_rename(
    (wasi, scratch): (&mut WasiP1Ctx, &mut ModuleScratch),
    memory: &mut GuestMemory<'_>,
    (fd, at, len, new_fd, new_at, new_len): (i32, i32, i32, i32, i32, i32),
) -> Done {
    let (from, to) = (scratch.is_dir(fd), scratch.is_dir(new_fd));
    if from != to {
        return Ok(CROSS_DEVICE);
    }
    if !to {
        return preview1::path_rename(wasi, memory, fd, at, len, new_fd, new_at, new_len).await;
    }
    let ledger = scratch.ledger.clone();
    let _turn = ledger.names.lock().await;
    let moved = named(wasi, memory, fd, path(at, len)).await;
    let replaced = named(wasi, memory, new_fd, path(new_at, new_len)).await;
    let done = preview1::path_rename(wasi, memory, fd, at, len, new_fd, new_at, new_len).await?;
    // Two names of one file stay as they are.
    let same = moved.zip(replaced.as_ref()).is_some_and(|(moved, other)| moved.id == other.id);
    if let Some(replaced) = replaced
        && done == 0
        && !same
    {
        if replaced.is_dir {
            ledger.removed_dir(replaced.id);
        } else {
            ledger.removed(replaced.id, replaced.links);
        }
    }
    Ok(done)
}

async fn path_unlink_file(
    (wasi, scratch): (&mut WasiP1Ctx, &mut ModuleScratch),
    memory: &mut GuestMemory<'_>,
    (fd, at, len): (i32, i32, i32),
) -> Done {
    if !scratch.is_dir(fd) {
        return preview1::path_unlink_file(wasi, memory, fd, at, len).await;
    }
    let ledger = scratch.ledger.clone();
    let _turn = ledger.names.lock().await;
    let removed = named(wasi, memory, fd, path(at, len)).await;
    let done = preview1::path_unlink_file(wasi, memory, fd, at, len).await?;
    if let (0, Some(removed)) = (done, removed) {
        ledger.removed(removed.id, removed.links);
    }
    Ok(done)
}

async fn path_remove_directory(
    (wasi, scratch): (&mut WasiP1Ctx, &mut ModuleScratch),
    memory: &mut GuestMemory<'_>,
    (fd, at, len): (i32, i32, i32),
) -> Done {
    if !scratch.is_dir(fd) {
        return preview1::path_remove_directory(wasi, memory, fd, at, len).await;
    }
    let ledger = scratch.ledger.clone();
    let _turn = ledger.names.lock().await;
    let removed = named(wasi, memory, fd, path(at, len)).await;
    let done = preview1::path_remove_directory(wasi, memory, fd, at, len).await?;
    if let (0, Some(removed)) = (done, removed) {
        ledger.removed_dir(removed.id);
    }
    Ok(done)
}

macro_rules! metered {
    ($($name:ident($($arg:ident: $type:ty),*);)*) => {
        /// Defines one function in the place of Wasmtime's, if it is one of those.
        pub(crate) fn define(linker: &mut Linker<ModuleGuest>, name: &str) -> wasmtime::Result<()> {
            match name {
                $(stringify!($name) => {
                    linker.func_wrap_async(
                        MODULE,
                        name,
                        |mut caller: wasmtime::Caller<'_, ModuleGuest>, ($($arg,)*): ($($type,)*)| {
                            Box::new(async move {
                                let memory = caller.get_export("memory");
                                let (mut memory, guest) = enter_with(&memory, &mut caller)?;
                                match guest.metered() {
                                    Ok(both) => $name(both, &mut memory, ($($arg,)*)).await,
                                    Err(wasi) => preview1::$name(wasi, &mut memory, $($arg),*).await,
                                }
                            })
                        },
                    )?;
                })*
                _ => {}
            }
            Ok(())
        }
    };
}

metered! {
    fd_close(fd: i32);
    fd_filestat_set_size(fd: i32, size: i64);
    fd_pwrite(fd: i32, vectors: i32, count: i32, offset: i64, result: i32);
    fd_renumber(fd: i32, to: i32);
    fd_write(fd: i32, vectors: i32, count: i32, result: i32);
    path_create_directory(fd: i32, path: i32, length: i32);
    path_link(
        fd: i32, flags: i32, path: i32, length: i32, new_fd: i32, new_path: i32, new_length: i32
    );
    path_open(
        fd: i32, lookup: i32, path: i32, length: i32, open: i32, rights: i64, inherited: i64,
        flags: i32, result: i32
    );
    path_remove_directory(fd: i32, path: i32, length: i32);
    path_rename(fd: i32, path: i32, length: i32, new_fd: i32, new_path: i32, new_length: i32);
    path_symlink(path: i32, length: i32, fd: i32, new_path: i32, new_length: i32);
    path_unlink_file(fd: i32, path: i32, length: i32);
}
