//! Packages of PyPI in virtual environments of the cache, and Python guests.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::{debian, wit};
use crate::cache::{self, Cache};
use crate::guests::Guest;
use crate::process;
use crate::workspace::Workspace;

const COMPONENTIZE: &str = "componentize-py==0.25.1";
pub(crate) const STAMP: &str = COMPONENTIZE;

/// A virtual environment that holds exactly this requirement; returns its `bin` folder.
pub(crate) fn environment(cache: &Cache, requirement: &str) -> Result<PathBuf> {
    let folder = cache.toolchain(&format!("python-{}", requirement.replace("==", "-")));
    let bin = folder.join("bin");
    if cache::is_finished(&folder, requirement) {
        return Ok(bin);
    }
    eprintln!("installing {requirement} from PyPI");
    if !can_make_environments() {
        debian::ensure(&["python3", "python3-venv"])?;
    }
    cache::remove(&folder)?;
    process::capture(Command::new("python3").args(["-m", "venv"]).arg(&folder))?;
    let mut install = Command::new(bin.join("python"));
    install.args(["-m", "pip", "install", "--quiet", "--only-binary", ":all:", requirement]);
    process::capture(&mut install)?;
    cache::finish(&folder, requirement)?;
    Ok(bin)
}

/// A component out of `app.py`, for the world that the guest's manifest names.
pub(crate) fn build(workspace: &Workspace, cache: &Cache, guest: &Guest, out: &Path) -> Result<()> {
    let bin = environment(cache, COMPONENTIZE)?;
    // A copy, because bytecode is written beside the source.
    let source = cache.scratch("python")?;
    fs::copy(guest.folder.join("app.py"), source.join("app.py"))
        .context("the guest has no app.py")?;
    let world = guest.manifest.world()?;
    let folder = wit::world_folder(workspace, cache, &world, None)?;
    let mut command = Command::new(bin.join("componentize-py"));
    command.arg("--wit-path").arg(&folder).args(["--world", wit::WORLD, "componentize", "app"]);
    command.arg("--python-path").arg(&source).arg("--output").arg(out);
    process::capture(&mut command).map(drop)
}

fn can_make_environments() -> bool {
    let mut probe = Command::new("python3");
    process::capture(probe.args(["-c", "import venv, ensurepip"])).is_ok()
}
