//! The folders that containers are, one component below the root, and what is done in them. All of it waits for
//! the disk.
//!
//! What is acknowledged is on the disk: the bytes of a file before it gets its name, and the name before the call
//! returns. An upload has no name at all until it is finished, so that nothing of it survives its process, where
//! the file system can do that; elsewhere it has a name that begins with `.partial-`.
//!
//! A container that is deleted is renamed first, under its exclusive lock: whoever puts an object into it holds
//! the shared one, so that an object which was acknowledged is never in a folder that is gone by then. The locks
//! are the kernel's and hold between processes too.

use std::{
    fs::File,
    os::{fd::OwnedFd, unix::fs::FileExt as _},
    path::Path,
    time::{Duration, SystemTime},
};

use reef_capability::Failure;
use rustix::{
    fs::{
        AtFlags, CWD, Dir, FileType, FlockOperation, Mode, OFlags, Stat, StatxFlags, flock, fstat,
        fsync, linkat, mkdirat, openat, renameat, statat, statx, unlinkat,
    },
    io::Errno,
};

use crate::component;
use crate::store::{
    CHUNK, CONTAINER, ContainerInfo, OBJECT, ObjectInfo, PAGE, Removed, container_exists,
    no_container, no_object,
};

/// What an upload is called until it is finished, where it needs a name.
const PARTIAL: &str = ".partial-";
/// What a container is called while it is being removed.
const DELETED: &str = ".deleted-";
/// How long something with such a name was left alone before it is taken to be forgotten.
const FORGOTTEN: Duration = Duration::from_secs(3600);
/// Bytes that are handed to the disk at once, so that the end of an upload does not wait for all of it.
const SYNC_EVERY: u64 = 64 << 20;
/// Entries that one call of a removal removes at most.
const REMOVALS: usize = 10_000;

const FOLDER: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// The folder of all containers.
#[derive(Debug)]
pub(super) struct Root(OwnedFd);

/// A container's folder.
#[derive(Debug)]
pub(super) struct Folder {
    fd: OwnedFd,
    /// What it is called in the root.
    file: String,
}

/// A file that is being written.
#[derive(Debug)]
pub(super) struct Partial {
    folder: Folder,
    file: File,
    /// What it is called until it is finished, if it has to be called something.
    called: Option<String>,
    written: u64,
    synced: u64,
}

impl Root {
    /// Opens the folder; it and those above it are made where they are missing.
    pub(super) fn open(path: &Path) -> std::io::Result<Self> {
        let missing = path.ancestors().take_while(|above| !above.exists());
        // What is made has to survive, and so the entry of each in the one above.
        let changed: Vec<_> = missing.filter_map(Path::parent).collect();
        std::fs::create_dir_all(path)?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        for folder in changed {
            let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
            fsync(openat(CWD, folder, flags, Mode::empty())?)?;
        }
        let root = Self(openat(CWD, path, flags, Mode::empty())?);
        Ok(root)
    }

    pub(super) fn create(&self, container: &str) -> Result<(), Failure> {
        let file = component::encode(CONTAINER, container)?;
        mkdirat(&self.0, &file, Mode::from_raw_mode(0o700)).map_err(|error| match error {
            Errno::EXIST => container_exists(container),
            other => failed(other),
        })?;
        fsync(&self.0).map_err(failed)
    }

    pub(super) fn folder(&self, container: &str) -> Result<Folder, Failure> {
        let file = component::encode(CONTAINER, container)?;
        match openat(&self.0, &file, FOLDER, Mode::empty()) {
            Ok(fd) => Ok(Folder { fd, file }),
            Err(Errno::NOENT) => Err(no_container(container)),
            Err(Errno::NOTDIR | Errno::LOOP) => {
                Err(Failure::Backend(format!("`{file}` in the store's root is no folder")))
            }
            Err(other) => Err(failed(other)),
        }
    }

    /// Takes a container out of sight. What is left of it is [`sweep`](Self::sweep)'s.
    pub(super) fn delete(&self, container: &str) -> Result<(), Failure> {
        let folder = self.folder(container)?;
        flock(&folder.fd, FlockOperation::LockExclusive).map_err(failed)?;
        self.still(&folder, container)?;
        renameat(&self.0, &folder.file, &self.0, unique(DELETED)).map_err(failed)?;
        fsync(&self.0).map_err(failed)
    }

    /// Removes what deleted containers and ended processes left. Others that use the same folder may be at the
    /// same, or in the middle of an upload: what changed lately is left alone, unless it is a deleted container.
    pub(super) fn sweep(&self) {
        let Ok(all) = Dir::read_from(&self.0) else { return };
        for entry in all.flatten() {
            let file = entry.file_name();
            let Ok(fd) = openat(&self.0, file, FOLDER, Mode::empty()) else { continue };
            let deleted = file.to_bytes().starts_with(DELETED.as_bytes());
            let Ok(entries) = Dir::read_from(&fd) else { continue };
            for entry in entries.flatten() {
                let partial = entry.file_name().to_bytes().starts_with(PARTIAL.as_bytes());
                if deleted || (partial && forgotten(&fd, entry.file_name())) {
                    let _ = unlinkat(&fd, entry.file_name(), AtFlags::empty());
                }
            }
            if deleted {
                let _ = unlinkat(&self.0, file, AtFlags::REMOVEDIR);
            }
        }
    }

    /// Waits for nobody to be deleting the container, and keeps it from being deleted for as long as the folder
    /// is open.
    fn keep(&self, folder: &Folder) -> Result<(), Failure> {
        flock(&folder.fd, FlockOperation::LockShared).map_err(failed)?;
        self.still(folder, &component::decode(folder.file.as_bytes()).unwrap_or_default())
    }

    /// Whether what is called so is still this folder.
    fn still(&self, folder: &Folder, container: &str) -> Result<(), Failure> {
        let is = fstat(&folder.fd).map_err(failed)?;
        match statat(&self.0, &folder.file, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(named) if (named.st_dev, named.st_ino) == (is.st_dev, is.st_ino) => Ok(()),
            Ok(_) | Err(Errno::NOENT) => Err(no_container(container)),
            Err(other) => Err(failed(other)),
        }
    }

    /// Moves an object from one folder to another, or within one.
    pub(super) fn rename(
        &self,
        (from, object): (&Folder, &str),
        (to, name): (&Folder, &str),
    ) -> Result<(), Failure> {
        self.keep(to)?;
        let (old, new) = (component::encode(OBJECT, object)?, component::encode(OBJECT, name)?);
        from.info(object)?;
        match renameat(&from.fd, &old, &to.fd, &new) {
            Ok(()) => {}
            Err(Errno::NOENT) => return Err(no_object(object)),
            Err(other) => return Err(failed(other)),
        }
        // Where it is, before where it was: a power cut may leave it in both places, and never in none.
        fsync(&to.fd).map_err(failed)?;
        fsync(&from.fd).map_err(failed)
    }

    /// Gives a written file its name, in place of one that has it.
    pub(super) fn finish(&self, mut partial: Partial, object: &str) -> Result<(), Failure> {
        let name = component::encode(OBJECT, object)?;
        partial.file.sync_all().map_err(io_failed)?;
        self.keep(&partial.folder)?;
        let folder = &partial.folder.fd;
        if partial.called.is_none() {
            let called = unique(PARTIAL);
            linkat(CWD, link_of(&partial.file), folder, &called, AtFlags::SYMLINK_FOLLOW)
                .map_err(failed)?;
            partial.called = Some(called);
        }
        let called = partial.called.as_deref().unwrap_or_default();
        renameat(folder, called, folder, name).map_err(failed)?;
        let done = fsync(folder).map_err(failed);
        partial.called = None;
        done
    }
}

impl Folder {
    pub(super) fn container_info(&self) -> Result<ContainerInfo, Failure> {
        let stat = statx(&self.fd, "", AtFlags::EMPTY_PATH, StatxFlags::BTIME).map_err(failed)?;
        let known = StatxFlags::from_bits_retain(stat.stx_mask).contains(StatxFlags::BTIME);
        let created = known.then(|| time(stat.stx_btime.tv_sec, stat.stx_btime.tv_nsec.into()));
        Ok(ContainerInfo { created: created.flatten() })
    }

    pub(super) fn open(&self, object: &str) -> Result<(File, ObjectInfo), Failure> {
        // Should it be a named pipe, then without waiting for its writer.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let name = component::encode(OBJECT, object)?;
        let fd = openat(&self.fd, name, flags, Mode::empty()).map_err(|error| match error {
            Errno::NOENT | Errno::LOOP | Errno::NXIO => no_object(object),
            other => failed(other),
        })?;
        let info = info(&fstat(&fd).map_err(failed)?, object)?;
        Ok((fd.into(), info))
    }

    pub(super) fn info(&self, object: &str) -> Result<ObjectInfo, Failure> {
        let name = component::encode(OBJECT, object)?;
        match statat(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => info(&stat, object),
            Err(Errno::NOENT) => Err(no_object(object)),
            Err(other) => Err(failed(other)),
        }
    }

    pub(super) fn begin(self) -> Result<Partial, Failure> {
        let flags = OFlags::WRONLY | OFlags::CLOEXEC;
        let mode = Mode::from_raw_mode(0o600);
        let (fd, called) = match openat(&self.fd, ".", flags | OFlags::TMPFILE, mode) {
            Ok(fd) if rustix::fs::access("/proc/self/fd", rustix::fs::Access::EXISTS).is_ok() => {
                (fd, None)
            }
            // Not every file system has files without a name, and not every place has /proc to name them later.
            Ok(_) | Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::NOENT | Errno::INVAL) => {
                let called = unique(PARTIAL);
                let flags = flags | OFlags::CREATE | OFlags::EXCL;
                (openat(&self.fd, &called, flags, mode).map_err(failed)?, Some(called))
            }
            Err(other) => return Err(failed(other)),
        };
        Ok(Partial { folder: self, file: fd.into(), called, written: 0, synced: 0 })
    }

    pub(super) fn delete(&self, objects: &[String]) -> Result<(), Failure> {
        let mut gone = false;
        for object in objects {
            let Ok(name) = component::encode(OBJECT, object) else { continue };
            match unlinkat(&self.fd, name, AtFlags::empty()) {
                Ok(()) => gone = true,
                Err(Errno::NOENT | Errno::ISDIR) => {}
                Err(other) => return Err(failed(other)),
            }
        }
        if gone { fsync(&self.fd).map_err(failed) } else { Ok(()) }
    }

    pub(super) fn clear(&self) -> Result<Removed, Failure> {
        let mut removed = 0;
        for entry in Dir::read_from(&self.fd).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let file = entry.file_name();
            if component::decode(file.to_bytes()).is_none() {
                continue;
            }
            if removed == REMOVALS {
                fsync(&self.fd).map_err(failed)?;
                return Ok(Removed::Some);
            }
            match unlinkat(&self.fd, file, AtFlags::empty()) {
                Ok(()) => removed += 1,
                Err(Errno::NOENT | Errno::ISDIR) => {}
                Err(other) => return Err(failed(other)),
            }
        }
        fsync(&self.fd).map_err(failed)?;
        Ok(Removed::All)
    }

    /// All its entries, from the first.
    pub(super) fn entries(&self) -> Result<Dir, Failure> {
        Dir::read_from(&self.fd).map_err(failed)
    }
}

/// The next names of objects; none at the end.
pub(super) fn page(entries: &mut Dir) -> Result<Vec<String>, Failure> {
    let mut names = Vec::new();
    while names.len() < PAGE
        && let Some(entry) = entries.next()
    {
        let entry = entry.map_err(failed)?;
        if matches!(entry.file_type(), FileType::RegularFile | FileType::Unknown) {
            names.extend(component::decode(entry.file_name().to_bytes()));
        }
    }
    Ok(names)
}

/// Bytes of the next piece, of so many.
pub(super) fn piece(most: u64) -> usize {
    usize::try_from(most).unwrap_or(CHUNK).min(CHUNK)
}

/// The next bytes of a file, as many as there are and as the piece has room for.
pub(super) fn read(file: &File, at: u64, piece: &mut Vec<u8>) -> Result<(), Failure> {
    while piece.len() < piece.capacity() {
        let next = at + piece.len() as u64;
        match rustix::io::pread(file, rustix::buffer::spare_capacity(piece), next) {
            Ok(0) => break,
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(failed(error)),
        }
    }
    Ok(())
}

impl Partial {
    pub(super) fn write(&mut self, piece: &[u8]) -> Result<(), Failure> {
        self.file.write_all_at(piece, self.written).map_err(io_failed)?;
        self.written += piece.len() as u64;
        if self.written - self.synced >= SYNC_EVERY {
            self.file.sync_data().map_err(io_failed)?;
            self.synced = self.written;
        }
        Ok(())
    }

    /// Appends a whole file.
    pub(super) fn copy(&mut self, from: &File, size: u64) -> Result<(), Failure> {
        let mut read = 0;
        while read < size {
            // By the kernel, which may share the blocks; in steps, so that the end does not wait for all.
            let most = usize::try_from((size - read).min(SYNC_EVERY)).unwrap_or(CHUNK);
            let mut to = self.written;
            match rustix::fs::copy_file_range(
                from,
                Some(&mut read),
                &self.file,
                Some(&mut to),
                most,
            ) {
                Ok(0) => break,
                Ok(_) => self.written = to,
                Err(Errno::INTR) => {}
                Err(Errno::NOSYS | Errno::OPNOTSUPP | Errno::XDEV | Errno::INVAL) => {
                    let mut piece = Vec::with_capacity(self::piece(size - read));
                    self::read(from, read, &mut piece)?;
                    if piece.is_empty() {
                        break;
                    }
                    read += piece.len() as u64;
                    self.write(&piece)?;
                }
                Err(other) => return Err(failed(other)),
            }
            if self.written - self.synced >= SYNC_EVERY {
                self.file.sync_data().map_err(io_failed)?;
                self.synced = self.written;
            }
        }
        if read == size {
            Ok(())
        } else {
            Err(Failure::Conflict("it changed while it was copied".into()))
        }
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        if let Some(called) = &self.called {
            let _ = unlinkat(&self.folder.fd, called, AtFlags::empty());
        }
    }
}

fn info(stat: &Stat, object: &str) -> Result<ObjectInfo, Failure> {
    // Whatever else somebody put there is no object.
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(no_object(object));
    }
    let created = time(stat.st_mtime, i64::try_from(stat.st_mtime_nsec).unwrap_or(0));
    Ok(ObjectInfo { created, size: u64::try_from(stat.st_size).unwrap_or(0) })
}

fn time(seconds: i64, nanoseconds: i64) -> Option<SystemTime> {
    let since = Duration::new(seconds.try_into().ok()?, nanoseconds.try_into().ok()?);
    SystemTime::UNIX_EPOCH.checked_add(since)
}

fn forgotten(folder: &OwnedFd, file: &std::ffi::CStr) -> bool {
    let Ok(stat) = statat(folder, file, AtFlags::SYMLINK_NOFOLLOW) else { return false };
    let age = time(stat.st_mtime, 0).and_then(|time| time.elapsed().ok());
    age.is_some_and(|age| age > FORGOTTEN)
}

fn unique(prefix: &str) -> String {
    format!("{prefix}{:016x}{:016x}", fastrand::u64(..), fastrand::u64(..))
}

/// The name that the kernel has for an open file.
fn link_of(file: &File) -> String {
    use std::os::fd::AsRawFd as _;
    format!("/proc/self/fd/{}", file.as_raw_fd())
}

/// What an error of the disk is to the guest.
pub(super) fn failed(error: Errno) -> Failure {
    match error {
        Errno::NOSPC | Errno::DQUOT => Failure::Full(error.to_string()),
        Errno::FBIG => Failure::Full("the file system has no files of that size".to_owned()),
        Errno::NAMETOOLONG => Failure::Invalid("the name is too long for a file".to_owned()),
        other => Failure::Backend(other.to_string()),
    }
}

fn io_failed(error: std::io::Error) -> Failure {
    match Errno::from_io_error(&error) {
        Some(errno) => failed(errno),
        None => Failure::Backend(error.to_string()),
    }
}
