//! A folder with a file for each value.

use std::{
    io,
    path::{Path, PathBuf},
};

use async_trait::async_trait;
use cap_std::fs::{Dir, MetadataExt as _, OpenOptions, OpenOptionsExt as _};
use reef_capability::Failure;
use rustix::io::Errno;

use super::{FLAGS, aside, contents, unreadable};
use crate::{Keys, LARGEST, MOST, Source, Value, few};

/// Where Kubernetes keeps the files of the moment.
const DATA: &str = "..data";
/// What Kubernetes keeps for itself begins with this.
const HIDDEN: &str = "..";
/// How often a folder is read again that changed while it was read.
const TRIES: usize = 5;

#[derive(Debug)]
pub(super) struct Folder {
    pub(super) path: PathBuf,
    /// Whether a file's last line end is none of its value.
    pub(super) trim: bool,
}

#[async_trait]
impl Source for Folder {
    async fn get(&self, name: &str) -> Result<Option<Value>, Failure> {
        if name.contains('/') || name.starts_with(HIDDEN) || name == "." {
            return Ok(None);
        }
        let (path, trim, name) = (self.path.clone(), self.trim, name.to_owned());
        aside(move || read(&dir(&path)?, &path, &name, trim)).await
    }

    async fn all(&self, granted: &Keys) -> Result<Vec<(String, Value)>, Failure> {
        let (path, trim, granted) = (self.path.clone(), self.trim, granted.clone());
        aside(move || {
            for _ in 0..TRIES {
                if let Some(all) = read_all(&path, trim, &granted)? {
                    return Ok(all);
                }
            }
            Err(Failure::unreachable(format!("{} changes all the time", path.display())))
        })
        .await
    }
}

fn dir(path: &Path) -> Result<Dir, Failure> {
    let opened = Dir::open_ambient_dir(path, cap_std::ambient_authority());
    opened.map_err(|error| unreadable(path, &error))
}

/// Every value; nothing if the folder changed meanwhile.
fn read_all(
    path: &Path,
    trim: bool,
    granted: &Keys,
) -> Result<Option<Vec<(String, Value)>>, Failure> {
    let mount = dir(path)?;
    let unreadable = |error: io::Error| unreadable(path, &error);
    let snapshot = match mount.open_dir(DATA) {
        Ok(data) => Some(data),
        // Removed between its link and itself: there is another one by now.
        Err(error) if is_missing(&error) && !is_gone(&mount, DATA) => return Ok(None),
        Err(error) if is_missing(&error) => None,
        Err(error) => return Err(unreadable(error)),
    };
    let folder = snapshot.as_ref().unwrap_or(&mount);
    let (mut values, mut bytes) = (Vec::new(), 0);
    for entry in folder.entries().map_err(unreadable)? {
        let name = entry.map_err(unreadable)?.file_name();
        let Some(name) = name.to_str() else { continue };
        if name.starts_with(HIDDEN) || !granted.grants(name) {
            continue;
        }
        if let Some(value) = read(folder, path, name, trim)? {
            bytes += value.len();
            values.push((name.to_owned(), value));
        }
        if values.len() > MOST || bytes > LARGEST {
            few(&values, &path.display().to_string())?;
        }
    }
    // Files are removed one by one from what was replaced: what was read of it may be a part.
    match &snapshot {
        Some(data) if !is_there(&mount, data).map_err(unreadable)? => Ok(None),
        _ => Ok(Some(values)),
    }
}

/// Whether the link of a mounted folder still leads to these files. Nothing else can have their number while they are
/// open.
fn is_there(mount: &Dir, data: &Dir) -> io::Result<bool> {
    let read = data.dir_metadata()?;
    match mount.metadata(DATA) {
        Ok(now) => Ok((now.dev(), now.ino()) == (read.dev(), read.ino())),
        Err(error) if is_missing(&error) => Ok(false),
        Err(error) => Err(error),
    }
}

fn is_gone(folder: &Dir, name: &str) -> bool {
    folder.symlink_metadata(name).is_err_and(|error| is_missing(&error))
}

/// The value of a name. Links may lead to other files of the folder, and nowhere else.
fn read(folder: &Dir, path: &Path, name: &str, trim: bool) -> Result<Option<Value>, Failure> {
    let mut options = OpenOptions::new();
    options.read(true).custom_flags(FLAGS.bits().cast_signed());
    let file = match folder.open_with(name, &options) {
        Ok(file) => file.into_std(),
        Err(error) if is_missing(&error) => return Ok(None),
        Err(error) => return Err(unreadable(&path.join(name), &error)),
    };
    let Some(mut bytes) = contents(file, &path.join(name))? else { return Ok(None) };
    if trim && bytes.last() == Some(&b'\n') {
        bytes.pop();
        if bytes.last() == Some(&b'\r') {
            bytes.pop();
        }
    }
    Ok(Some(std::mem::take(&mut *bytes).into()))
}

fn is_missing(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound
        || matches!(
            Errno::from_io_error(error),
            Some(Errno::NOTDIR | Errno::NAMETOOLONG | Errno::NXIO | Errno::INVAL)
        )
}
