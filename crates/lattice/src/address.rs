//! Where a lattice is, as a person says it.

use std::{
    fmt::{self, Display},
    fs::File,
    io::Read as _,
    str::FromStr,
    sync::Arc,
};

use reef_capability::{Secret, Setting, SettingError, Settings};
use reef_nats::setting;

use crate::DEFAULT;

/// The servers of a lattice, its name, and who one is to them:
/// `nats://host:4222/NAME?credentials-file=reef.creds`. Several servers have commas between them; `tls://` asks for TLS;
/// without a name, it is `default`. It is shown without what may be a secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Address {
    name: Arc<str>,
    /// `nats://one:4222,two:4222`, without users.
    shown: String,
    settings: Settings,
}

/// Not the address of a lattice. What was written is not repeated, as it may hold a password.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AddressError {
    /// It begins otherwise.
    #[error(
        "the address of a lattice begins with `nats://` or `tls://`: `nats://host:4222/NAME`, several servers with commas"
    )]
    Scheme,
    /// No server, or something that is none.
    #[error(
        "the address of a lattice has a server that is none: `nats://host:4222,other:4222/NAME`"
    )]
    Server,
    /// No name.
    #[error(
        "the name of a lattice, behind the servers and `/`, is of letters, digits, `-` and `_`, {LONGEST} of them at most"
    )]
    Name,
    /// What stands behind `?` is wrong.
    #[error("the address of a lattice, behind `?`: {0}")]
    Setting(#[from] SettingError),
    /// One of these has no value.
    #[error(
        "the address of a lattice, behind `?`: `NAME=VALUE`, with `&` between, and `%26` for an `&` in a value"
    )]
    Pair,
}

/// The longest name.
const LONGEST: usize = 64;
/// The longest address.
const LONGEST_TEXT: usize = 16 << 10;
/// Bytes of a file with a secret.
const LARGEST: u64 = 64 << 10;

const USER: Setting = setting::USER;
const PASSWORD: Setting = setting::PASSWORD;
const PASSWORD_FILE: Setting = Setting::new("password-file", "a file with the user's password");
const TOKEN: Setting = setting::TOKEN;
const TOKEN_FILE: Setting = Setting::new("token-file", "a file with a token");
const NKEY_FILE: Setting = Setting::new("nkey-file", "a file with the seed of an NKey");
const CREDENTIALS_FILE: Setting =
    Setting::new("credentials-file", "a `.creds` file, with a JWT and its seed");

/// What may stand behind `?`.
pub const SETTINGS: &[Setting] = &[
    CREDENTIALS_FILE,
    NKEY_FILE,
    USER,
    PASSWORD,
    PASSWORD_FILE,
    TOKEN,
    TOKEN_FILE,
    setting::TLS,
    setting::TLS_ROOTS,
    setting::TLS_CERT,
    setting::TLS_KEY,
    setting::DOMAIN,
];

/// Settings that are in files, and what is in them.
const FILES: [(Setting, Setting); 4] = [
    (CREDENTIALS_FILE, setting::CREDENTIALS),
    (NKEY_FILE, setting::NKEY),
    (PASSWORD_FILE, setting::PASSWORD),
    (TOKEN_FILE, setting::TOKEN),
];

impl Address {
    /// What the lattice is called.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The settings of a connection, with what is in the files.
    pub(crate) fn settings(&self) -> Result<Settings, SettingError> {
        let mut settings = self.settings.clone();
        for (file, setting) in FILES {
            let Some(path) = settings.take(file.name) else { continue };
            let wrong = |why: String| SettingError::Wrong { name: file.name, why };
            if settings.get(setting.name).is_some() {
                return Err(wrong(format!("is one of two ways to say `{}`", setting.name)));
            }
            let mut text = String::new();
            let path = path.expose();
            let read = File::open(path)
                .and_then(|file| file.take(LARGEST + 1).read_to_string(&mut text))
                .map_err(|error| wrong(format!("names {path}, which cannot be read: {error}")))?;
            let text = Secret::from(text);
            if read as u64 > LARGEST {
                return Err(wrong(format!("names {path}, which is larger than 64 KiB")));
            }
            settings.insert(setting.name, text.expose().trim());
        }
        Ok(settings)
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        if text.len() > LONGEST_TEXT {
            return Err(AddressError::Server);
        }
        let (scheme, rest) = text.trim().split_once("://").ok_or(AddressError::Scheme)?;
        if !matches!(scheme, "nats" | "tls") {
            return Err(AddressError::Scheme);
        }
        let (place, query) = match rest.split_once('?') {
            Some((place, query)) => (place, Some(query)),
            None => (rest, None),
        };
        // The last server has the name behind it; others may have a scheme of their own before them.
        let mut servers: Vec<_> = place.split(',').map(str::trim).collect();
        let last = servers.pop().unwrap_or_default();
        let (last_scheme, last) = match last.split_once("://") {
            Some((scheme, last)) => (Some(scheme), last),
            None => (None, last),
        };
        let (last, name) = last.split_once('/').unwrap_or((last, ""));
        let name = name.strip_suffix('/').unwrap_or(name);
        let (mut urls, mut shown) = (Vec::new(), Vec::new());
        let all = servers.into_iter().map(|server| {
            let (own, server) = match server.split_once("://") {
                Some((own, server)) => (Some(own), server),
                None => (None, server),
            };
            (own, server.trim_end_matches('/'))
        });
        for (own, server) in all.chain([(last_scheme, last)]) {
            if own.is_some_and(|own| own != scheme) {
                return Err(AddressError::Scheme);
            }
            if server.is_empty() || server.contains(['/', '#']) {
                return Err(AddressError::Server);
            }
            let url = format!("{scheme}://{server}");
            let parsed: async_nats::ServerAddr = url.parse().map_err(|_| AddressError::Server)?;
            let (host, port) = (parsed.host(), parsed.port());
            if host.is_empty() {
                return Err(AddressError::Server);
            }
            let v6 = host.contains(':') && !host.starts_with('[');
            shown.push(if v6 { format!("[{host}]:{port}") } else { format!("{host}:{port}") });
            urls.push(url);
        }
        let name = if name.is_empty() { DEFAULT } else { name };
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        if name.len() > LONGEST || !name.bytes().all(plain) {
            return Err(AddressError::Name);
        }
        let mut settings = Settings::default();
        for pair in query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').ok_or(AddressError::Pair)?;
            let value = percent_encoding::percent_decode_str(value).decode_utf8();
            let value = value.map_err(|_| AddressError::Pair)?;
            if value.is_empty() || settings.get(name).is_some() {
                return Err(AddressError::Pair);
            }
            settings.insert(name, value.into_owned());
        }
        settings.only(&[SETTINGS])?;
        settings.insert(setting::URL.name, urls.join(","));
        Ok(Self { name: name.into(), shown: format!("{scheme}://{}", shown.join(",")), settings })
    }
}

impl Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.shown, self.name)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({self})")
    }
}

#[cfg(test)]
mod tests;
