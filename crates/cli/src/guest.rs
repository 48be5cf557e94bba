//! What `run` and `serve` share: from flags to a workload.

use std::{
    fs,
    io::{self, IsTerminal as _, Read as _},
    path::{Path, PathBuf},
    sync::{Arc, mpsc},
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use reef_artifact::Artifact;
use reef_engine::{Allocation, Engine, EngineConfig};
use reef_grants::{ByteSize, EnvGrant, Grants, Limits};
use reef_host::{Failure, Spec, Workload};
use reef_telemetry::LogConfig;

use crate::args::{CacheArgs, GrantArgs, LimitArgs, Log, LogFormat};

/// Larger files are no WebAssembly that anything could run.
const LARGEST_FILE: u64 = 2 << 30;
/// After this, a person is told what takes so long.
const PATIENCE: Duration = Duration::from_secs(1);

/// Starts logging.
pub(crate) fn log(log: &Log, default: &str) -> anyhow::Result<()> {
    let format = match log.log_format {
        LogFormat::Human => reef_telemetry::LogFormat::Human,
        LogFormat::Json => reef_telemetry::LogFormat::Json,
    };
    let config = LogConfig::from_env(format, log.log.clone(), default);
    Ok(reef_telemetry::init(&config)?)
}

/// Reads an artifact from a file, or from standard input for `-`.
pub(crate) fn read(path: &Path) -> anyhow::Result<Artifact> {
    let standard_input = path == Path::new("-");
    let name =
        if standard_input { "standard input".to_owned() } else { path.display().to_string() };
    let mut bytes = Vec::new();
    if standard_input {
        std::io::stdin().lock().take(LARGEST_FILE + 1).read_to_end(&mut bytes)?;
    } else {
        let file = match fs::File::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                match std::env::current_dir() {
                    Ok(here) if path.is_relative() => {
                        bail!("there is no file {name} in {}; check its path", here.display())
                    }
                    _ => bail!("there is no file {name}; check its path"),
                }
            }
            opened => opened.with_context(|| format!("cannot open {name}"))?,
        };
        let meta = file.metadata().with_context(|| format!("cannot read {name}"))?;
        if meta.is_dir() {
            bail!("{name} is a folder; name a .wasm or .wat file in it");
        }
        check_size(&name, meta.len())?;
        bytes.reserve(usize::try_from(meta.len())?.saturating_add(1));
        // What is no file, or grows, does not say how much there is.
        file.take(LARGEST_FILE + 1)
            .read_to_end(&mut bytes)
            .with_context(|| format!("cannot read {name}"))?;
    }
    check_size(&name, bytes.len() as u64)?;
    Ok(Artifact::read(&name, bytes)?)
}

fn check_size(name: &str, bytes: u64) -> anyhow::Result<()> {
    if bytes > LARGEST_FILE {
        bail!(
            "{name} is larger than {}, more than any WebAssembly engine takes",
            ByteSize(LARGEST_FILE)
        );
    }
    Ok(())
}

/// The engine that flags ask for.
pub(crate) fn engine(cache: &CacheArgs, allocation: Allocation, ticks: bool) -> Arc<Engine> {
    let cache = if cache.no_cache { None } else { cache.cache_dir.clone().or_else(default_cache) };
    let engine = Engine::new(EngineConfig { allocation, cache, ticks, ..EngineConfig::default() });
    Arc::new(engine.on_compile(compiling))
}

fn default_cache() -> Option<PathBuf> {
    let var = |name| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    let base = var("XDG_CACHE_HOME").or_else(|| Some(var("HOME")?.join(".cache")))?;
    Some(base.join("reef").join("code"))
}

/// Says that something is being compiled if that takes longer than a person wonders.
fn compiling(name: &str, size: usize) -> Box<dyn Send> {
    struct Compiling(Option<mpsc::Sender<()>>, Option<std::thread::JoinHandle<()>>);
    impl Drop for Compiling {
        fn drop(&mut self) {
            self.0.take();
            if let Some(thread) = self.1.take() {
                let _ = thread.join();
            }
        }
    }
    let (sender, done) = mpsc::channel::<()>();
    let line = format!(
        "Compiling {name} ({}), once; later runs take it from the cache",
        ByteSize(size as u64)
    );
    let thread = std::thread::spawn(move || {
        let start = Instant::now();
        if done.recv_timeout(PATIENCE) != Err(mpsc::RecvTimeoutError::Timeout) {
            return;
        }
        eprintln!("{line} …");
        let _ = done.recv();
        if std::io::stderr().is_terminal() {
            eprintln!("Compiled in {:.1} s.", start.elapsed().as_secs_f64());
        }
    });
    Box::new(Compiling(Some(sender), Some(thread)))
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
        dirs: args.dir.clone(),
        env: unique,
        egress: args.egress.clone(),
        listen: args.listen.clone(),
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
    let spec = Spec { name: name.into(), grants, limits };
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
