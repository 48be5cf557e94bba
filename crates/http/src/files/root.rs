//! The folder that files are served from, and nothing outside it.

use std::fs::File;
use std::io;
use std::path::Path;

use cap_std::fs::{Dir, OpenOptions, OpenOptionsExt};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, ResolveFlags, StatxFlags};
use rustix::io::Errno;

/// Whether the disk may be waited for. Where it may not, whatever the kernel does not have in memory
/// is [`io::ErrorKind::WouldBlock`], to be asked again on a thread that may wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wait {
    No,
    Yes,
}

/// Opened without waiting for a writer, should it be a named pipe.
const FLAGS: OFlags = OFlags::NONBLOCK.union(OFlags::NOCTTY).union(OFlags::CLOEXEC);

/// Every path is resolved below the folder, by the kernel or step by step: neither `..` nor links
/// lead out of it, also while somebody moves folders about.
#[derive(Debug)]
pub(super) struct Root {
    dir: Dir,
}

/// What a path is of.
#[derive(Debug)]
pub(super) enum Entry {
    File(Opened),
    Folder,
    /// A device, a socket, a pipe.
    Other,
}

/// A file that was opened.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) file: File,
    pub(super) length: u64,
    /// The time of its last change: seconds since 1970, nanoseconds.
    pub(super) modified: (i64, u32),
}

impl Root {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        Ok(Self { dir: Dir::open_ambient_dir(path, cap_std::ambient_authority())? })
    }

    pub(super) fn dir(&self) -> &Dir {
        &self.dir
    }

    /// Opens what is at `path`, empty for the folder itself.
    pub(super) fn look(&self, path: &Path, wait: Wait) -> io::Result<Entry> {
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        match wait {
            Wait::Yes => {
                let mut options = OpenOptions::new();
                options.read(true).custom_flags(FLAGS.bits().cast_signed());
                entry(self.dir.open_with(path, &options)?.into_std(), wait)
            }
            Wait::No => {
                let flags = OFlags::RDONLY | FLAGS;
                let resolve =
                    ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS | ResolveFlags::CACHED;
                let opened = rustix::fs::openat2(&self.dir, path, flags, Mode::empty(), resolve);
                entry(opened.map_err(at_once)?.into(), wait)
            }
        }
    }
}

fn entry(file: File, wait: Wait) -> io::Result<Entry> {
    let (kind, length, modified) = match wait {
        Wait::Yes => {
            let stat = rustix::fs::fstat(&file)?;
            let modified = (stat.st_mtime, u32::try_from(stat.st_mtime_nsec).unwrap_or(0));
            (stat.st_mode, stat.st_size.cast_unsigned(), modified)
        }
        Wait::No => {
            // What is known of it, without asking a server.
            let flags = AtFlags::EMPTY_PATH | AtFlags::STATX_DONT_SYNC;
            let stat = rustix::fs::statx(&file, "", flags, StatxFlags::BASIC_STATS)
                .map_err(|_| io::Error::from(io::ErrorKind::WouldBlock))?;
            let modified = (stat.stx_mtime.tv_sec, stat.stx_mtime.tv_nsec);
            (stat.stx_mode.into(), stat.stx_size, modified)
        }
    };
    Ok(match FileType::from_raw_mode(kind) {
        FileType::RegularFile => Entry::File(Opened { file, length, modified }),
        FileType::Directory => Entry::Folder,
        _ => Entry::Other,
    })
}

/// What is an answer already when the kernel was not to wait; anything else (it would have had to,
/// or it is too old to be asked so) is to be asked again.
fn at_once(error: Errno) -> io::Error {
    match error {
        Errno::NOENT | Errno::NOTDIR | Errno::XDEV | Errno::LOOP | Errno::NAMETOOLONG => {
            error.into()
        }
        _ => io::ErrorKind::WouldBlock.into(),
    }
}

/// Whether an error says that there is nothing here for clients.
pub(super) fn is_missing(error: &io::Error) -> bool {
    // cap-std says with its own error, of the same kind, that a path leads out of the folder.
    error.kind() == io::ErrorKind::PermissionDenied
        || matches!(
            Errno::from_io_error(error),
            Some(
                Errno::NOENT
                    | Errno::NOTDIR
                    | Errno::XDEV
                    | Errno::LOOP
                    | Errno::NAMETOOLONG
                    | Errno::NXIO
                    | Errno::INVAL
            )
        )
}

/// Reads at most `length` bytes at `at`, of a file that may be shorter.
pub(super) fn read(file: &File, at: u64, length: usize, wait: Wait) -> io::Result<Vec<u8>> {
    use std::os::unix::fs::FileExt;
    let mut buffer = vec![0; length];
    let read = match wait {
        Wait::Yes => file.read_at(&mut buffer, at)?,
        Wait::No => {
            let slices = &mut [io::IoSliceMut::new(&mut buffer)];
            rustix::io::preadv2(file, slices, at, rustix::io::ReadWriteFlags::NOWAIT)
                .map_err(|_| io::Error::from(io::ErrorKind::WouldBlock))?
        }
    };
    buffer.truncate(read);
    Ok(buffer)
}

#[cfg(test)]
mod tests;
