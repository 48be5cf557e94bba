//! The settings of links to servers that are connected to over TLS: the same ones for all of them.

use std::{fs::File, io::Read as _, path::Path};

use reef_egress::{PemError, Tls};
use zeroize::Zeroizing;

use crate::settings::{Secret, Setting, SettingError, Settings};

/// Whom to trust.
pub const TLS_ROOTS: Setting = Setting::new(
    "tls-roots",
    "the certificates of the authorities to trust in place of the machine's, in PEM: a file, or the text itself",
);
/// As whom to come.
pub const TLS_CERT: Setting = Setting::new(
    "tls-cert",
    "the certificate to show, and those that lead to its authority, in PEM: a file, or the text itself",
);
/// That one's key.
pub const TLS_KEY: Setting = Setting::new(
    "tls-key",
    "the key of `tls-cert`, in PEM: a file, or by secret reference the text itself",
);

/// All of them.
const TLS: [Setting; 3] = [TLS_ROOTS, TLS_CERT, TLS_KEY];
/// What a text in PEM has, and the name of a file has not.
const BEGIN: &str = "-----BEGIN ";
/// Bytes of a file. All authorities of a machine together have a quarter of that.
const LARGEST: u64 = 1 << 20;

impl Settings {
    /// Whom the link trusts and as whom it comes, if its settings say anything of it; files are looked for from
    /// `folder`.
    ///
    /// # Errors
    /// When a file cannot be read, or one of them makes no sense.
    pub fn tls(&self, folder: &Path) -> Result<Option<Tls>, SettingError> {
        let read = |setting| self.pem(setting, folder);
        let (roots, cert, key) = (read(TLS_ROOTS)?, read(TLS_CERT)?, read(TLS_KEY)?);
        let identity = match (&cert, &key) {
            (Some(cert), Some(key)) => Some((cert.expose().as_bytes(), key.expose().as_bytes())),
            (None, None) => None,
            (Some(_), None) => return Err(wrong(TLS_KEY, "belongs to `tls-cert`")),
            (None, Some(_)) => return Err(wrong(TLS_CERT, "belongs to `tls-key`")),
        };
        if roots.is_none() && identity.is_none() {
            return Ok(None);
        }
        let roots = roots.as_ref().map(|roots| roots.expose().as_bytes());
        let tls = Tls::from_pem(roots, identity).map_err(|error| match error {
            PemError::Roots(why) => wrong(TLS_ROOTS, format!("cannot be used: {why}")),
            PemError::Cert(why) => wrong(TLS_CERT, format!("cannot be used: {why}")),
            PemError::Key(why) => wrong(TLS_KEY, format!("cannot be used: {why}")),
        })?;
        Ok(Some(tls))
    }

    /// The same for a server whose address does not ask for TLS: there must be nothing. `ask` says how to ask for it.
    ///
    /// # Errors
    /// When there is one of them.
    pub fn no_tls(&self, ask: &str) -> Result<(), SettingError> {
        match TLS.into_iter().find(|setting| self.get(setting.name).is_some()) {
            Some(setting) => Err(wrong(setting, format!("is of no use without TLS: {ask}"))),
            None => Ok(()),
        }
    }

    /// Puts what is in the files in place of their names, for a backend that `takes` these settings: what was
    /// replaced in a file makes another backend.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn read_files(&mut self, takes: &[Setting], folder: &Path) -> Result<(), SettingError> {
        for setting in TLS {
            if takes.iter().any(|taken| taken.name == setting.name)
                && let Some(text) = self.pem(setting, folder)?
            {
                self.insert(setting.name, text);
            }
        }
        Ok(())
    }

    fn pem(&self, setting: Setting, folder: &Path) -> Result<Option<Secret>, SettingError> {
        let Some(said) = self.get(setting.name) else { return Ok(None) };
        if said.contains(BEGIN) {
            return Ok(Some(said.into()));
        }
        if said.trim().is_empty() {
            return Err(wrong(setting, "is empty"));
        }
        let path = folder.join(said.trim());
        let unreadable = |why: &dyn std::fmt::Display| {
            // What names no file may be a key all the same.
            let shown = setting.name != TLS_KEY.name || path.is_file();
            let path = if shown { path.display().to_string() } else { "…".to_owned() };
            wrong(setting, format!("names a file that cannot be read: {path}: {why}"))
        };
        let mut text = Zeroizing::new(String::new());
        let read =
            File::open(&path).and_then(|file| file.take(LARGEST + 1).read_to_string(&mut text));
        match read {
            Ok(bytes) if bytes as u64 > LARGEST => Err(unreadable(&"it is larger than 1 MiB")),
            Ok(_) => Ok(Some(text.as_str().into())),
            Err(error) => Err(unreadable(&error)),
        }
    }
}

fn wrong(setting: Setting, why: impl Into<String>) -> SettingError {
    SettingError::Wrong { name: setting.name, why: why.into() }
}

#[cfg(test)]
mod tests;
