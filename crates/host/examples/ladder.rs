//! The steps from compiled code in the cache to an instance, each timed by itself: what
//! `cargo xtask bench ladder` records.
//!
//! `ladder CACHE-FOLDER TIMES FILE...` prints, as JSON and for each file, the median of each step in
//! microseconds.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a measurement ends when anything fails"
)]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use reef_artifact::{Artifact, Form, Kind, Wasi};
use reef_engine::{Allocation, Code, Confined, Engine, EngineConfig, Flavour, Share};
use reef_grants::{Grants, Limits};
use reef_meter::Meter;
use reef_wasi::{Stdio, Storage, World, component_linker, module_linker};
use wasmtime::Store;

/// Mapping and linking take longer than the rest; their medians settle sooner.
const SHARE_OF_PREPARING: usize = 50;

fn main() {
    let mut arguments = std::env::args_os().skip(1);
    let usage = "usage: ladder CACHE-FOLDER TIMES FILE...";
    let folder = PathBuf::from(arguments.next().expect(usage));
    let times: usize = arguments.next().and_then(|n| n.to_str()?.parse().ok()).expect(usage);
    let config = EngineConfig {
        allocation: Allocation::Pooling { instances: 16 },
        cache: Some(folder),
        ..EngineConfig::default()
    };
    let engine = Engine::new(config);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let files: Vec<String> = arguments
        .map(PathBuf::from)
        .map(|file| {
            let name = file.file_stem().unwrap().to_str().unwrap().to_owned();
            let steps = runtime.block_on(climb(&engine, &file, times));
            let steps: Vec<String> =
                steps.into_iter().map(|(step, time)| format!("\"{step}\":{time:.3}")).collect();
            format!("\"{name}\":{{{}}}", steps.join(","))
        })
        .collect();
    println!("{{{}}}", files.join(","));
}

async fn climb(engine: &Engine, file: &Path, times: usize) -> Vec<(&'static str, f64)> {
    let artifact = Artifact::read("it", std::fs::read(file).unwrap()).unwrap();
    let flavour = flavour_of(&artifact);
    let preparing = (times / SHARE_OF_PREPARING).max(1);
    // Fills the cache.
    let mut code = engine.compile(&artifact, flavour).unwrap();
    let mut steps = Vec::new();

    let map = repeat(preparing, || code = engine.compile(&artifact, flavour).unwrap());
    steps.push(("map", median(map)));

    let limits = Limits::default();
    let share = Arc::new(Share::new(&limits, Arc::new(Meter::new())));
    let world = World::new("it".into(), Grants::default(), limits, share).unwrap();
    match code {
        Code::Module(module) => {
            let link = || {
                module_linker(&module, Storage::Plain).unwrap().instantiate_pre(&module).unwrap()
            };
            steps.push(("link", median(repeat(preparing, || drop(link())))));
            let pre = link();
            let guest = || world.module(&[], &[], Stdio::Log).unwrap();
            let start = async |store: &mut Store<_>| {
                pre.instantiate_async(store).await.unwrap();
            };
            steps.extend(instantiate(engine, flavour, &world, times, guest, start).await);
        }
        Code::Component(component) => {
            let link = || {
                let linked = component_linker(&component, flavour, Storage::Plain, &[]);
                let (linker, _) = linked.unwrap();
                linker.instantiate_pre(&component).unwrap()
            };
            steps.push(("link", median(repeat(preparing, || drop(link())))));
            let pre = link();
            let guest = || world.component(&[], Stdio::Log).unwrap();
            let start = async |store: &mut Store<_>| {
                pre.instantiate_async(store).await.unwrap();
            };
            steps.extend(instantiate(engine, flavour, &world, times, guest, start).await);
        }
    }
    steps
}

/// A store, an instance in it, and its end.
async fn instantiate<T: Confined>(
    engine: &Engine,
    flavour: Flavour,
    world: &World,
    times: usize,
    guest: impl Fn() -> T,
    start: impl AsyncFn(&mut Store<T>),
) -> Vec<(&'static str, f64)> {
    let (mut stores, mut instances, mut ends) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..times {
        let began = Instant::now();
        let (mut store, _activity) = engine.store(flavour, world.share(), guest()).unwrap();
        stores.push(began.elapsed());
        let began = Instant::now();
        start(&mut store).await;
        instances.push(began.elapsed());
        let began = Instant::now();
        drop(store);
        ends.push(began.elapsed());
    }
    vec![
        ("store", median(stores)),
        ("instantiate_p99", percentile(&mut instances, 0.99)),
        ("instantiate", median(instances)),
        ("end", median(ends)),
    ]
}

fn flavour_of(artifact: &Artifact) -> Flavour {
    let concurrent = artifact.form() == Form::Component
        && artifact.kinds().iter().any(|kind| {
            matches!(kind, Kind::Command(Wasi::V0_3(_)) | Kind::HttpHandler(Wasi::V0_3(_)))
        });
    if concurrent { Flavour::Concurrent } else { Flavour::Plain }
}

fn repeat(times: usize, mut step: impl FnMut()) -> Vec<Duration> {
    (0..times)
        .map(|_| {
            let began = Instant::now();
            step();
            began.elapsed()
        })
        .collect()
}

fn median(mut times: Vec<Duration>) -> f64 {
    percentile(&mut times, 0.5)
}

/// In microseconds.
fn percentile(times: &mut [Duration], share: f64) -> f64 {
    times.sort();
    let rank = (share * times.len() as f64).ceil().max(1.0) as usize;
    times[rank - 1].as_secs_f64() * 1e6
}
