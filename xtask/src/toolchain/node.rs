//! Packages of npm in folders of the cache, and the guests that they build: JavaScript and
//! AssemblyScript.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::{debian, wit};
use crate::cache::{self, Cache};
use crate::guests::Guest;
use crate::process;
use crate::workspace::Workspace;

pub(crate) const JAVASCRIPT: &str = "@bytecodealliance/componentize-js@0.23.0";
/// The release of WASI that componentize-js's engine was built for.
const JAVASCRIPT_WASI: &str = "0.2.10";
pub(crate) const ASSEMBLYSCRIPT: &str = "assemblyscript@0.28.20 @assemblyscript/wasi-shim@0.1.0";

/// Installs packages, given as `name@version` with spaces between; returns their `node_modules`.
pub(crate) fn modules(cache: &Cache, packages: &str) -> Result<PathBuf> {
    let name = &blake3::hash(packages.as_bytes()).to_hex()[..12];
    let folder = cache.toolchain(&format!("node-{name}"));
    let installed = folder.join("node_modules");
    if cache::is_finished(&folder, packages) {
        return Ok(installed);
    }
    eprintln!("installing {packages} from npm");
    if process::find("node").is_none() || process::find("npm").is_none() {
        debian::ensure(&["nodejs", "npm"])?;
    }
    cache::remove(&folder)?;
    fs::create_dir_all(&folder).context("cannot write to the cache")?;
    // A manifest of its own: without one, npm looks for the next in the folders above.
    fs::write(folder.join("package.json"), "{\"private\": true}\n")
        .context("cannot write to the cache")?;
    let mut install = Command::new("npm");
    install.current_dir(&folder).args(["install", "--no-audit", "--no-fund", "--save-exact"]);
    install.args(packages.split(' '));
    process::capture(&mut install)?;
    cache::finish(&folder, packages)?;
    Ok(installed)
}

/// A component out of `app.js`, for the world that the guest's manifest names.
pub(crate) fn build_javascript(
    workspace: &Workspace,
    cache: &Cache,
    guest: &Guest,
    out: &Path,
) -> Result<()> {
    let tools = modules(cache, JAVASCRIPT)?;
    let world = guest.manifest.world()?;
    let folder = wit::world_folder(workspace, cache, &world, Some(JAVASCRIPT_WASI))?;
    let mut command = Command::new("node");
    command.arg(tools.join("@bytecodealliance/componentize-js/src/cli.js"));
    command.arg(guest.folder.join("app.js")).arg("--wit").arg(folder);
    command.args(["--world-name", wit::WORLD]).arg("--out").arg(out);
    process::capture(&mut command).map(drop)
}

/// A core module out of `main.ts`: bare, or with the shim that gives it WASI 0.1.
pub(crate) fn build_assemblyscript(cache: &Cache, guest: &Guest, out: &Path) -> Result<()> {
    let tools = modules(cache, ASSEMBLYSCRIPT)?;
    // The compiler looks for the shim below the folder that it is started in.
    let folder = cache.scratch("assemblyscript")?;
    fs::copy(guest.folder.join("main.ts"), folder.join("main.ts"))
        .and_then(|_| symlink(&tools, folder.join("node_modules")))
        .context("cannot write to the cache")?;
    let mut command = Command::new("node");
    command.current_dir(folder).arg(tools.join("assemblyscript/bin/asc.js")).arg("main.ts");
    match guest.manifest.target.as_deref() {
        Some("bare") => command.args(["--runtime", "stub"]),
        Some("wasm32-wasip1") => {
            command.args(["--config", "./node_modules/@assemblyscript/wasi-shim/asconfig.json"])
        }
        other => bail!("AssemblyScript has no target {}", other.unwrap_or("(none given)")),
    };
    command.arg("--optimize").arg("--outFile").arg(out);
    process::capture(&mut command).map(drop)
}
