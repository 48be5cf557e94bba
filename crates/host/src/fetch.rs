//! Artifacts, from where they are.

use std::{
    fs,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use reef_app::Source;
use reef_artifact::Artifact;
use reef_grants::ByteSize;

/// Larger files are no WebAssembly that anything could run.
const LARGEST: u64 = 2 << 30;

/// Why there is no artifact.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// No such file.
    #[error("there is no file {name}{}; check its path", .folder.as_ref().map(|f| format!(" in {}", f.display())).unwrap_or_default())]
    NotThere {
        /// The path as it was given.
        name: String,
        /// What it starts from.
        folder: Option<PathBuf>,
    },
    /// Cannot be read.
    #[error("cannot read {name}: {cause}")]
    Io {
        /// The path as it was given.
        name: String,
        /// What the system said.
        cause: io::Error,
    },
    /// A folder.
    #[error("{0} is a folder; name a .wasm or .wat file in it")]
    Folder(String),
    /// Too large.
    #[error("{name} is larger than {}, more than any WebAssembly engine takes", ByteSize(LARGEST))]
    TooLarge {
        /// The path as it was given.
        name: String,
    },
    /// Not an artifact.
    #[error(transparent)]
    Artifact(#[from] reef_artifact::Error),
    /// From where nothing can be had yet.
    #[error("{0} cannot be fetched yet; download it, and name the file")]
    Remote(Source),
}

/// Reads an artifact from a file, or from standard input for `-`.
///
/// # Errors
/// When it is not there, cannot be read, or is no artifact.
pub fn read(path: &Path) -> Result<Artifact, FetchError> {
    let standard_input = path == Path::new("-");
    let name =
        if standard_input { "standard input".to_owned() } else { path.display().to_string() };
    let io = |cause| FetchError::Io { name: name.clone(), cause };
    let mut bytes = Vec::new();
    if standard_input {
        io::stdin().lock().take(LARGEST + 1).read_to_end(&mut bytes).map_err(io)?;
    } else {
        let file = match fs::File::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let folder = std::env::current_dir().ok().filter(|_| path.is_relative());
                return Err(FetchError::NotThere { name, folder });
            }
            opened => opened.map_err(io)?,
        };
        let meta = file.metadata().map_err(io)?;
        if meta.is_dir() {
            return Err(FetchError::Folder(name));
        }
        if meta.len() > LARGEST {
            return Err(FetchError::TooLarge { name });
        }
        bytes.reserve(usize::try_from(meta.len()).unwrap_or_default().saturating_add(1));
        // What is no file, or grows, does not say how much there is.
        file.take(LARGEST + 1).read_to_end(&mut bytes).map_err(io)?;
    }
    if bytes.len() as u64 > LARGEST {
        return Err(FetchError::TooLarge { name });
    }
    Ok(Artifact::read(&name, bytes)?)
}

/// An artifact of a manifest, whose paths start from a folder.
///
/// # Errors
/// As [`read`], and for what cannot be fetched.
pub fn source(source: &Source, folder: &Path) -> Result<Artifact, FetchError> {
    match source {
        Source::File(file) if file == Path::new("-") => read(file),
        Source::File(file) => read(&folder.join(file)),
        Source::Url(_) | Source::Oci(_) | Source::Bindle(_) => {
            Err(FetchError::Remote(source.clone()))
        }
    }
}
