//! More bytes than memory through a function: `reef run --invoke`.

use std::fs::{self, File};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::Effort;
use super::record::{Bench, Target};
use super::subject::Subject;
use super::tools::Tools;

const LIMIT: Duration = Duration::from_secs(10 * 60);
const MIB: f64 = (1 << 20) as f64;

pub(super) fn measure(tools: &Tools<'_>, effort: Effort, bench: &mut Bench) -> Result<()> {
    let (reef, streams) = (tools.reef()?, tools.guest("p3-streams")?);
    let bytes = effort.times(4 << 30, 64 << 20) as u64;
    let (input, output) = (tools.scratch("input"), tools.scratch("output"));
    // Without blocks on the disk: it reads as zeros.
    File::create(&input)
        .and_then(|file| file.set_len(bytes))
        .with_context(|| format!("cannot make {}", input.display()))?;
    let calls = ["count", "passthrough"].map(|name| format!("{name}(@{})", input.display()));
    let out = output.to_string_lossy();
    let subjects = [
        Subject::on_file("count", &reef, &["run"], &streams).then(&["--invoke", &calls[0]]),
        Subject::on_file("passthrough", &reef, &["run"], &streams)
            .then(&["--invoke", &calls[1], "-o", &out]),
    ];
    let shown = ["count(@input)", "passthrough(@input) -o output"];
    // Fills the code cache.
    let empty = tools.scratch("empty");
    File::create(&empty).context("cannot write to the cache")?;
    let call = format!("count(@{})", empty.display());
    Subject::on_file("empty", &reef, &["run"], &streams).then(&["--invoke", &call]).time(LIMIT)?;
    bench.begin();
    for _ in 0..effort.rounds {
        for (subject, call) in subjects.iter().zip(shown) {
            let line = format!("reef run p3-streams.wasm --invoke {call}");
            bench.commands.insert(subject.name.to_owned(), line);
            let timed = subject.time(LIMIT)?;
            bench.push(subject.name, "peak_mib", timed.peak as f64 / MIB);
            let rate = bytes as f64 / timed.wall.as_secs_f64() / 1e9;
            bench.push(subject.name, "gigabytes_per_second", rate);
        }
        let written = fs::metadata(&output).map_or(0, |meta| meta.len());
        if written != bytes {
            bail!("passthrough wrote {written} bytes of {bytes}");
        }
        fs::remove_file(&output).context("cannot write to the cache")?;
    }
    fs::remove_file(&input).context("cannot write to the cache")?;
    let small = Some(Target::Below(100.0));
    let size = format!("{} MiB", bytes >> 20);
    for subject in &subjects {
        let name = subject.name;
        bench.state(&format!("{name}, {size}: peak memory"), ("peak_mib", "MiB"), name, small);
        bench.state(&format!("{name}, {size}"), ("gigabytes_per_second", "GB/s"), name, None);
    }
    Ok(())
}
