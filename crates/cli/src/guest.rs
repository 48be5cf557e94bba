//! What `run` and `serve` share: from flags to a workload.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context as _, bail};
use reef_artifact::Artifact;
use reef_engine::{Allocation, Engine, EngineConfig};
use reef_grants::{EnvGrant, Grants, Limits};
use reef_host::{Failure, Spec, Workload};
use reef_telemetry::{Journal, LogConfig};

use crate::{
    args::{CacheArgs, DataArgs, GrantArgs, LimitArgs, Log, LogFormat},
    background, live,
};

/// Starts logging.
pub(crate) fn log(log: &Log, default: &str) -> anyhow::Result<()> {
    log_to(log, default, None)
}

/// The same, and keeps the last lines.
pub(crate) fn log_to(
    log: &Log,
    default: &str,
    journal: Option<Arc<Journal>>,
) -> anyhow::Result<()> {
    let format = match log.log_format {
        LogFormat::Human => reef_telemetry::LogFormat::Human,
        LogFormat::Json => reef_telemetry::LogFormat::Json,
    };
    let config = LogConfig { journal, ..LogConfig::from_env(format, log.log.clone(), default) };
    let own = background::Log::own();
    reef_telemetry::init_to(&config, move |line: &[u8]| {
        live::write(line);
        if let Some(own) = &own {
            own.written(line.len());
        }
    })?;
    Ok(())
}

/// The engine that flags ask for. `told`: what compiles says so by itself; hosts say more of it.
pub(crate) fn engine(
    cache: &CacheArgs,
    allocation: Allocation,
    ticks: bool,
    told: bool,
) -> Arc<Engine> {
    let cache = if cache.no_cache { None } else { cache.cache_dir.clone().or_else(default_cache) };
    let engine = Engine::new(EngineConfig { allocation, cache, ticks, ..EngineConfig::default() });
    Arc::new(if told { engine.on_compile(live::compiling) } else { engine })
}

/// Where something else than code is kept: beside it.
pub(crate) fn kept(cache: &CacheArgs, what: &str) -> Option<PathBuf> {
    let code = if cache.no_cache { None } else { cache.cache_dir.clone().or_else(default_cache) };
    Some(code?.with_extension(what))
}

/// Where applications keep what is theirs; those that are worked on, beside those that serve.
pub(crate) fn data(args: &DataArgs, worked_on: bool) -> Option<PathBuf> {
    if args.no_data {
        return None;
    }
    let var = |name| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    let default = || {
        let base = var("XDG_DATA_HOME").or_else(|| Some(var("HOME")?.join(".local/share")))?;
        Some(base.join("reef").join(if worked_on { "dev" } else { "data" }))
    };
    args.data.clone().or_else(default)
}

fn default_cache() -> Option<PathBuf> {
    let var = |name| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    let base = var("XDG_CACHE_HOME").or_else(|| Some(var("HOME")?.join(".cache")))?;
    Some(base.join("reef").join("code"))
}

/// The grants that flags give.
pub(crate) fn grants(args: &GrantArgs) -> anyhow::Result<Grants> {
    let mut env = Vec::new();
    for file in &args.env_file {
        let text = fs::read_to_string(file)
            .with_context(|| format!("cannot read the variables in {}", file.display()))?;
        for (number, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let line = line.strip_prefix("export ").unwrap_or(line);
            let grant: EnvGrant =
                line.parse().with_context(|| format!("{}, line {}", file.display(), number + 1))?;
            let value = grant.value.map(|value| unquoted(&value).to_owned());
            env.push(resolve(EnvGrant { value, ..grant })?);
        }
    }
    for grant in &args.env {
        env.push(resolve(grant.clone())?);
    }
    // The last one named wins, as in a shell.
    let mut unique: Vec<(String, String)> = Vec::with_capacity(env.len());
    for (key, value) in env {
        match unique.iter_mut().find(|(known, _)| *known == key) {
            Some(known) => known.1 = value,
            None => unique.push((key, value)),
        }
    }
    Ok(Grants {
        scratch: None,
        dirs: args.dir.clone(),
        env: unique,
        config: Vec::new(),
        egress: args.egress.clone(),
        listen: args.listen.clone(),
        tls: None,
    })
}

fn unquoted(value: &str) -> &str {
    let value = value.trim();
    for quote in ['"', '\''] {
        if let Some(inner) = value.strip_prefix(quote).and_then(|v| v.strip_suffix(quote)) {
            return inner;
        }
    }
    value
}

fn resolve(grant: EnvGrant) -> anyhow::Result<(String, String)> {
    match grant.value {
        Some(value) => Ok((grant.key, value)),
        None => match std::env::var(&grant.key) {
            Ok(value) => Ok((grant.key, value)),
            Err(std::env::VarError::NotPresent) => {
                bail!("--env {0}: {0} is not set here; set it, or write --env {0}=VALUE", grant.key)
            }
            Err(std::env::VarError::NotUnicode(_)) => {
                bail!("--env {}: its value is not UTF-8, which WASI requires", grant.key)
            }
        },
    }
}

/// The limits that flags set, over a command's own defaults.
pub(crate) fn limits(args: &LimitArgs, default: Limits) -> Limits {
    Limits {
        deadline: args.deadline.or(default.deadline),
        memory: args.memory.unwrap_or(default.memory),
        cpu: args.cpu,
        ..default
    }
}

/// Compiles and links.
pub(crate) fn prepare(
    engine: &Arc<Engine>,
    artifact: &Artifact,
    name: String,
    grants: Grants,
    limits: Limits,
) -> anyhow::Result<Arc<Workload>> {
    let spec = Spec { name: name.into(), grants, limits, remote: Vec::new() };
    Ok(Arc::new(Workload::prepare(engine.clone(), artifact, spec)?))
}

/// The exit status that an error stands for.
pub(crate) fn status_of(error: &anyhow::Error) -> i32 {
    match error.downcast_ref::<Failure>() {
        Some(failure) => failure.exit_status().into(),
        None => 125,
    }
}

/// What a workload is called when nobody says: its file's name without the ending.
pub(crate) fn name_of(path: &Path) -> String {
    if path == Path::new("-") {
        return "standard input".to_owned();
    }
    path.file_stem()
        .map_or_else(|| path.display().to_string(), |s| s.to_string_lossy().into_owned())
}
