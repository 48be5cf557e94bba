//! How a link may be used.

use std::time::Duration;

use crate::{
    rate::Rate,
    settings::{Setting, SettingError, Settings},
};

/// How a link may be used.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    /// For one use, all its tries together.
    pub timeout: Duration,
    /// Uses in a time: as many as there are, if nothing is said.
    pub rate: Option<Rate>,
    /// Uses in progress at once; others wait for as long as their time lasts.
    pub at_once: u32,
    /// Tries after the first, of what may be repeated.
    pub retries: u32,
    /// Bytes of one value, message or row.
    pub size: u64,
}

/// The setting that names a link's backend.
pub const BACKEND: Setting = Setting::new("backend", "what does it: `memory`");
/// The setting that names the part of the backend that a link is to.
pub const BUCKET: Setting = Setting::new("bucket", "the part of it; without, the guest names one");
const TIMEOUT: Setting = Setting::new("timeout", "how long one use may take: `5s`");
const RATE: Setting = Setting::new("rate", "how many uses in a time: `100/s`");
const AT_ONCE: Setting = Setting::new("at-once", "how many uses at once: `256`");
const RETRIES: Setting = Setting::new("retries", "how often what failed is tried again: `2`");
const SIZE: Setting = Setting::new("max-size", "how large a value may be: `8MiB`");

/// The settings that every link takes, whatever its backend.
pub const POLICY: &[Setting] = &[BACKEND, BUCKET, TIMEOUT, RATE, AT_ONCE, RETRIES, SIZE];

impl Default for Policy {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(5),
            rate: None,
            at_once: 256,
            retries: 2,
            size: 8 << 20,
        }
    }
}

impl Policy {
    /// What the settings say.
    ///
    /// # Errors
    /// When one of them makes no sense.
    pub fn read(settings: &Settings) -> Result<Self, SettingError> {
        let default = Self::default();
        let wrong = |name, why: &str| Err(SettingError::Wrong { name, why: why.to_owned() });
        let timeout = settings.duration(TIMEOUT.name)?.unwrap_or(default.timeout);
        if timeout.is_zero() {
            return wrong(TIMEOUT.name, "leaves no time at all");
        }
        let at_once = settings.parsed(AT_ONCE.name)?.unwrap_or(default.at_once);
        if at_once == 0 {
            return wrong(AT_ONCE.name, "leaves no use at all");
        }
        let retries = settings.parsed(RETRIES.name)?.unwrap_or(default.retries);
        if retries > 10 {
            return wrong(RETRIES.name, "is more than 10");
        }
        Ok(Self {
            timeout,
            rate: settings.parsed(RATE.name)?,
            at_once,
            retries,
            size: settings.size(SIZE.name)?.unwrap_or(default.size),
        })
    }
}
