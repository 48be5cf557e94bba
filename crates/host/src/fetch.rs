//! Artifacts, from where they are.

use std::{
    collections::HashMap,
    fs,
    io::{self, Read as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use reef_app::{Application, Source, Workload};
use reef_artifact::Artifact;
use reef_document::At;
use reef_grants::ByteSize;
use reef_registry::{Place, Progress, Registry};
use reef_wagi::modules::BINDLE_SERVER;

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
    /// Cannot be had from where it is.
    #[error(transparent)]
    Registry(Box<reef_registry::Error>),
    /// Something that has to be on this machine.
    #[error(
        "{0} is not on this machine, and this has to be a file; download it, and name the file"
    )]
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

impl From<reef_registry::Error> for FetchError {
    fn from(error: reef_registry::Error) -> Self {
        Self::Registry(error.into())
    }
}

/// An artifact that a manifest names: where it is, and what it has to be.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Wanted {
    /// Where it is.
    pub source: Source,
    /// SHA-256 of it, where it is pinned.
    pub digest: Option<String>,
    /// The Bindle server, where one is named.
    pub server: Option<String>,
}

impl Wanted {
    /// What a place is, nothing being said about it.
    pub fn new(source: Source) -> Self {
        Self { source, digest: None, server: None }
    }

    /// The artifact of a workload, or a part of it.
    pub(crate) fn of(workload: &Workload, source: &Source, digest: Option<&At<String>>) -> Self {
        let digest = digest.map(|digest| digest.value.clone());
        let server = workload.labels.get(BINDLE_SERVER).cloned();
        Self { source: source.clone(), digest, server }
    }

    /// Everything that an application is made of and that is not on this machine, each with the workload
    /// that it is for.
    pub fn remote(application: &Application) -> Vec<(&str, Self)> {
        let mut all = Vec::new();
        for workload in &application.workloads {
            // A script is a file; what runs it is installed.
            let own = workload.runtime.is_none().then_some((&workload.source, &workload.digest));
            let parts = workload.links.iter().filter_map(|link| {
                link.component.as_ref().map(|component| (component, &link.digest))
            });
            for (source, digest) in own.into_iter().chain(parts) {
                if !matches!(source.value, Source::File(_)) {
                    let wanted = Self::of(workload, source, digest.as_ref());
                    all.push((workload.name.as_str(), wanted));
                }
            }
        }
        all
    }

    /// Where it is, if that is not this machine.
    ///
    /// # Errors
    /// When it is a file, or is not written as it should be.
    pub fn place(&self) -> Result<Place, FetchError> {
        let (digest, server) = (self.digest.as_deref(), self.server.as_deref());
        let place = Place::new(&self.source, digest, server);
        Ok(place.map_err(reef_registry::Error::Place)?)
    }
}

/// What was fetched for one revision.
pub(crate) type Fetched = HashMap<Wanted, Artifact>;

/// Fetches artifacts from elsewhere, and tells somebody how far that is. Cheap to clone.
#[derive(Clone)]
pub struct Fetcher {
    registry: Registry,
    told: Arc<dyn Progress>,
}

impl Fetcher {
    /// Tells `told`.
    pub fn new(registry: Registry, told: Arc<dyn Progress>) -> Self {
        Self { registry, told }
    }

    /// Fetches an artifact that is not on this machine. To be called on a Tokio runtime, which it does
    /// not block.
    ///
    /// # Errors
    /// When it cannot be had, or is no artifact.
    pub async fn fetch(&self, wanted: &Wanted) -> Result<Artifact, FetchError> {
        let place = wanted.place()?;
        let fetched = self.registry.fetch(&place, &*self.told).await?;
        // The text form takes as long as it takes.
        let reading =
            tokio::task::spawn_blocking(move || Artifact::read(&place.to_string(), fetched.bytes));
        match reading.await {
            Ok(read) => Ok(read?),
            Err(_) => Err(reef_registry::Error::Stopped.into()),
        }
    }
}

impl Fetcher {
    /// Fetches everything of an application that is not on this machine, each once. What cannot be had is
    /// the error, with the workload that it is for.
    pub(crate) async fn fetch_all<'a>(
        &self,
        application: &'a Application,
    ) -> Result<Fetched, (&'a str, FetchError)> {
        let mut wanted = HashMap::new();
        for (workload, one) in Wanted::remote(application) {
            wanted.entry(one).or_insert(workload);
        }
        let fetching = wanted.into_iter().map(|(one, workload)| async move {
            match self.fetch(&one).await {
                Ok(artifact) => Ok((one, artifact)),
                Err(cause) => Err((workload, cause)),
            }
        });
        let fetched = futures::future::try_join_all(fetching).await?;
        Ok(fetched.into_iter().collect())
    }
}

impl std::fmt::Debug for Fetcher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.registry.fmt(f)
    }
}

/// An artifact of a manifest, whose paths start from a folder: from a file, or from what was fetched.
pub(crate) fn source(
    wanted: &Wanted,
    folder: &Path,
    fetched: &Fetched,
) -> Result<Artifact, FetchError> {
    match &wanted.source {
        Source::File(file) if file == Path::new("-") => read(file),
        Source::File(file) => read(&folder.join(file)),
        remote => fetched.get(wanted).cloned().ok_or_else(|| FetchError::Remote(remote.clone())),
    }
}
