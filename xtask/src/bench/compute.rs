//! A compute loop in WASI 0.1: how fast compiled code is.

use std::time::Duration;

use anyhow::Result;

use super::Effort;
use super::record::Bench;
use super::subject::{Subject, turns};
use super::tools::Tools;

const LIMIT: Duration = Duration::from_secs(120);
const WALL: (&str, &str) = ("wall_s", "s");

pub(super) fn measure(tools: &Tools<'_>, effort: Effort, bench: &mut Bench) -> Result<()> {
    let sha = tools.guest("p1-sha")?;
    let (reef, wasmtime) = (tools.reef()?, tools.wasmtime()?);
    bench.versions.insert("wasmtime".into(), wasmtime.version("--version")?);
    let precompiled = tools.precompile(&wasmtime, &sha, &[])?;
    let hashes = effort.times(3_000_000, 100_000).to_string();
    let mut subjects = vec![
        Subject::on_file("reef run", &reef, &["run"], &sha).then(&["--", &hashes]),
        Subject::on_file("wasmtime run", &wasmtime, &["run", "--allow-precompiled"], &precompiled)
            .then(&[&hashes]),
    ];
    match tools.wazero() {
        Ok(wazero) => {
            bench.versions.insert("wazero".into(), tools.wazero_version()?);
            let cache = tools.scratch("wazero-cache");
            let words = ["run", "-cachedir", &cache.to_string_lossy()];
            let subject = Subject::on_file("wazero run", &wazero, &words, &sha);
            subjects.push(subject.then(&[&hashes]));
        }
        Err(error) => bench.note(format!("wazero: {error:#}")),
    }
    for subject in &subjects {
        subject.record(bench);
        // Fills caches.
        subject.time(LIMIT)?;
    }
    bench.begin();
    for round in 0..effort.rounds {
        for subject in turns(&subjects, round as usize) {
            bench.push(subject.name, WALL.0, subject.time(LIMIT)?.wall.as_secs_f64());
        }
    }
    let what = format!("{hashes} SHA-256 blocks");
    bench.compare(&what, WALL, "reef run", "wasmtime run", None);
    bench.compare(&what, WALL, "reef run", "wazero run", None);
    Ok(())
}
