//! Where an application of Spin finds the values of its variables: `SPIN_VARIABLE_NAME` in the
//! environment, then in the file `.env` of the folder that the command is run in.
//!
//! Source: Spin's `crates/variables-env`, and its documentation (`dynamic-configuration`).

use std::{collections::HashMap, io, path::Path};

use anyhow::{Context as _, bail};
use reef_app::Name;

/// The file, from the present folder on.
const FILE: &str = ".env";
/// Bytes of it.
const LARGEST: u64 = 1 << 20;

/// What there is beside the environment.
#[derive(Debug, Default)]
pub(crate) struct Values(HashMap<String, String>);

impl Values {
    /// Reads the file, if there is one.
    ///
    /// # Errors
    /// When it is there and cannot be read. What it says is not a part of the message.
    pub(crate) fn read() -> anyhow::Result<Self> {
        Self::of(Path::new(FILE))
    }

    fn of(path: &Path) -> anyhow::Result<Self> {
        let name = path.display();
        match std::fs::metadata(path) {
            Ok(found) if !found.is_file() => return Ok(Self::default()),
            Ok(found) if found.len() > LARGEST => {
                bail!("{name} is larger than {LARGEST} bytes: it holds no values of variables")
            }
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(error).with_context(|| format!("cannot read {name}")),
        }
        let lines = dotenvy::from_path_iter(path).map_err(|_| unreadable(path))?;
        let values = lines.collect::<Result<_, _>>().map_err(|_| unreadable(path))?;
        Ok(Self(values))
    }

    /// What a variable is.
    pub(crate) fn value(&self, name: &Name) -> Option<String> {
        let name = environment_name(name);
        std::env::var(&name).ok().or_else(|| self.0.get(&name).cloned())
    }
}

/// Lines hold secrets, and are not shown.
fn unreadable(path: &Path) -> anyhow::Error {
    anyhow::anyhow!(
        "{} cannot be read as lines of NAME=VALUE; put values with spaces in quotes",
        path.display()
    )
}

/// Where the environment holds a variable's value, for Spin.
pub(crate) fn environment_name(name: &Name) -> String {
    format!("SPIN_VARIABLE_{}", name.as_str().to_ascii_uppercase())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn a_file_holds_values() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("env");
        let read = || Values::of(&path).map(|values| values.0.into_iter().collect::<Vec<_>>());
        assert_eq!(read().unwrap(), []);
        std::fs::write(&path, "# a remark\nSPIN_VARIABLE_A=\"b c\"\n").unwrap();
        assert_eq!(read().unwrap(), [("SPIN_VARIABLE_A".to_owned(), "b c".to_owned())]);
        std::fs::write(&path, "SPIN_VARIABLE_A='hunter2").unwrap();
        let said = format!("{:#}", read().unwrap_err());
        assert!(said.contains("NAME=VALUE") && !said.contains("hunter2"), "{said}");
    }
}
