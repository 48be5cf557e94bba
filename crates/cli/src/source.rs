//! Artifacts that arguments name: files, and places elsewhere.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::Context as _;
use reef_app::Source;
use reef_artifact::Artifact;
use reef_host::fetch::{self, Fetcher, Wanted};
use reef_registry::{Config, Registry, is_remote};

use crate::{
    args::{CacheArgs, SourceArgs},
    guest,
    progress::Downloads,
};

/// What fetches from elsewhere, as flags say.
pub(crate) fn fetcher(cache: &CacheArgs, args: &SourceArgs) -> Fetcher {
    let given = |text: &&String| !text.is_empty();
    let config = Config {
        store: guest::kept(cache, "artifacts"),
        insecure: args.insecure_registry.iter().filter(given).cloned().collect(),
        bindle_server: args.bindle_server.as_ref().filter(given).cloned(),
        ..Config::default()
    };
    Fetcher::new(Registry::new(config), Arc::new(Downloads::new()))
}

/// Where an argument says that an artifact is.
pub(crate) fn of(argument: &Path) -> anyhow::Result<Source> {
    match argument.to_str().filter(|text| is_remote(text)) {
        Some(text) => Ok(text.parse()?),
        None => Ok(Source::File(argument.to_owned())),
    }
}

/// The artifact that an argument names, waited for.
pub(crate) fn artifact(
    argument: &Path,
    digest: Option<&str>,
    cache: &CacheArgs,
    args: &SourceArgs,
) -> anyhow::Result<Artifact> {
    let source = of(argument)?;
    if let Source::File(file) = &source {
        let artifact = fetch::read(file)?;
        let is = artifact.digest().to_string();
        if let Some(should) = digest
            && !should.eq_ignore_ascii_case(&is)
        {
            anyhow::bail!(
                "{} is not what it should be: its digest is {is}, not {should}",
                file.display()
            );
        }
        return Ok(artifact);
    }
    let wanted = Wanted { digest: digest.map(str::to_owned), ..Wanted::new(source) };
    // Only for this: most that is run is a file.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start a runtime")?;
    let fetched = runtime.block_on(fetcher(cache, args).fetch(&wanted));
    // A resolver or a credential helper may sit in a call that nothing ends.
    runtime.shutdown_background();
    Ok(fetched?)
}

/// What something is called by where it comes from: the last part of its path, without its ending,
/// version, query or digest.
pub(crate) fn name_of(argument: &Path) -> String {
    let name = match of(argument) {
        Ok(Source::Url(url)) => {
            let path = url.split(['?', '#']).next().unwrap_or_default().to_owned();
            PathBuf::from(path).file_stem().map(|stem| stem.to_string_lossy().into_owned())
        }
        Ok(Source::Oci(reference)) => {
            let name = reference.split('@').next().unwrap_or_default();
            let last = name.rsplit('/').next().unwrap_or_default();
            last.split(':').next().map(str::to_owned)
        }
        Ok(Source::Bindle(id)) => id.rsplit('/').nth(1).map(str::to_owned),
        _ => return guest::name_of(argument),
    };
    name.filter(|name| !name.is_empty()).unwrap_or_else(|| "artifact".to_owned())
}

#[cfg(test)]
mod tests;
