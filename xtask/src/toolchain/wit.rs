//! The WIT of WASI 0.2 and 0.3, taken from the source of the crates that guests use (`wasip2`,
//! `wasip3`), so that no copy of it lies in the checkout.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::cache::Cache;
use crate::process;
use crate::workspace::{Workspace, cargo_program};

/// The name of the one world in what [`world_folder`] returns.
pub(crate) const WORLD: &str = "guest";

/// The `wit` folder of the crate `wasip2` or `wasip3` at the version that guests are locked to.
pub(crate) fn of_crate(workspace: &Workspace, name: &str) -> Result<PathBuf> {
    #[derive(Deserialize)]
    struct Metadata {
        packages: Vec<Package>,
    }
    #[derive(Deserialize)]
    struct Package {
        name: String,
        manifest_path: PathBuf,
    }
    let mut command = Command::new(cargo_program());
    process::outside_cargo(&mut command);
    command.args(["metadata", "--locked", "--format-version", "1", "--manifest-path"]);
    command.arg(workspace.path("guests/rust/Cargo.toml"));
    let printed = process::capture(&mut command)?;
    let metadata: Metadata = serde_json::from_str(&printed).context("cargo metadata")?;
    let package = metadata.packages.into_iter().find(|package| package.name == name);
    let manifest = package.with_context(|| format!("guests do not use {name}"))?.manifest_path;
    let folder = manifest.with_file_name("wit");
    if !folder.is_dir() {
        bail!("the crate {name} has no WIT in {}", folder.display());
    }
    Ok(folder)
}

/// A WIT folder whose world [`WORLD`] includes `world` (such as `wasi:http/proxy@0.2.12`). `version`
/// replaces that version everywhere: for tools built for an older release with the same content.
pub(crate) fn world_folder(
    workspace: &Workspace,
    cache: &Cache,
    world: &str,
    version: Option<&str>,
) -> Result<PathBuf> {
    let (_, given) = world.split_once('@').with_context(|| format!("{world} has no version"))?;
    let source = of_crate(workspace, if given.starts_with("0.2.") { "wasip2" } else { "wasip3" })?;
    let wanted = version.unwrap_or(given);
    let folder = cache.scratch("wit")?;
    fs::create_dir_all(folder.join("deps")).context("cannot write to the cache")?;
    for entry in fs::read_dir(source.join("deps")).context("the crate's WIT cannot be read")? {
        let path = entry.context("the crate's WIT cannot be read")?.path();
        copy_with_version(&path, &folder.join("deps"), given, wanted)?;
    }
    let world = world.replace(given, wanted);
    let text = format!("package reef-test:guest;\n\nworld {WORLD} {{\n    include {world};\n}}\n");
    fs::write(folder.join("world.wit"), text).context("cannot write to the cache")?;
    Ok(folder)
}

fn copy_with_version(file: &Path, folder: &Path, given: &str, wanted: &str) -> Result<()> {
    let text =
        fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let name = file.file_name().context("a file has a name")?;
    let text = text.replace(given, wanted);
    fs::write(folder.join(name), text).context("cannot write to the cache")
}
