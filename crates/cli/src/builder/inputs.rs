//! The files that an artifact is made from.

use std::{
    collections::HashSet,
    fs, io,
    path::{Component, Path, PathBuf},
    time::SystemTime,
};

use globset::{GlobBuilder, GlobMatcher};
use ignore::gitignore::{Gitignore, GitignoreBuilder};
use reef_app::Build;

/// Folders that nothing is made from, where no pattern names them.
const NEVER: [&str; 3] = [".git", "node_modules", "target"];
/// Files and folders that are looked at.
const MOST: usize = 200_000;

/// The files that an artifact is made from: those that the manifest's patterns match, or without any, all
/// in the folder of the build but what its `.gitignore` leaves out, `.git`, `node_modules`, `target` and
/// artifacts.
#[derive(Debug)]
pub(crate) struct Inputs {
    roots: Vec<Root>,
    /// Made, not made from.
    artifacts: HashSet<PathBuf>,
}

/// Why that cannot be told.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InputsError {
    #[error("`watch` has `{pattern}`, which is no pattern: {error}")]
    Pattern { pattern: String, error: globset::Error },
    #[error("cannot look at {}: {error}", path.display())]
    Read { path: PathBuf, error: io::Error },
    #[error(
        "there are more than {MOST} files in {}; say with `watch` which ones it is made from",
        .0.display()
    )]
    TooMany(PathBuf),
}

/// A folder, and which files below it count.
#[derive(Debug)]
struct Root {
    folder: PathBuf,
    which: Which,
}

#[derive(Debug)]
enum Which {
    /// All that these do not leave out.
    All(Vec<Gitignore>),
    /// Those whose path below the folder matches.
    Matching(GlobMatcher),
    /// The one of this name.
    Named(PathBuf),
}

/// The folder that a build runs in.
pub(super) fn build_folder(build: &Build, folder: &Path) -> PathBuf {
    match &build.dir {
        Some(dir) => folder.join(dir),
        None => folder.to_owned(),
    }
}

// === impl Inputs ===

impl Inputs {
    /// What a build in an application's folder has.
    pub(super) fn new(
        build: Option<&Build>,
        folder: &Path,
        artifacts: Vec<PathBuf>,
    ) -> Result<Self, InputsError> {
        let artifacts = artifacts.iter().map(|path| plain(path)).collect();
        let Some(build) = build else { return Ok(Self { roots: Vec::new(), artifacts }) };
        let application = plain(folder);
        let base = plain(&build_folder(build, folder));
        let roots = match &build.watch[..] {
            [] => vec![Root::all(base, &application)],
            patterns => {
                let roots = patterns.iter().map(|pattern| Root::matching(&base, pattern));
                roots.collect::<Result<_, _>>()?
            }
        };
        Ok(Self { roots, artifacts })
    }

    /// Whether a file is one of them, given its absolute path. It need not be there: what is removed
    /// matters too.
    pub(crate) fn has(&self, path: &Path) -> bool {
        !self.artifacts.contains(path) && self.roots.iter().any(|root| root.has(path))
    }

    /// The folders that they lie in, absolute, also those that have none yet.
    ///
    /// # Errors
    /// When there are too many, or one cannot be read.
    pub(crate) fn folders(&self) -> Result<Vec<PathBuf>, InputsError> {
        let mut folders = Vec::new();
        for root in &self.roots {
            root.walk(&mut |path, is_folder| {
                if is_folder {
                    folders.push(path.to_owned());
                }
            })?;
        }
        folders.sort();
        folders.dedup();
        Ok(folders)
    }

    /// When the one that changed last did; `None` if there are none.
    pub(super) fn newest(&self) -> Result<Option<SystemTime>, InputsError> {
        let mut newest = None;
        for root in &self.roots {
            root.walk(&mut |path, is_folder| {
                if !is_folder
                    && !self.artifacts.contains(path)
                    && let Ok(changed) = fs::metadata(path).and_then(|meta| meta.modified())
                {
                    newest = newest.max(Some(changed));
                }
            })?;
        }
        Ok(newest)
    }
}

// === impl Root ===

impl Root {
    /// All in a folder that lies in an application's.
    fn all(folder: PathBuf, application: &Path) -> Self {
        let above = folder.ancestors().take_while(|above| above.starts_with(application));
        let mut ignored = Vec::new();
        for above in above.chain((!folder.starts_with(application)).then_some(&*folder)) {
            let mut builder = GitignoreBuilder::new(above);
            // One that cannot be read leaves nothing out.
            let _ = builder.add(above.join(".gitignore"));
            ignored.extend(builder.build().ok().filter(|one| !one.is_empty()));
        }
        Self { folder, which: Which::All(ignored) }
    }

    /// Those that match a pattern, from a folder on.
    fn matching(base: &Path, pattern: &str) -> Result<Self, InputsError> {
        let special = |part: &str| part.contains(['*', '?', '[', '{', '\\']);
        let parts: Vec<_> = pattern.split('/').collect();
        let at = parts.iter().position(|part| special(part));
        let Some(at) = at else {
            let path = plain(&base.join(pattern));
            if path.is_dir() {
                return Ok(Self { folder: path, which: Which::All(Vec::new()) });
            }
            let folder = path.parent().unwrap_or(base).to_owned();
            return Ok(Self { folder, which: Which::Named(path) });
        };
        let folder = plain(&base.join(parts[..at].join("/")));
        let glob = GlobBuilder::new(&parts[at..].join("/")).literal_separator(true).build();
        let glob = glob
            .map_err(|error| InputsError::Pattern { pattern: pattern.to_owned(), error })?
            .compile_matcher();
        Ok(Self { folder, which: Which::Matching(glob) })
    }

    fn has(&self, path: &Path) -> bool {
        let Ok(below) = path.strip_prefix(&self.folder) else { return false };
        let Some(parents) = below.parent() else { return false };
        let mut folder = self.folder.clone();
        for part in parents {
            folder.push(part);
            if !self.enters(&folder) {
                return false;
            }
        }
        self.counts(path, below)
    }

    /// Whether what lies in a folder below may count.
    fn enters(&self, folder: &Path) -> bool {
        let never = folder.file_name().and_then(|name| name.to_str());
        !never.is_some_and(|name| NEVER.contains(&name))
            && match &self.which {
                Which::All(ignored) => !is_ignored(ignored, folder, true),
                Which::Matching(_) => true,
                Which::Named(_) => false,
            }
    }

    fn counts(&self, path: &Path, below: &Path) -> bool {
        match &self.which {
            Which::All(ignored) => !is_ignored(ignored, path, false),
            Which::Matching(glob) => glob.is_match(below),
            Which::Named(named) => named == path,
        }
    }

    /// Hands on every folder and every file that counts. Links to folders are not followed.
    fn walk(&self, each: &mut impl FnMut(&Path, bool)) -> Result<(), InputsError> {
        let mut open = vec![self.folder.clone()];
        let mut left = MOST;
        while let Some(folder) = open.pop() {
            let unread = |error| InputsError::Read { path: folder.clone(), error };
            let entries = match fs::read_dir(&folder) {
                // Nothing is made from what is not there (any more).
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                entries => entries.map_err(unread)?,
            };
            each(&folder, true);
            for entry in entries {
                let entry = entry.map_err(unread)?;
                left =
                    left.checked_sub(1).ok_or_else(|| InputsError::TooMany(self.folder.clone()))?;
                let path = entry.path();
                let below = path.strip_prefix(&self.folder).unwrap_or(&path);
                if entry.file_type().map_err(unread)?.is_dir() {
                    if self.enters(&path) {
                        open.push(path);
                    }
                } else if self.counts(&path, below) {
                    each(&path, false);
                }
            }
        }
        Ok(())
    }
}

/// The nearest `.gitignore` that says something about it counts.
fn is_ignored(ignored: &[Gitignore], path: &Path, is_folder: bool) -> bool {
    let said = ignored.iter().map(|one| one.matched(path, is_folder)).find(|said| !said.is_none());
    said.is_some_and(|said| said.is_ignore())
}

/// Absolute, without `.` and `..`: the same file has one path, where no link is on the way.
fn plain(path: &Path) -> PathBuf {
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let mut plain = PathBuf::new();
    for part in absolute.components() {
        match part {
            Component::ParentDir => {
                plain.pop();
            }
            Component::CurDir => {}
            part => plain.push(part),
        }
    }
    plain
}

#[cfg(test)]
mod tests;
