//! What this host goes on with when it starts and nobody tells it what to run: the last that it was told.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use reef_lattice::Key;

/// Records in a folder, a file each.
pub(crate) struct Kept(PathBuf);

impl Kept {
    pub(crate) fn new(folder: PathBuf) -> Self {
        if let Err(error) = std::fs::create_dir_all(&folder) {
            tracing::warn!(folder = %folder.display(), %error, "Nothing is kept for a start without the store.");
        }
        Self(folder)
    }

    fn path(&self, key: &Key) -> PathBuf {
        self.0.join(key.as_str()).with_extension_added("json")
    }

    /// Keeps a record. That it cannot be is not a fault of what it is about.
    pub(crate) fn keep(&self, key: &Key, value: &Bytes) {
        let path = self.path(key);
        if std::fs::read(&path).is_ok_and(|kept| kept == **value) {
            return;
        }
        if let Err(error) = write(&path, value) {
            tracing::warn!(file = %path.display(), %error, "It is not kept for a start without the store.");
        }
    }

    /// A record that was kept.
    pub(crate) fn read(&self, key: &Key) -> Option<Bytes> {
        std::fs::read(self.path(key)).ok().map(Bytes::from)
    }

    /// All that were kept below a prefix.
    pub(crate) fn below(&self, prefix: &str) -> Vec<(Key, Bytes)> {
        self.keys()
            .into_iter()
            .filter(|key| key.is_below(prefix))
            .filter_map(|key| self.read(&key).map(|value| (key, value)))
            .collect()
    }

    /// Forgets what is not to be kept.
    pub(crate) fn retain(&self, keep: &dyn Fn(&Key) -> bool) {
        for key in self.keys().iter().filter(|key| !keep(key)) {
            let _ = std::fs::remove_file(self.path(key));
        }
    }

    fn keys(&self) -> Vec<Key> {
        let Ok(entries) = std::fs::read_dir(&self.0) else { return Vec::new() };
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        names.filter_map(|name| Key::parse(name.strip_suffix(".json")?).ok()).collect()
    }
}

/// Whole or not at all.
fn write(path: &Path, value: &[u8]) -> std::io::Result<()> {
    use std::io::Write as _;
    let unfinished = path.with_extension(format!("{:016x}", fastrand::u64(..)));
    let mut file = std::fs::File::create(&unfinished)?;
    let written = file.write_all(value).and_then(|()| file.sync_all());
    let moved = written.and_then(|()| std::fs::rename(&unfinished, path));
    if moved.is_err() {
        let _ = std::fs::remove_file(&unfinished);
    }
    moved
}

trait Added {
    fn with_extension_added(self, extension: &str) -> PathBuf;
}

impl Added for PathBuf {
    /// Keys have dots in them.
    fn with_extension_added(mut self, extension: &str) -> PathBuf {
        let added = format!(".{extension}");
        self.as_mut_os_string().push(added);
        self
    }
}
