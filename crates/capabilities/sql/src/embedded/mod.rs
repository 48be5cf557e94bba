//! SQLite, in the process: a file for each database, in the application's own folder.
//!
//! A commit that was acknowledged is on the disk (`synchronous = FULL`). Statements run on threads of their own, as
//! many as there are connections; what a guest may not do (other files, extensions, settings of the file) is refused
//! by SQLite's authorizer before it runs.

mod connection;
mod session;
mod values;

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use reef_capability::{Backend, OpenError, Opening, Setting, SettingError};
use tokio::{
    runtime::Handle,
    sync::{OwnedSemaphorePermit, Semaphore},
};

use self::{connection::Kept, session::EmbeddedSession};
use crate::{
    error::{Result, SqlError},
    session::{Limits, Most, Session, Sql, crowded},
};

const DATABASE: Setting =
    Setting::new("database", "the database, if it is not called as the link is");
const MAX_ROWS: Setting = Setting::new("max-rows", "rows of one result: `100000`");
const MAX_CONNECTIONS: Setting =
    Setting::new("max-connections", "connections to one database: `16`");
const CAPACITY: Setting = Setting::new("capacity", "how large a database may become: `1GiB`");

pub(crate) const BACKEND: Backend<dyn Sql> = Backend {
    name: "embedded",
    system: "sqlite",
    settings: &[DATABASE, MAX_ROWS, MAX_CONNECTIONS, CAPACITY],
    private: true,
    open,
};

/// Parameters of one statement, as SQLite is built.
const PARAMETERS: usize = 32_766;
/// Connections that are kept open while nobody uses them.
const IDLE: usize = 16;

/// A folder of databases.
struct Embedded {
    folder: PathBuf,
    /// Without a folder of the application, the files end with the backend.
    _temporary: Option<tempfile::TempDir>,
    databases: Mutex<HashMap<String, Arc<File>>>,
    /// The only one that there is, if the settings say so.
    database: Option<String>,
    rows: u64,
    connections: usize,
    capacity: u64,
    runtime: Handle,
}

/// One database.
pub(crate) struct File {
    pub(crate) name: String,
    pub(crate) path: PathBuf,
    pub(crate) capacity: u64,
    pub(crate) runtime: Handle,
    idle: Mutex<Vec<Kept>>,
    slots: Arc<Semaphore>,
    most: usize,
}

/// A connection of a session, which is cleaned and kept when the session has ended.
pub(crate) struct Held {
    kept: Option<Kept>,
    file: Arc<File>,
    permit: Option<OwnedSemaphorePermit>,
}

fn open(opening: Opening<'_>) -> Result<Arc<dyn Sql>, OpenError> {
    let settings = opening.settings;
    let rows = settings.parsed(MAX_ROWS.name)?.unwrap_or(100_000);
    let connections: u16 = settings.parsed(MAX_CONNECTIONS.name)?.unwrap_or(16);
    let capacity = settings.size(CAPACITY.name)?.unwrap_or(1 << 30);
    if connections == 0 {
        let why = "leaves no connection at all".to_owned();
        return Err(SettingError::Wrong { name: MAX_CONNECTIONS.name, why }.into());
    }
    let (folder, temporary) = match opening.data {
        Some(data) => (data.join("sql"), None),
        None => {
            let folder = tempfile::Builder::new().prefix("reef-sql-").tempdir();
            let folder = folder.map_err(|error| {
                OpenError::Place(format!(
                    "a temporary folder for databases cannot be made: {error}"
                ))
            })?;
            (folder.path().to_owned(), Some(folder))
        }
    };
    Ok(Arc::new(Embedded {
        folder,
        _temporary: temporary,
        databases: Mutex::default(),
        database: settings.get(DATABASE.name).map(str::to_owned),
        rows,
        connections: connections.into(),
        capacity,
        runtime: opening.runtime.clone(),
    }))
}

#[async_trait]
impl Sql for Embedded {
    fn most(&self) -> Most {
        Most { parameters: PARAMETERS, rows: self.rows }
    }

    async fn session(&self, place: &str, limits: Limits) -> Result<Arc<dyn Session>> {
        Ok(Arc::new(EmbeddedSession::new(
            self.file(self.database.as_deref().unwrap_or(place))?,
            limits,
        )))
    }
}

impl Embedded {
    fn file(&self, name: &str) -> Result<Arc<File>> {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if name.is_empty() || name.len() > 64 || name.starts_with('.') || !name.chars().all(plain) {
            return Err(SqlError::invalid(format!(
                "`{}` is no name of a database: it has 1 to 64 letters, digits, `-`, `_` and `.`, and does not begin \
                 with `.`",
                name.escape_debug()
            )));
        }
        let mut databases = self.databases.lock().unwrap_or_else(PoisonError::into_inner);
        let file = databases.entry(name.to_owned()).or_insert_with(|| {
            Arc::new(File {
                name: name.to_owned(),
                path: self.folder.join(format!("{name}.db")),
                capacity: self.capacity,
                runtime: self.runtime.clone(),
                idle: Mutex::default(),
                slots: Arc::new(Semaphore::new(self.connections)),
                most: self.connections,
            })
        });
        Ok(file.clone())
    }
}

impl File {
    /// A connection, as soon as there is one. It is opened when it is used, where waiting harms nobody.
    pub(crate) async fn hold(self: &Arc<Self>, limits: Limits) -> Result<Held> {
        let slot = tokio::time::timeout(limits.time, self.slots.clone().acquire_owned()).await;
        let permit = slot.ok().and_then(Result::ok).ok_or_else(|| crowded(self.most))?;
        let kept = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        Ok(Held { kept, file: self.clone(), permit: Some(permit) })
    }
}

impl Drop for File {
    fn drop(&mut self) {
        // The last connection to a file writes its log back into it.
        let idle = self.idle.get_mut().unwrap_or_else(PoisonError::into_inner);
        let idle = std::mem::take(idle);
        if !idle.is_empty() {
            self.runtime.spawn_blocking(move || drop(idle));
        }
    }
}

impl Held {
    /// The connection, which is opened if it was not. It blocks.
    pub(crate) fn get(&mut self, limits: Limits) -> Result<&mut Kept> {
        let kept = match self.kept.take() {
            Some(kept) => kept,
            None => Kept::open(&self.file)?,
        };
        let kept = self.kept.insert(kept);
        kept.limit(limits)?;
        Ok(kept)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let (Some(kept), permit, file) = (self.kept.take(), self.permit.take(), self.file.clone())
        else {
            return;
        };
        let keep = move |kept: Kept| {
            let mut idle = file.idle.lock().unwrap_or_else(PoisonError::into_inner);
            if idle.len() < IDLE {
                idle.push(kept);
                return;
            }
            drop(idle);
            drop(kept);
        };
        if kept.is_clean() {
            keep(kept);
            drop(permit);
        } else {
            // What was begun is undone before the next one may begin.
            self.file.runtime.spawn_blocking(move || {
                if let Some(kept) = kept.clean() {
                    keep(kept);
                }
                drop(permit);
            });
        }
    }
}
