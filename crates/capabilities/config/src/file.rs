//! In files: a folder with a file for each value, as Kubernetes and Docker mount them, or one file with all of them.
//!
//! Nothing is watched: a value is read when it is asked for and what was read before is not good any more, so a change
//! costs nothing until somebody looks. A folder of Kubernetes is changed by one rename (`..data` is a link to where the
//! files are), and all of its values are read behind it, so they belong together.

mod folder;
mod format;

use std::{
    fs::File,
    io::{self, Read as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use async_trait::async_trait;
use reef_capability::{Backend, Failure, OpenError, Opening, Setting, SettingError};
use rustix::fs::OFlags;
use zeroize::Zeroizing;

use self::folder::Folder;
pub(crate) use self::format::add_json;
pub use self::format::{Fault, Format, parse};
use crate::{
    Keys, LARGEST, Source, Store, Value,
    store::{CACHE, KEYS},
};

const PATH: Setting =
    Setting::new("path", "a folder with a file for each value, or a file with all of them");
const FORMAT: Setting = Setting::new("format", "of a file: `toml`, `json` or `env`");
const TRIM: Setting =
    Setting::new("trim", "whether a file's last line end is left out, where each is a value");

pub(crate) const BACKEND: Backend<Store> = Backend {
    name: "file",
    system: "reef.file",
    settings: &[PATH, FORMAT, TRIM, KEYS, CACHE],
    private: false,
    open,
};

/// Opened without waiting for a writer, should it be a named pipe.
const FLAGS: OFlags = OFlags::NONBLOCK.union(OFlags::NOCTTY).union(OFlags::CLOEXEC);

fn open(opening: Opening<'_>) -> Result<Arc<Store>, OpenError> {
    let settings = opening.settings;
    let path = opening.folder.join(settings.required(&PATH)?);
    let wrong = |name, why: &str| SettingError::Wrong { name, why: why.to_owned() };
    let found = std::fs::metadata(&path).map_err(|error| {
        OpenError::Place(format!(
            "cannot read {}: {error}; make it, or change the setting `path`",
            path.display()
        ))
    })?;
    let format = settings.parsed::<Format>(FORMAT.name)?;
    let trim = settings.flag(TRIM.name)?;
    if found.is_dir() {
        if format.is_some() {
            return Err(wrong(FORMAT.name, "is of a file, and `path` is a folder").into());
        }
        return Store::open(Folder { path, trim: trim.unwrap_or(false) }, opening);
    }
    if trim.is_some() {
        return Err(wrong(TRIM.name, "is for a folder, and `path` is a file").into());
    }
    let format = match format.or_else(|| Format::of(&path)) {
        Some(format) => format,
        None => return Err(wrong(FORMAT.name, "has to be said: the file's name does not").into()),
    };
    Store::open(Single { path, format }, opening)
}

/// One file with all values.
#[derive(Debug)]
struct Single {
    path: PathBuf,
    format: Format,
}

#[async_trait]
impl Source for Single {
    async fn get(&self, name: &str) -> Result<Option<Value>, Failure> {
        let all = self.all(&Keys::all()).await?;
        Ok(all.into_iter().find(|(one, _)| one == name).map(|(_, value)| value))
    }

    async fn all(&self, granted: &Keys) -> Result<Vec<(String, Value)>, Failure> {
        let (path, format) = (self.path.clone(), self.format);
        let mut all = aside(move || {
            let mut options = std::fs::OpenOptions::new();
            std::os::unix::fs::OpenOptionsExt::custom_flags(
                options.read(true),
                FLAGS.bits().cast_signed(),
            );
            let file = options.open(&path).map_err(|error| unreadable(&path, &error))?;
            let Some(text) = contents(file, &path)? else {
                return Err(Failure::Backend(format!("{} is no file", path.display())));
            };
            // What it says may be secret, and is not a part of the message.
            parse(format, &text).map_err(|fault| {
                Failure::Backend(format!("{} cannot be read: {fault}", path.display()))
            })
        })
        .await?;
        all.retain(|(name, _)| granted.grants(name));
        Ok(all)
    }

    fn is_whole(&self) -> bool {
        true
    }
}

/// What is in a file; nothing if it is none.
fn contents(file: File, path: &Path) -> Result<Option<Zeroizing<Vec<u8>>>, Failure> {
    let unreadable = |error: io::Error| unreadable(path, &error);
    let found = file.metadata().map_err(unreadable)?;
    if !found.is_file() {
        return Ok(None);
    }
    let most = LARGEST as u64;
    let too_large = |is| Failure::TooLarge { what: "file", is, most };
    if found.len() > most {
        return Err(too_large(found.len()));
    }
    // All at once: a buffer that grows leaves copies behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(found.len() as usize + 64));
    file.take(most + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() > LARGEST {
        return Err(too_large(bytes.len() as u64));
    }
    Ok(Some(bytes))
}

fn unreadable(path: &Path, error: &io::Error) -> Failure {
    Failure::unreachable(format!("cannot read {}: {error}", path.display()))
}

/// Reads where a thread may wait for the disk.
async fn aside<T: Send + 'static>(
    read: impl FnOnce() -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    let read = tokio::task::spawn_blocking(read).await;
    read.unwrap_or_else(|_| Err(Failure::unreachable("reading a file was given up")))
}
