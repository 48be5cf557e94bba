//! Where the checkout is, and `cargo` as this project calls it.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::cache::Cache;

/// The checkout that this xtask was built from.
pub(crate) struct Workspace {
    root: PathBuf,
}

impl Workspace {
    pub(crate) fn find() -> Result<Self> {
        // As Cargo says now, not as it said when this was compiled: two checkouts may share one target
        // directory, and then this very binary.
        let manifest = std::env::var_os("CARGO_MANIFEST_DIR")
            .unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
        let root = Path::new(&manifest).parent().context("xtask lies directly in the checkout")?;
        Ok(Self { root: root.to_owned() })
    }

    pub(crate) fn path(&self, relative: &str) -> PathBuf {
        self.root.join(relative)
    }

    /// `cargo` for the project's own crates: started in the checkout, with the target directory
    /// outside it unless the caller chose one, and with the guests and runtimes where tests look for them.
    pub(crate) fn cargo(&self, cache: &Cache) -> Command {
        let mut command = Command::new(cargo_program());
        command.current_dir(&self.root);
        command.env("CARGO_TARGET_DIR", cache.host_target());
        command.env("REEF_GUESTS", cache.guests());
        command.env("REEF_RUNTIMES", cache.runtimes());
        // What `cargo run` says of this package: build scripts that look at their own, like that of ring, would run
        // again, and all that needs them be compiled again, whenever somebody builds without xtask in between.
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
                command.env_remove(&name);
            }
        }
        command
    }
}

/// The cargo that started this xtask.
pub(crate) fn cargo_program() -> PathBuf {
    std::env::var_os("CARGO").map_or_else(|| "cargo".into(), PathBuf::from)
}
