//! Backends: how they are found, opened and shared.

use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use crate::{
    policy::POLICY,
    settings::{Setting, SettingError, Settings},
};

/// A backend of the capability `C`: one entry of its capability's table.
pub struct Backend<C: ?Sized> {
    /// What a manifest calls it: `redis`.
    pub name: &'static str,
    /// What telemetry calls it, by OpenTelemetry's list (`db.system.name`, `messaging.system`).
    pub system: &'static str,
    /// The settings that it takes, beside those of [`POLICY`].
    pub settings: &'static [Setting],
    /// Whether it is the application's own: two that say the same mean two things.
    pub private: bool,
    /// Opens it. That does not wait for anything beyond this machine: a server is connected to when it is
    /// first asked for something, and again whenever it went away.
    pub open: fn(Opening<'_>) -> Result<Arc<C>, OpenError>,
}

/// What a backend is opened with.
#[derive(Clone, Copy, Debug)]
pub struct Opening<'a> {
    /// The application.
    pub application: &'a str,
    /// What its manifest says.
    pub settings: &'a Settings,
    /// Where the manifest is: its paths start there.
    pub folder: &'a Path,
    /// Where the application's own data are kept; it may not be there yet. Without one, nothing is kept.
    pub data: Option<&'a Path>,
    /// What drives connections and writers.
    pub runtime: &'a tokio::runtime::Handle,
}

/// A backend that cannot be opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// There is none of that name.
    #[error("there is no backend `{name}`; there is {known}")]
    Unknown {
        /// Which.
        name: String,
        /// All that there are.
        known: String,
    },
    /// Its settings are wrong.
    #[error("{0}")]
    Setting(#[from] SettingError),
    /// What it needs on this machine is not to be had: a file, a folder.
    #[error("{0}")]
    Place(String),
}

/// Backends that are open: what is opened alike is opened once, for as long as somebody uses it.
pub struct Opened<C: ?Sized> {
    all: Mutex<Vec<(Key, Weak<C>)>>,
}

#[derive(Clone, Debug, PartialEq)]
struct Key {
    backend: &'static str,
    application: Option<String>,
    settings: Settings,
}

/// A backend of a capability's table by its name.
///
/// # Errors
/// When there is none.
pub fn find<C: ?Sized>(
    table: &'static [Backend<C>],
    name: &str,
) -> Result<&'static Backend<C>, OpenError> {
    table.iter().find(|backend| backend.name == name).ok_or_else(|| {
        let known: Vec<_> = table.iter().map(|backend| format!("`{}`", backend.name)).collect();
        OpenError::Unknown { name: name.to_owned(), known: known.join(", ") }
    })
}

impl<C: ?Sized> Opened<C> {
    /// A backend, opened with the settings that are its own. Those of the link's policy do not make it another one.
    ///
    /// # Errors
    /// When a setting is unknown or wrong, or it cannot be opened.
    pub fn open(
        &self,
        backend: &'static Backend<C>,
        opening: Opening<'_>,
    ) -> Result<Arc<C>, OpenError> {
        opening.settings.only(&[backend.settings, POLICY])?;
        let mut settings = opening.settings.clone();
        for setting in POLICY {
            settings.take(setting.name);
        }
        settings.read_files(backend.settings, opening.folder)?;
        let application = backend.private.then(|| opening.application.to_owned());
        let key = Key { backend: backend.name, application, settings };
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|(_, opened)| opened.strong_count() > 0);
        let known = all.iter().find(|(one, _)| *one == key);
        if let Some(opened) = known.and_then(|(_, opened)| opened.upgrade()) {
            return Ok(opened);
        }
        let opened = (backend.open)(Opening { settings: &key.settings, ..opening })?;
        all.push((key, Arc::downgrade(&opened)));
        Ok(opened)
    }
}

impl<C: ?Sized> Opened<C> {
    /// Has a backend without settings be one that is open already, for as long as somebody has it.
    pub fn keep(&self, backend: &'static Backend<C>, opened: &Arc<C>) {
        let key = Key { backend: backend.name, application: None, settings: Settings::default() };
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|(one, _)| *one != key);
        all.push((key, Arc::downgrade(opened)));
    }
}

impl<C: ?Sized> Default for Opened<C> {
    fn default() -> Self {
        Self { all: Mutex::default() }
    }
}

impl<C: ?Sized> std::fmt::Debug for Opened<C> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Opened").finish_non_exhaustive()
    }
}

impl<C: ?Sized> std::fmt::Debug for Backend<C> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Backend").field("name", &self.name).finish_non_exhaustive()
    }
}
