//! A guest that uses many small files.

use std::{fs, time::Duration};

use anyhow::{Context as _, Result};

use super::Effort;
use super::record::{Bench, Target};
use super::subject::{Subject, turns};
use super::tools::Tools;

const LIMIT: Duration = Duration::from_secs(120);
const WALL: (&str, &str) = ("wall_s", "s");

pub(super) fn measure(tools: &Tools<'_>, effort: Effort, bench: &mut Bench) -> Result<()> {
    let (reef, wasmtime) = (tools.reef()?, tools.wasmtime()?);
    bench.versions.insert("wasmtime".into(), wasmtime.version("--version")?);
    let folder = tools.scratch("files");
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let grant = format!("{}::/d", folder.display());
    let rounds = effort.times(20_000, 1_000).to_string();
    let names = [
        ("p1-files", "WASI 0.1, reef run", "WASI 0.1, wasmtime run"),
        ("p2-files", "WASI 0.2, reef run", "WASI 0.2, wasmtime run"),
    ];
    let mut subjects = Vec::new();
    for (guest, ours, theirs) in names {
        let guest = tools.guest(guest)?;
        let compiled = tools.precompile(&wasmtime, &guest, &[])?;
        let words = ["run", "--dir", &grant];
        let allowed = ["run", "--allow-precompiled", "--dir", &grant];
        subjects.push(Subject::on_file(ours, &reef, &words, &guest).then(&["--", "/d", &rounds]));
        let peer = Subject::on_file(theirs, &wasmtime, &allowed, &compiled);
        subjects.push(peer.then(&["/d", &rounds]));
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
    for (_, ours, theirs) in names {
        let what = format!("{rounds} files made, written, read and asked about");
        bench.compare(&what, WALL, ours, theirs, Some(Target::RatioAtMost(1.0)));
    }
    Ok(())
}
