//! `reef runtimes`: the language runtimes that run scripts.

use std::{
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use reef_grants::ByteSize;
use reef_host::deploy::runtime_folders;
use reef_workers::Language;
use serde_json::{Value, json};

use crate::{
    args::{CacheArgs, InstallRuntime, ListRuntimes, Runtimes},
    source, table,
};

/// Languages that people ask for and that have no runtime.
const PENDING: [&str; 3] = ["php", "perl", "typescript"];

/// Lists runtimes, or installs one.
pub(crate) fn runtimes(args: &Runtimes) -> anyhow::Result<i32> {
    match args {
        Runtimes::List(list) => self::list(list),
        Runtimes::Install(install) => self::install(install),
    }
}

fn names() -> Vec<(&'static str, Language)> {
    let all = Language::ALL.into_iter().flat_map(|language| {
        let mut names: Vec<_> =
            [false, true].into_iter().filter_map(|sends| language.runtime(sends)).collect();
        names.dedup();
        names.into_iter().map(move |name| (name, language))
    });
    all.collect()
}

fn list(args: &ListRuntimes) -> anyhow::Result<i32> {
    let folders = runtime_folders();
    let mut rows = vec![["RUNTIME", "LANGUAGE", "SIZE", "FILE"].map(String::from)];
    let mut values = Vec::new();
    for (name, language) in names() {
        let file = folders.iter().map(|folder| folder.join(format!("{name}.wasm")));
        let file = file.into_iter().find(|file| file.is_file());
        let size = file.as_ref().and_then(|file| fs::metadata(file).ok()).map(|meta| meta.len());
        values.push(
            json!({ "name": name, "language": language.to_string(), "file": file, "bytes": size }),
        );
        rows.push([
            name.to_owned(),
            language.to_string(),
            size.map(|size| ByteSize(size).to_string()).unwrap_or_default(),
            file.map_or_else(|| "not installed".to_owned(), |file| file.display().to_string()),
        ]);
    }
    if args.json {
        writeln!(io::stdout(), "{:#}", Value::Array(values))?;
        return Ok(0);
    }
    for name in PENDING {
        rows.push([name, "", "", "pending: no build of it for WASI"].map(String::from));
    }
    table::print(&rows)
}

fn install(args: &InstallRuntime) -> anyhow::Result<i32> {
    let is_known = |name: &str| names().iter().any(|(known, _)| *known == name);
    let (name, from) = match &args.from {
        Some(from) => (args.name.clone(), from.clone()),
        // Where it is, if that is called as one of them is.
        None => (source::name_of(Path::new(&args.name)), PathBuf::from(&args.name)),
    };
    if PENDING.contains(&name.as_str()) {
        bail!("there is no runtime for {name} yet");
    }
    if !is_known(&name) {
        let all: Vec<_> = names().into_iter().map(|(name, _)| name).collect();
        bail!("`{name}` is no language runtime; there is {}", all.join(", "));
    }
    if args.from.is_none() && is_known(&args.name) {
        bail!(
            "say where {name} is, after its name: a file as `cargo xtask runtimes` builds it, \
             https://… or oci://REGISTRY/NAME:TAG"
        );
    }
    // Whatever is wrong with it is better known now.
    let digest = args.digest.as_deref();
    let artifact = source::artifact(&from, digest, &CacheArgs::from_env(), &args.sources)?;
    let folder = match &args.to {
        Some(folder) => folder.clone(),
        None => own_folder()?,
    };
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let to = folder.join(format!("{name}.wasm"));
    let new = folder.join(format!(".{name}.wasm.{}", std::process::id()));
    let written = fs::write(&new, artifact.bytes()).and_then(|()| fs::rename(&new, &to));
    if written.is_err() {
        let _ = fs::remove_file(&new);
    }
    written.with_context(|| format!("cannot write {}", to.display()))?;
    writeln!(io::stdout(), "{} is installed as {}.", name, to.display())?;
    Ok(0)
}

/// The folder of this user's runtimes.
fn own_folder() -> anyhow::Result<PathBuf> {
    runtime_folders()
        .into_iter()
        .next()
        .context("there is no folder for it: set HOME, or name one with --to")
}
