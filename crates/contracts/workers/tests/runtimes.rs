//! The language runtimes run workers: each folder of `runtimes/cases` is a script, a request and what must
//! come of it. `cargo xtask runtimes` builds the runtimes.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};
use reef_workers::{INITIALIZE, Language, Request, Response};
use wasmtime::{Config, Engine, Instance, Linker, Module, OptLevel, Store, Val};
use wasmtime_wasi::{
    I32Exit, WasiCtxBuilder,
    p1::{self, WasiP1Ctx},
    p2::pipe::{MemoryInputPipe, MemoryOutputPipe},
};
use wasmtime_wizer::{InstanceState, SnapshotVal, ValType, Wizer};

/// Most bytes of output.
const MOST: usize = 1 << 20;

struct Case {
    name: String,
    folder: PathBuf,
    script: String,
    file: String,
    variables: Vec<(String, String)>,
}

impl Case {
    fn read(folder: PathBuf, ending: &str) -> Result<Self> {
        let name =
            folder.file_name().context("a folder has a name")?.to_string_lossy().into_owned();
        let file = format!("worker.{ending}");
        let script = fs::read_to_string(folder.join(&file))?;
        let variables = fs::read_to_string(folder.join("env.txt")).unwrap_or_default();
        let pair =
            |line: &str| line.split_once('=').map(|(name, value)| (name.into(), value.into()));
        let variables = variables.lines().filter_map(pair).collect();
        Ok(Self { name, folder, script, file, variables })
    }

    fn text(&self, file: &str) -> Option<String> {
        fs::read_to_string(self.folder.join(file)).ok()
    }

    /// The outcome is the one that the folder says.
    fn check(&self, outcome: &Outcome) -> Result<()> {
        match (self.text("response.json"), self.text("failure.txt")) {
            (Some(expected), None) => {
                let response = Response::from_json(&outcome.output)
                    .with_context(|| format!("{}: {}", self.name, outcome.messages))?;
                let expected = Response::from_json(expected.as_bytes())?;
                assert_eq!(response, expected, "{}: {}", self.name, outcome.messages);
            }
            (None, Some(expected)) => {
                assert_eq!(outcome.status, Some(1), "{}: {}", self.name, outcome.messages);
                assert!(
                    outcome.messages.contains(expected.trim()),
                    "{}: {}",
                    self.name,
                    outcome.messages
                );
                assert!(outcome.output.is_empty(), "{}", self.name);
            }
            _ => bail!("{} has neither a response nor a failure", self.name),
        }
        Ok(())
    }
}

/// What a runtime did.
struct Outcome {
    /// `None` if it returned.
    status: Option<i32>,
    output: Vec<u8>,
    messages: String,
}

/// A runtime in an engine.
struct Host {
    engine: Engine,
    linker: Linker<WasiP1Ctx>,
}

impl Host {
    fn new() -> Result<Self> {
        let mut config = Config::new();
        // As Reef has it: recursion in a script must not use it up.
        config.max_wasm_stack(1 << 20);
        // Compiling takes most of the time here.
        config.cranelift_opt_level(OptLevel::None);
        let engine = Engine::new(&config)?;
        let mut linker = Linker::new(&engine);
        p1::add_to_linker_sync(&mut linker, |wasi| wasi)?;
        Ok(Self { engine, linker })
    }

    fn run(
        &self,
        module: &Module,
        function: &str,
        arguments: &[String],
        variables: &[(String, String)],
        input: Vec<u8>,
    ) -> Result<(Outcome, Store<WasiP1Ctx>, Instance)> {
        let (output, messages) = (MemoryOutputPipe::new(MOST), MemoryOutputPipe::new(MOST));
        let mut wasi = WasiCtxBuilder::new();
        wasi.args(arguments).envs(variables).stdin(MemoryInputPipe::new(input));
        wasi.stdout(output.clone()).stderr(messages.clone());
        let mut store = Store::new(&self.engine, wasi.build_p1());
        let instance = self.linker.instantiate(&mut store, module)?;
        let function = instance.get_typed_func::<(), ()>(&mut store, function)?;
        let status = match function.call(&mut store, ()) {
            Ok(()) => None,
            Err(error) => match error.downcast_ref::<I32Exit>() {
                Some(exit) => Some(exit.0),
                None => return Err(error.into()),
            },
        };
        let messages = String::from_utf8_lossy(&messages.contents()).into_owned();
        Ok((Outcome { status, output: output.contents().to_vec(), messages }, store, instance))
    }
}

/// What a snapshot is taken of.
struct State<'s>(&'s mut Store<WasiP1Ctx>, Instance);

impl InstanceState for State<'_> {
    async fn global_get(&mut self, name: &str, _: ValType) -> SnapshotVal {
        let global = self.1.get_global(&mut *self.0, name).unwrap();
        match global.get(&mut *self.0) {
            Val::I32(value) => SnapshotVal::I32(value),
            Val::I64(value) => SnapshotVal::I64(value),
            Val::F32(value) => SnapshotVal::F32(value),
            Val::F64(value) => SnapshotVal::F64(value),
            other => panic!("{other:?} is no value of a snapshot"),
        }
    }

    async fn memory_contents(&mut self, name: &str, contents: impl FnOnce(&[u8]) + Send) {
        let memory = self.1.get_memory(&mut *self.0, name).unwrap();
        contents(memory.data(&*self.0));
    }
}

/// Every case of a language, and its runtime; none if the runtimes were not built.
fn cases(language: Language, ending: &str) -> Result<Option<(Vec<u8>, Vec<Case>)>> {
    let Some(runtimes) = std::env::var_os("REEF_RUNTIMES") else {
        println!("skipped: REEF_RUNTIMES does not say where the runtimes are");
        return Ok(None);
    };
    let name = language.runtime(false).context("a script has a runtime")?;
    let file = Path::new(&runtimes).join(format!("{name}.wasm"));
    let wasm = fs::read(&file).with_context(|| {
        format!("there is no {}: `cargo xtask runtimes` makes it", file.display())
    })?;
    let folder = folder().join("../../../runtimes/cases");
    let mut cases = Vec::new();
    for entry in fs::read_dir(&folder)? {
        let folder = entry?.path();
        if folder.join(format!("worker.{ending}")).is_file() {
            cases.push(Case::read(folder, ending)?);
        }
    }
    assert!(!cases.is_empty());
    Ok(Some((wasm, cases)))
}

/// The script is an argument of the runtime.
fn whole(language: Language, ending: &str) -> Result<()> {
    let Some((wasm, cases)) = cases(language, ending)? else { return Ok(()) };
    let host = Host::new()?;
    let module = Module::new(&host.engine, wasm)?;
    for case in cases {
        let arguments = language.arguments(&case.file, &case.script);
        let request = fs::read(case.folder.join("request.json"))?;
        let request = Request::from_json(&request)?.to_json();
        let (outcome, ..) = host.run(&module, "_start", &arguments, &case.variables, request)?;
        case.check(&outcome)?;
    }
    Ok(())
}

/// The script is evaluated once, and snapshots answer.
fn initialized(language: Language, ending: &str) -> Result<()> {
    let Some((wasm, cases)) = cases(language, ending)? else { return Ok(()) };
    assert!(language.is_initialized_once());
    let host = Host::new()?;
    let wizer = Wizer::new();
    assert_eq!(wizer.get_init_func(), INITIALIZE);
    let (context, instrumented) = wizer.instrument(&wasm)?;
    let module = Module::new(&host.engine, instrumented)?;
    let tokio = tokio::runtime::Builder::new_current_thread().build()?;
    let mut results: HashMap<&'static str, usize> = HashMap::new();
    for case in cases {
        let names = case.variables.iter().map(|(name, _)| name.as_str());
        let arguments = language.initial_arguments(&case.file, names);
        let script = case.script.clone().into_bytes();
        let (early, mut store, instance) =
            host.run(&module, INITIALIZE, &arguments, &[], script)?;
        if early.status.is_some() {
            case.check(&early)?;
            *results.entry("refused").or_default() += 1;
            continue;
        }
        assert!(early.output.is_empty(), "{}", case.name);
        let snapshot =
            tokio.block_on(wizer.snapshot(&context, &mut State(&mut store, instance)))?;
        let snapshot = Module::new(&host.engine, snapshot)?;
        // One snapshot, two requests: neither finds anything of the other one.
        for _ in 0..2 {
            let request = fs::read(case.folder.join("request.json"))?;
            let (outcome, ..) = host.run(&snapshot, "_start", &[], &case.variables, request)?;
            case.check(&outcome)?;
            *results.entry("answered").or_default() += 1;
        }
    }
    assert!(results["answered"] > 2, "{results:?}");
    Ok(())
}

#[test]
fn javascript() -> Result<()> {
    whole(Language::JavaScript, "js")
}

#[test]
fn javascript_initialized() -> Result<()> {
    initialized(Language::JavaScript, "js")
}

#[test]
fn lua() -> Result<()> {
    whole(Language::Lua, "lua")
}

#[test]
fn lua_initialized() -> Result<()> {
    initialized(Language::Lua, "lua")
}

#[test]
fn python() -> Result<()> {
    whole(Language::Python, "py")
}

#[test]
fn ruby() -> Result<()> {
    whole(Language::Ruby, "rb")
}

/// The crate's, where it is now: what was compiled may have been compiled for another checkout.
fn folder() -> PathBuf {
    std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from).unwrap_or_default()
}
