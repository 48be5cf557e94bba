//! In the environment of this process: only what has a prefix, as all else there is none of a guest's business.

use std::{
    ffi::{OsStr, OsString},
    fmt,
    os::unix::ffi::OsStringExt as _,
    sync::Arc,
};

use async_trait::async_trait;
use reef_capability::{Backend, Failure, OpenError, Opening, Setting};

use crate::{
    Keys, Source, Store, Value,
    store::{CACHE, KEYS},
};

const PREFIX: Setting =
    Setting::new("prefix", "what the variables' names begin with, which no value's does: `APP_`");

pub(crate) const BACKEND: Backend<Store> = Backend {
    name: "env",
    system: "reef.environment",
    settings: &[PREFIX, KEYS, CACHE],
    private: false,
    open,
};

struct Environment {
    prefix: String,
    one: fn(&str) -> Option<OsString>,
    all: fn() -> Vec<(OsString, OsString)>,
}

fn open(opening: Opening<'_>) -> Result<Arc<Store>, OpenError> {
    let prefix = opening.settings.required(&PREFIX)?.to_owned();
    let one = |name: &str| std::env::var_os(name);
    let all = || std::env::vars_os().collect();
    Store::open_fixed(Environment { prefix, one, all }, opening)
}

impl Environment {
    /// The name of a value as it is listed: `APP_DB_PASSWORD` is `db-password`.
    fn name(&self, variable: &OsStr) -> Option<String> {
        let rest = variable.to_str()?.strip_prefix(&self.prefix)?;
        Some(rest.to_ascii_lowercase().replace('_', "-"))
    }
}

/// What a name is as a variable of the environment, after the prefix.
fn variable(name: &str) -> String {
    name.to_ascii_uppercase().replace(['-', '.'], "_")
}

#[async_trait]
impl Source for Environment {
    async fn get(&self, name: &str) -> Result<Option<Value>, Failure> {
        let of = |name: &str| (self.one)(&format!("{}{name}", self.prefix));
        let found = of(name).or_else(|| of(&variable(name)));
        Ok(found.map(|value| value.into_vec().into()))
    }

    async fn all(&self, granted: &Keys) -> Result<Vec<(String, Value)>, Failure> {
        let mut values = Vec::<(String, Value)>::new();
        for (variable, value) in (self.all)() {
            let Some(name) = self.name(&variable) else { continue };
            if granted.grants(&name) && !values.iter().any(|(one, _)| *one == name) {
                values.push((name, value.into_vec().into()));
            }
        }
        Ok(values)
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Environment").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
