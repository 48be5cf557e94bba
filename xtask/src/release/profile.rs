//! What runs how often: counted by an instrumented build under the loads that matter.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::{
    Builder, INSTRUMENTED,
    loads::{self, FULL_EFFORT},
};
use crate::process;
use crate::toolchain::debian;

/// What was counted.
pub(super) struct Profile {
    /// For the compiler.
    pub(super) file: PathBuf,
    /// The functions that ran, by their symbols.
    pub(super) ran: HashSet<String>,
}

/// Counts.
pub(super) fn take(builder: &Builder<'_>) -> Result<Profile> {
    let profdata = profdata(builder)?;
    let raw = builder.cache.scratch("release-profile")?;
    let flags = [format!("-Cprofile-generate={}", raw.display())];
    let reef = builder.build(INSTRUMENTED, &flags, &[])?;
    let code = builder.cache.scratch("release-code")?;
    println!("Counting what runs how often");
    loads::drive(builder, &reef, &code, &FULL_EFFORT, |command| {
        command.env("LLVM_PROFILE_FILE", raw.join("%p-%m.profraw"));
    })?;
    let merged = builder.work.join("profile");
    let mut merge = Command::new(&profdata);
    merge.args(["merge", "--output"]).arg(&merged).arg(&raw);
    process::capture(&mut merge)?;
    fs::remove_dir_all(&raw)?;
    let mut show = Command::new(profdata);
    let shown = process::capture(show.args(["show", "--all-functions", "--counts"]).arg(&merged))?;
    Ok(Profile { file: merged, ran: ran(&shown) })
}

/// The functions of which something ran. Those that are not seen outside of their unit have its name in front.
fn ran(shown: &str) -> HashSet<String> {
    let (mut ran, mut function) = (HashSet::new(), None);
    for line in shown.lines() {
        let text = line.trim_start();
        match (line.len() - text.len(), text.strip_prefix("Block counts: [")) {
            (2, _) => function = text.strip_suffix(':'),
            (_, Some(counts)) => {
                let counted = counts.bytes().any(|byte| (b'1'..=b'9').contains(&byte));
                let name = function.take().filter(|_| counted);
                let symbol = name.and_then(|name| name.rsplit(';').next());
                ran.extend(symbol.map(str::to_owned));
            }
            _ => {}
        }
    }
    ran
}

/// The tool that merges counts, of the compiler's own LLVM.
fn profdata(builder: &Builder<'_>) -> Result<PathBuf> {
    let sysroot = process::capture(Command::new("rustc").args(["--print", "sysroot"]))?;
    let own = Path::new(sysroot.trim()).join("lib/rustlib").join(&builder.compiler.host);
    let own = own.join("bin/llvm-profdata");
    if own.is_file() {
        return Ok(own);
    }
    let major = builder.compiler.llvm()?;
    let name = format!("llvm-profdata-{major}");
    if let Some(found) = process::find(&name) {
        return Ok(found);
    }
    if let Err(error) = debian::ensure(&[&format!("llvm-{major}")]) {
        bail!("{name} is missing; `rustup component add llvm-tools` brings it ({error:#})");
    }
    process::find(&name).with_context(|| format!("the package llvm-{major} has no {name}"))
}

#[cfg(test)]
mod tests {
    #[test]
    fn functions_that_ran_are_known_by_their_symbols() {
        let shown = [
            "Counters:",
            "  _ZN3one:",
            "    Hash: 0x1",
            "    Counters: 2",
            "    Block counts: [0, 12]",
            "  unit.cgu.3;_ZN3two:",
            "    Block counts: [7]",
            "  _ZN5never:",
            "    Block counts: [0]",
            "Instrumentation level: IR",
        ];
        let ran = super::ran(&shown.join("\n"));
        let mut ran: Vec<_> = ran.iter().map(String::as_str).collect();
        ran.sort_unstable();
        assert_eq!(ran, ["_ZN3one", "_ZN3two"]);
    }
}
