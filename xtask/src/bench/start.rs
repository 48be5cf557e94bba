//! A whole process that says hello: what a person waits for.

use std::time::Duration;

use anyhow::Result;

use super::Effort;
use super::record::{Bench, Target};
use super::subject::{Subject, turns};
use super::tools::Tools;

const LIMIT: Duration = Duration::from_secs(30);
const WALL: (&str, &str) = ("wall_ms", "ms");

pub(super) fn measure(tools: &Tools<'_>, effort: Effort, bench: &mut Bench) -> Result<()> {
    let hello = tools.guest("p1-hello")?;
    let (reef, wasmtime, nothing) = (tools.reef()?, tools.wasmtime()?, tools.nothing()?);
    bench.versions.insert("wasmtime".into(), wasmtime.version("--version")?);
    let precompiled = tools.precompile(&wasmtime, &hello, &[])?;
    let mut subjects = vec![
        Subject::new("nothing (C)", &nothing, []),
        Subject::on_file("reef run", &reef, &["run"], &hello),
        Subject::on_file(
            "wasmtime run, precompiled",
            &wasmtime,
            &["run", "--allow-precompiled"],
            &precompiled,
        ),
        Subject::on_file("wasmtime run, cached", &wasmtime, &["run", "-C", "cache=y"], &hello),
    ];
    match tools.wazero() {
        Ok(wazero) => {
            bench.versions.insert("wazero".into(), tools.wazero_version()?);
            let cache = tools.scratch("wazero-cache");
            let words = ["run", "-cachedir", &cache.to_string_lossy()];
            subjects.push(Subject::on_file("wazero run, cached", &wazero, &words, &hello));
        }
        Err(error) => bench.note(format!("wazero: {error:#}")),
    }
    for subject in &subjects {
        subject.record(bench);
    }
    // Fills caches, and leaves out what does not work.
    subjects.retain(|subject| match subject.time(LIMIT) {
        Ok(_) => true,
        Err(error) => {
            bench.note(format!("{error:#}"));
            false
        }
    });
    bench.begin();
    for round in 0..effort.rounds as usize * effort.times(20, 5) {
        for subject in turns(&subjects, round) {
            let wall = subject.time(LIMIT)?.wall;
            bench.push(subject.name, WALL.0, wall.as_secs_f64() * 1e3);
        }
    }
    for subject in &subjects {
        bench.describe(subject.name, WALL);
    }
    let target = Some(Target::RatioAtMost(0.5));
    bench.compare("whole process, hello", WALL, "reef run", "wasmtime run, precompiled", target);
    bench.compare("whole process, hello", WALL, "reef run", "wasmtime run, cached", None);
    bench.compare("whole process, hello", WALL, "reef run", "wazero run, cached", None);
    bench.compare("whole process, hello", WALL, "reef run", "nothing (C)", None);
    Ok(())
}
