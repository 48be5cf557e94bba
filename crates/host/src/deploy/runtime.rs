//! Scripts and the language runtimes that run them: Wasm modules, too.

use std::{
    collections::HashMap,
    fs,
    io::{Cursor, Write as _},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use reef_app::Source;
use reef_artifact::{Artifact, Digest};
use reef_engine::{Background, Code, Engine, Flavour, Paced, Share, within};
use reef_grants::{Grants, Limits};
use reef_meter::Meter;
use reef_wasi::{ModuleGuest, Stdio, Storage, World, module_linker};
use reef_workers::{INITIALIZE, Language};
use wasmtime::{Instance, Store, Val};
use wasmtime_wasi::cli::AsyncStdinStream;
use wasmtime_wizer::{InstanceState, SnapshotVal, ValType, Wizer};

use crate::{
    failure::Trap,
    fetch,
    pipe::{Ending, Pipe},
};

/// Bytes of a script.
const LARGEST: u64 = 16 << 20;
/// How long a script may take to be evaluated for the first time.
const EVALUATING: Duration = Duration::from_secs(30);
/// Bytes of what a script says while it is.
const SAID: usize = 64 << 10;

/// Scripts that were evaluated, by everything that this depends on: it takes a good part of a second, and
/// comes out a little different each time, so that the code cache would not know it.
#[derive(Debug, Default)]
pub(super) struct Snapshots {
    kept: Mutex<HashMap<Digest, Artifact>>,
    folder: Option<PathBuf>,
}

/// Snapshots that are kept: more are a site of many scripts, each of which is some megabytes.
const MOST: usize = 256;

impl Snapshots {
    /// Kept in a folder, too.
    pub(super) fn new(folder: Option<PathBuf>) -> Self {
        Self { kept: Mutex::default(), folder }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Digest, Artifact>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn file(&self, key: &Digest) -> Option<PathBuf> {
        let name = key.to_string().replace(':', "-");
        Some(self.folder.as_ref()?.join(format!("{name}.wasm")))
    }

    fn find(&self, name: &str, key: &Digest) -> Option<Artifact> {
        if let Some(artifact) = self.lock().get(key) {
            return Some(artifact.clone());
        }
        // What is damaged is evaluated anew.
        let artifact = Artifact::read(name, fs::read(self.file(key)?).ok()?).ok()?;
        self.lock().insert(*key, artifact.clone());
        Some(artifact)
    }

    fn keep(&self, key: Digest, artifact: Artifact) {
        if let (Some(file), Some(folder)) = (self.file(&key), &self.folder)
            && let Err(error) = write(folder, &file, artifact.bytes())
        {
            tracing::debug!(%error, "An evaluated script is not kept for the next start.");
        }
        let mut all = self.lock();
        if all.len() >= MOST {
            all.clear();
        }
        all.insert(key, artifact);
    }
}

/// Writes a file of the folder whole, and makes room for it.
fn write(folder: &Path, file: &Path, bytes: &[u8]) -> std::io::Result<()> {
    fs::create_dir_all(folder)?;
    let mut old: Vec<_> = fs::read_dir(folder)?
        .flatten()
        .filter(|entry| entry.path().extension().is_some_and(|ending| ending == "wasm"))
        .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
        .collect();
    old.sort();
    for (_, oldest) in old.iter().take((old.len() + 1).saturating_sub(MOST)) {
        let _ = fs::remove_file(oldest);
    }
    let mut new = tempfile::NamedTempFile::new_in(folder)?;
    new.write_all(bytes)?;
    new.persist(file).map_err(|error| error.error)?;
    Ok(())
}

/// A script as something that can be run.
pub(super) struct Scripted {
    pub(super) artifact: Artifact,
    /// What its runtime is started with, for each request.
    pub(super) args: Vec<String>,
}

/// Why a script cannot be run.
#[derive(Debug, thiserror::Error)]
pub(super) enum ScriptError {
    #[error("there is no language runtime `{name}`: install it with `reef runtimes install {name} FILE` (looked in {})", .looked.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", "))]
    NoRuntime { name: String, looked: Vec<PathBuf> },
    #[error("`{0}` is no language runtime; there is javascript, lua, python, ruby")]
    Unknown(String),
    #[error(transparent)]
    Fetch(#[from] fetch::FetchError),
    #[error("{path} cannot be read as a script: {why}")]
    Script { path: PathBuf, why: String },
    #[error("the runtime {name} does not fit: {why}")]
    Runtime { name: String, why: String },
    #[error("the script cannot be evaluated:\n{0}")]
    Evaluation(String),
}

/// Where language runtimes are looked for, the first first.
pub fn runtime_folders() -> Vec<PathBuf> {
    let var = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let data = var("XDG_DATA_HOME").or_else(|| Some(var("HOME")?.join(".local/share")));
    let beside = std::env::current_exe().ok().and_then(|path| Some(path.parent()?.to_owned()));
    let folders = [
        var("REEF_RUNTIMES"),
        data.map(|data| data.join("reef/runtimes")),
        beside.map(|folder| folder.join("../share/reef/runtimes")),
    ];
    folders.into_iter().flatten().collect()
}

/// Makes a script ready: evaluated once where its runtime can do that, whole otherwise.
///
/// `variables` are the names of its environment's. `handle` drives what is waited for; to be called where
/// that may take its time.
#[expect(clippy::too_many_arguments, reason = "each is something else")]
pub(super) fn prepare(
    engine: &Arc<Engine>,
    background: &Arc<Background>,
    handle: &tokio::runtime::Handle,
    snapshots: &Snapshots,
    name: &str,
    source: &Source,
    folder: &Path,
    variables: &[&str],
) -> Result<Scripted, ScriptError> {
    let language = Language::ALL
        .into_iter()
        .find(|language| [false, true].iter().any(|sends| language.runtime(*sends) == Some(name)));
    let language = language.ok_or_else(|| ScriptError::Unknown(name.to_owned()))?;
    let looked = runtime_folders();
    let file =
        looked.iter().map(|folder| folder.join(format!("{name}.wasm"))).find(|f| f.is_file());
    let Some(file) = file else {
        return Err(ScriptError::NoRuntime { name: name.to_owned(), looked });
    };
    let runtime = fetch::read(&file)?;
    let (path, script) = script(source, folder)?;
    let called =
        path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    if !language.is_initialized_once() {
        return Ok(Scripted { artifact: runtime, args: language.arguments(&called, &script) });
    }
    let args = language.initial_arguments(&called, variables.iter().copied());
    let key = format!("{}\0{}\0{script}", runtime.digest(), args.join("\0"));
    let key = Digest::of(key.as_bytes());
    if let Some(artifact) = snapshots.find(runtime.name(), &key) {
        return Ok(Scripted { artifact, args: Vec::new() });
    }
    let evaluating = snapshot(engine, background, &runtime, args, script);
    let artifact = handle.block_on(evaluating)?;
    snapshots.keep(key, artifact.clone());
    Ok(Scripted { artifact, args: Vec::new() })
}

/// A script's text.
fn script(source: &Source, folder: &Path) -> Result<(PathBuf, String), ScriptError> {
    let Source::File(file) = source else {
        return Err(fetch::FetchError::Remote(source.clone()).into());
    };
    let path = folder.join(file);
    let wrong = |why: String| ScriptError::Script { path: path.clone(), why };
    let length = fs::metadata(&path).map_err(|error| wrong(error.to_string()))?.len();
    if length > LARGEST {
        return Err(wrong(format!("it is larger than {LARGEST} bytes")));
    }
    let text = fs::read_to_string(&path).map_err(|error| wrong(error.to_string()))?;
    Ok((path, text))
}

/// The runtime as it is when it has evaluated the script.
async fn snapshot(
    engine: &Arc<Engine>,
    background: &Arc<Background>,
    runtime: &Artifact,
    args: Vec<String>,
    script: String,
) -> Result<Artifact, ScriptError> {
    let name = runtime.name().to_owned();
    let wrong = |why: String| ScriptError::Runtime { name: name.clone(), why };
    let wizer = Wizer::new();
    let (context, instrumented) =
        wizer.instrument(runtime.bytes()).map_err(|error| wrong(format!("{error:#}")))?;
    // The same for every script: compiled once, and kept in the cache.
    let instrumented =
        Artifact::read(&name, instrumented).map_err(|error| wrong(error.to_string()))?;
    let code = engine.compile(&instrumented, Flavour::Plain);
    let Ok(Code::Module(module)) = code else { return Err(wrong("it is no module".to_owned())) };
    let linked =
        module_linker(&module, Storage::Plain).and_then(|linker| linker.instantiate_pre(&module));
    let pre = linked.map_err(|error| wrong(format!("{error:#}")))?;

    let limits = Limits::default();
    let share = Arc::new(Share::new(&limits, Arc::new(Meter::new())));
    let world = World::new(name.as_str().into(), Grants::default(), limits, share)
        .map_err(|error| wrong(error.to_string()))?;
    let (pipe, reader) = Pipe::new();
    let stdio = Stdio::Captured {
        stdin: Box::new(AsyncStdinStream::new(Cursor::new(script.into_bytes()))),
        output: Box::new(pipe.clone()),
        errors: Box::new(pipe.clone()),
    };
    let guest = world.bare_module(&args, stdio).map_err(|error| wrong(error.to_string()))?;
    let (mut store, activity) = engine
        .store(Flavour::Plain, world.share(), guest)
        .map_err(|error| wrong(error.to_string()))?;
    let running = async move {
        // Told also when this is dropped.
        let _ending = Ending(pipe);
        let called = async {
            let instance = pre.instantiate_async(&mut store).await?;
            let function = instance.get_typed_func::<(), ()>(&mut store, INITIALIZE)?;
            function.call_async(&mut store, ()).await?;
            Ok::<_, wasmtime::Error>(instance)
        }
        .await;
        match called {
            Ok(instance) => Ok((store, instance)),
            Err(error) => Err((Trap::exit_status(&error).is_some(), Trap::new(error, None))),
        }
    };
    let reading = async {
        let mut said = Vec::new();
        while let Some(piece) = reader.next().await {
            if said.len() < SAID {
                said.extend_from_slice(&piece);
            }
        }
        String::from_utf8_lossy(&said).trim_end().to_owned()
    };
    let paced = Paced::new(activity, Some(background.clone()), running);
    let both = futures::future::join(paced, reading);
    let (store, instance) = match within(EVALUATING.into(), Instant::now(), both).await {
        Ok((Some(Ok(made)), said)) => {
            if !said.is_empty() {
                tracing::info!("{said}");
            }
            made
        }
        // The runtime has said what is wrong with it.
        Ok((Some(Err((true, _))), said)) => return Err(ScriptError::Evaluation(said)),
        Ok((Some(Err((false, trap))), said)) => {
            return Err(ScriptError::Evaluation(format!("{said}\n{trap}")));
        }
        Ok((None, _)) => return Err(wrong("the host is stopping".to_owned())),
        Err(passed) => return Err(ScriptError::Evaluation(passed.to_string())),
    };
    let mut state = State { store, instance };
    let snapshot = wizer.snapshot(&context, &mut state).await;
    let snapshot = snapshot.map_err(|error| wrong(format!("{error:#}")))?;
    Artifact::read(&name, snapshot).map_err(|error| wrong(error.to_string()))
}

/// What a snapshot is taken of.
struct State {
    store: Store<ModuleGuest>,
    instance: Instance,
}

impl InstanceState for State {
    async fn global_get(&mut self, name: &str, kind: ValType) -> SnapshotVal {
        let global = self.instance.get_global(&mut self.store, name);
        // Instrumentation has exported it; of a kind that is none of these, there are no mutable ones.
        match (global.map(|global| global.get(&mut self.store)), kind) {
            (Some(Val::I32(value)), _) => SnapshotVal::I32(value),
            (Some(Val::I64(value)), _) => SnapshotVal::I64(value),
            (Some(Val::F32(value)), _) => SnapshotVal::F32(value),
            (Some(Val::F64(value)), _) => SnapshotVal::F64(value),
            (Some(Val::V128(value)), _) => SnapshotVal::V128(value.as_u128()),
            (_, ValType::I64) => SnapshotVal::I64(0),
            _ => SnapshotVal::I32(0),
        }
    }

    async fn memory_contents(&mut self, name: &str, contents: impl FnOnce(&[u8]) + Send) {
        match self.instance.get_memory(&mut self.store, name) {
            Some(memory) => contents(memory.data(&self.store)),
            None => contents(&[]),
        }
    }
}
