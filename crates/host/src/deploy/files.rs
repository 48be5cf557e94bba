//! The files that a workload sees: copies of those there were when it was deployed.

use std::{
    fs, io,
    path::{Component, Path, PathBuf},
    time::SystemTime,
};

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use reef_app::Files;
use reef_document::At;
use tempfile::TempDir;
use walkdir::WalkDir;

/// Files of one workload.
const MOST: usize = 20_000;
/// Bytes of them together.
const LARGEST: u64 = 4 << 30;

/// A file, and where a guest sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    from: PathBuf,
    /// Below the root, without a slash before it.
    to: PathBuf,
    length: u64,
    changed: Option<SystemTime>,
}

/// Why there are no copies.
#[derive(Debug, thiserror::Error)]
pub(super) enum FilesError {
    #[error("`{0}` is no pattern of files: {1}")]
    Pattern(String, globset::Error),
    #[error("`{0}` leads out of the folder of the manifest, or of what the guest sees")]
    Outside(String),
    #[error(
        "`{path}` is {real}, outside of the manifest's folder: what is taken from there has to be in it, \
         copied and not linked"
    )]
    Elsewhere { path: String, real: PathBuf },
    #[error("`{0}` is no file and no folder")]
    Nothing(String),
    #[error("its files are more than {MOST}; name fewer")]
    Many,
    #[error("its files are larger than {LARGEST} bytes together; name fewer")]
    Large,
    #[error("{path} cannot be read: {cause}")]
    Io { path: PathBuf, cause: io::Error },
    #[error("{path} cannot be looked at: {cause}")]
    Walk { path: PathBuf, cause: walkdir::Error },
}

/// The files that a workload sees, as they are now: for whoever takes them elsewhere.
///
/// # Errors
/// What is wrong with what the manifest says of them, in words.
pub fn files_seen(files: &[Files], folder: &Path) -> Result<Vec<PathBuf>, String> {
    let seen = look(files, folder).map_err(|error| error.to_string())?;
    Ok(seen.into_iter().map(|file| file.from).collect())
}

/// Finds the files.
pub(super) fn look(files: &[Files], folder: &Path) -> Result<Vec<Seen>, FilesError> {
    let mut all = Vec::new();
    for one in files {
        let except = patterns(&one.except)?;
        let from = one.from.as_str();
        let to = one.to.as_ref().map_or("/", |to| to.as_str());
        if leads_out(Path::new(from)) || leads_out(Path::new(to.trim_start_matches('/'))) {
            return Err(FilesError::Outside(from.to_owned()));
        }
        let to = Path::new(to.trim_start_matches('/'));
        let mut add = |path: PathBuf, to: PathBuf| {
            // Patterns see paths from the manifest's folder on.
            let named = path.strip_prefix(folder).unwrap_or(&path);
            if !except.is_match(named) {
                all.push(seen(path, to)?);
            }
            if all.len() > MOST { Err(FilesError::Many) } else { Ok(()) }
        };
        if from.contains(['*', '?', '[', '{']) {
            let pattern = patterns(std::slice::from_ref(&one.from))?;
            // The part without wildcards is where the walk begins.
            let fixed: PathBuf = Path::new(from)
                .components()
                .take_while(|part| {
                    !part.as_os_str().to_string_lossy().contains(['*', '?', '[', '{'])
                })
                .collect();
            let start = folder.join(&fixed);
            if start.exists() {
                inside(folder, &fixed)?;
            }
            for path in walk(&start)? {
                let Ok(named) = path.strip_prefix(folder) else { continue };
                if pattern.is_match(named) {
                    add(path.clone(), to.join(named))?;
                }
            }
            continue;
        }
        let path = folder.join(from);
        if path.exists() {
            inside(folder, Path::new(from))?;
        }
        if path.is_dir() {
            for file in walk(&path)? {
                let below = file.strip_prefix(&path).map(Path::to_owned).unwrap_or_default();
                add(file, to.join(below))?;
            }
        } else if path.is_file() {
            // A folder for it, or its very name.
            let whole = to.as_os_str().is_empty();
            let name = Path::new(from).file_name().unwrap_or_default();
            add(path, if whole { name.into() } else { to.to_owned() })?;
        } else {
            return Err(FilesError::Nothing(from.to_owned()));
        }
    }
    if all.iter().map(|file| file.length).sum::<u64>() > LARGEST {
        return Err(FilesError::Large);
    }
    Ok(all)
}

/// A path that is there, if it is in the folder of the manifest, also when links are followed: a manifest
/// is often somebody else's, and what it takes of this machine is granted to it, not found by it.
pub(super) fn inside(folder: &Path, path: &Path) -> Result<PathBuf, FilesError> {
    let real = |path: PathBuf| {
        path.canonicalize().map_err(|cause| FilesError::Io { path: path.clone(), cause })
    };
    // An empty one is where this process is.
    let (whole, inner) =
        (real(Path::new(".").join(folder))?, real(Path::new(".").join(folder).join(path))?);
    match inner.starts_with(&whole) {
        true => Ok(inner),
        false => Err(FilesError::Elsewhere { path: path.display().to_string(), real: inner }),
    }
}

/// Whether a folder that a manifest names is outside of the manifest's own, where nothing is served from
/// or copied for guests; also if a link leads there. One that is not there is not outside.
pub fn leads_outside(folder: &Path, path: &Path) -> bool {
    folder.join(path).exists() && inside(folder, path).is_err()
}

/// Copies them to a folder of their own; `None` if there are none.
pub(super) fn copy(files: &[Seen]) -> Result<Option<TempDir>, FilesError> {
    if files.is_empty() {
        return Ok(None);
    }
    let io = |path: &Path| {
        let path = path.to_owned();
        move |cause| FilesError::Io { path, cause }
    };
    let copies = TempDir::with_prefix("reef-files-").map_err(io(&std::env::temp_dir()))?;
    for file in files {
        let to = copies.path().join(&file.to);
        if let Some(parent) = to.parent() {
            fs::create_dir_all(parent).map_err(io(parent))?;
        }
        fs::copy(&file.from, &to).map_err(io(&file.from))?;
    }
    Ok(Some(copies))
}

fn seen(from: PathBuf, to: PathBuf) -> Result<Seen, FilesError> {
    match fs::metadata(&from) {
        Ok(meta) => Ok(Seen { length: meta.len(), changed: meta.modified().ok(), from, to }),
        Err(cause) => Err(FilesError::Io { path: from, cause }),
    }
}

/// The files below a folder, in order. Links are not followed: they may lead anywhere.
fn walk(folder: &Path) -> Result<Vec<PathBuf>, FilesError> {
    let mut all = Vec::new();
    if !folder.exists() {
        return Ok(all);
    }
    for entry in WalkDir::new(folder).sort_by_file_name() {
        let entry = entry.map_err(|cause| FilesError::Walk { path: folder.into(), cause })?;
        if entry.file_type().is_file() {
            all.push(entry.into_path());
        }
        if all.len() > MOST {
            return Err(FilesError::Many);
        }
    }
    Ok(all)
}

fn patterns(patterns: &[At<String>]) -> Result<GlobSet, FilesError> {
    let mut set = GlobSetBuilder::new();
    for pattern in patterns {
        let glob = GlobBuilder::new(pattern).literal_separator(true).build();
        set.add(glob.map_err(|error| FilesError::Pattern(pattern.value.clone(), error))?);
    }
    let all = || patterns.iter().map(|one| one.as_str()).collect::<Vec<_>>().join(", ");
    set.build().map_err(|error| FilesError::Pattern(all(), error))
}

fn leads_out(path: &Path) -> bool {
    path.components().any(|part| !matches!(part, Component::Normal(_) | Component::CurDir))
}
