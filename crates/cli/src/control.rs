//! The socket by which a running host is asked and told: HTTP with JSON, over a Unix socket that only
//! its owner can open.
//!
//! | request | does |
//! | --- | --- |
//! | `GET /v1/status` | says what runs |
//! | `GET /v1/logs?workload=NAME&tail=N&follow=true` | lines of the log, one JSON object each |
//! | `POST /v1/apply` `{path, profile, values}` | makes what the path stands for run |
//! | `POST /v1/reload` | the same for everything that runs |
//! | `POST /v1/applications/NAME/restart` `{workload}` | with fresh instances |
//! | `POST /v1/applications/NAME/rollback` `{to}` | goes back to an earlier revision |
//! | `POST /v1/applications/NAME/stop` | ends one application |
//! | `POST /v1/publish?subject=SUBJECT` and the body | publishes a message; with `request=true&timeout=5s` the answer is its answer's body |
//! | `POST /v1/stop` | ends the host |
//! | `POST /v1/lattice/publish?…` | as `/v1/publish`, on the bus of the lattice that the host is one of |
//! | `GET /v1/lattice/objects/DIGEST` | whether the lattice keeps it: 200 or 404 |
//! | `POST /v1/lattice/objects/DIGEST` and the bytes | has the lattice keep it |

mod answer;
pub(crate) mod client;
mod lattice;
mod status;

use std::{
    fs, io,
    net::SocketAddr,
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use anyhow::{Context as _, bail};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use reef_host::deploy::{Applied, Host};
use reef_telemetry::Journal;
use tokio::{net::UnixListener, sync::Semaphore};

pub(crate) use self::lattice::Offered;
use crate::up::{Origin, Sources};

/// Connections at once: some people, and some scripts.
const CONNECTIONS: usize = 64;
/// How long a request may take to come.
const PATIENCE: Duration = Duration::from_secs(10);

/// Where a host listens for orders. The file is removed with it.
#[derive(Debug)]
pub(crate) struct Socket(PathBuf);

/// What orders are carried out with.
pub(crate) struct Control {
    pub(crate) host: Arc<Host>,
    pub(crate) sources: Arc<Sources>,
    pub(crate) socket: Socket,
    pub(crate) journal: Arc<Journal>,
    pub(crate) addrs: Vec<SocketAddr>,
    pub(crate) tls: bool,
    pub(crate) stop: tokio::sync::mpsc::Sender<()>,
    /// What it was started with runs.
    pub(crate) ready: AtomicBool,
    /// The lattice that it is one of, for clients on this machine.
    pub(crate) lattice: Option<Arc<Offered>>,
}

// === impl Socket ===

impl Socket {
    /// At this path, or at one of its own in the user's folder of sockets.
    pub(crate) fn new(path: Option<&Path>) -> anyhow::Result<Self> {
        match path {
            Some(path) => Ok(Self(path.to_owned())),
            None => Ok(Self(folder()?.join(format!("up-{}.sock", std::process::id())))),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    fn bind(&self) -> anyhow::Result<UnixListener> {
        let name = self.0.display();
        if self.0.exists() {
            if std::os::unix::net::UnixStream::connect(&self.0).is_ok() {
                bail!("another reef listens at {name}; end it, or name another --socket");
            }
            fs::remove_file(&self.0).with_context(|| format!("cannot replace {name}"))?;
        }
        if let Some(folder) = self.0.parent().filter(|folder| !folder.exists()) {
            fs::create_dir_all(folder)
                .with_context(|| format!("cannot make {} for the socket", folder.display()))?;
        }
        let listener = std::os::unix::net::UnixListener::bind(&self.0)
            .with_context(|| format!("cannot listen at {name}"))?;
        fs::set_permissions(&self.0, fs::Permissions::from_mode(0o600))?;
        listener.set_nonblocking(true)?;
        Ok(UnixListener::from_std(listener)?)
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// The folder of this user's sockets, which nobody else can look into.
pub(crate) fn folder() -> anyhow::Result<PathBuf> {
    let own = rustix::process::geteuid().as_raw();
    let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|dir| dir.is_dir());
    let folder = match runtime {
        Some(runtime) => runtime.join("reef"),
        None => std::env::temp_dir().join(format!("reef-{own}")),
    };
    let name = folder.display();
    match fs::DirBuilder::new().mode(0o700).create(&folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            return Err(error).with_context(|| format!("cannot make the folder {name}"));
        }
        _ => {}
    }
    let meta = fs::symlink_metadata(&folder).with_context(|| format!("cannot look at {name}"))?;
    // In a folder for everybody, somebody else may have been first.
    if !meta.is_dir() || meta.uid() != own || meta.mode() & 0o077 != 0 {
        bail!(
            "{name} is not a folder of your own that is closed to others; remove it, or name a --socket"
        );
    }
    Ok(folder)
}

// === impl Control ===

impl Control {
    /// Answers at the socket for as long as the runtime lasts.
    pub(crate) fn listen(self) -> anyhow::Result<Arc<Self>> {
        let listener = self.socket.bind()?;
        let control = Arc::new(self);
        let accepting = control.clone();
        tokio::spawn(async move {
            let places = Arc::new(Semaphore::new(CONNECTIONS));
            loop {
                let Ok(place) = places.clone().acquire_owned().await else { return };
                let Ok((stream, _)) = listener.accept().await else {
                    // Too many open files, for example.
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                };
                let control = accepting.clone();
                tokio::spawn(async move {
                    let service =
                        service_fn(move |request| answer::answer(control.clone(), request));
                    let connection = hyper::server::conn::http1::Builder::new()
                        .timer(TokioTimer::new())
                        .header_read_timeout(PATIENCE)
                        .serve_connection(TokioIo::new(stream), service);
                    // A client that went away is its own affair.
                    let _ = connection.await;
                    drop(place);
                });
            }
        });
        Ok(control)
    }

    /// Reads everything anew and makes it run, what it can.
    pub(crate) fn reload(self: &Arc<Self>) {
        let control = self.clone();
        tokio::spawn(async move {
            for (application, said) in control.reload_all().await {
                match said {
                    Ok(_) => {}
                    Err(error) => {
                        tracing::error!(application, "{error:#}\nThe revision before goes on.");
                    }
                }
            }
        });
    }

    /// The same, and says what came of it.
    async fn reload_all(&self) -> Vec<(String, anyhow::Result<Applied>)> {
        let mut all = Vec::new();
        for (application, origin) in self.sources.all() {
            let applied = self.apply(origin, Vec::new()).await;
            all.push((application, applied));
        }
        all
    }

    /// Reads what an origin holds and makes it run.
    pub(crate) async fn apply(
        &self,
        origin: Origin,
        values: Vec<(String, String)>,
    ) -> anyhow::Result<Applied> {
        let (sources, of) = (self.sources.clone(), origin.clone());
        let order = tokio::task::spawn_blocking(move || sources.order(&of, &values)).await??;
        let applied = self.host.apply(order).await?;
        self.sources.remember(&applied.application, origin);
        if !applied.changed {
            let Applied { application, revision, .. } = &applied;
            tracing::info!(application, revision, "Nothing has changed.");
            return Ok(applied);
        }
        tracing::info!(
            application = applied.application,
            revision = applied.revision,
            made = applied.made.join(","),
            kept = applied.kept.join(","),
            gone = applied.gone.join(","),
            "Applied."
        );
        Ok(applied)
    }
}
