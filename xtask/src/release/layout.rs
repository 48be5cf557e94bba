//! The linked binary laid out anew by BOLT, LLVM's post-link optimiser: blocks in the order in which
//! they run, functions by who calls whom, and what never runs elsewhere.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::{
    Builder,
    loads::{self, FULL_EFFORT, ONCE},
};
use crate::process;
use crate::toolchain::debian;

/// What BOLT needs of the linker.
pub(super) const KEPT: &str = "-Clink-arg=-Wl,--emit-relocs";

const ARRANGED: [&str; 7] = [
    "--reorder-blocks=ext-tsp",
    "--reorder-functions=cdsort",
    "--split-functions",
    "--split-all-cold",
    "--split-eh",
    "--icf=1",
    // Aligned to large pages, a start touches more pages of the file.
    "--no-huge-pages",
];

/// BOLT's tools.
pub(super) struct Bolt {
    bolt: PathBuf,
    merge: PathBuf,
}

impl Bolt {
    /// Finds them, installing them if need be.
    pub(super) fn find(builder: &Builder<'_>) -> Result<Self> {
        if !cfg!(all(target_os = "linux", target_arch = "x86_64")) {
            bail!("this is not tried on other machines than Linux on x86-64");
        }
        let major = builder.compiler.llvm()?;
        let package = format!("bolt-{major}");
        let names = [format!("llvm-bolt-{major}"), format!("merge-fdata-{major}")];
        if names.iter().any(|name| process::find(name).is_none()) {
            debian::ensure(&[&package])?;
        }
        let [bolt, merge] = names.map(|name| {
            process::find(&name).with_context(|| format!("the package {package} has no {name}"))
        });
        Ok(Self { bolt: bolt?, merge: merge? })
    }

    /// Counts which branches `reef` takes under the loads, and returns the binary laid out by that. `ran`: the functions
    /// that it is worth to count in. All of them together take more memory than many machines have.
    pub(super) fn arrange(
        &self,
        builder: &Builder<'_>,
        reef: &Path,
        ran: Option<&[String]>,
    ) -> Result<PathBuf> {
        let counts = builder.cache.scratch("release-branches")?;
        let counting = builder.work.join("reef-counting");
        let mut instrument = self.bolt(reef, &counting);
        instrument.args(["--instrument", "--instrumentation-file-append-pid"]);
        instrument.arg(format!("--instrumentation-file={}", counts.join("counts").display()));
        if let Some(ran) = ran {
            // Those that are not seen from outside have a number.
            let names: String = ran.iter().map(|name| format!("{name}\n{name}/1\n")).collect();
            let file = builder.work.join("ran");
            fs::write(&file, names).context("cannot write what ran")?;
            instrument.arg(format!("--funcs-file-no-regex={}", file.display()));
        }
        process::capture(&mut instrument)?;

        // Compiling a guest would drown what is counted.
        let code = builder.cache.scratch("release-code")?;
        loads::drive(builder, reef, &code, &ONCE, |_| {})?;
        println!("Counting which branches are taken");
        loads::drive(builder, &counting, &code, &FULL_EFFORT, |_| {})?;
        let mut merge = Command::new(&self.merge);
        for entry in fs::read_dir(&counts).context("cannot read what was counted")? {
            merge.arg(entry?.path());
        }
        let merged = process::capture(&mut merge)?;
        let counted = builder.work.join("branches");
        fs::write(&counted, merged).context("cannot write what was counted")?;
        fs::remove_dir_all(&counts)?;
        fs::remove_file(&counting)?;

        let arranged = builder.work.join("reef-arranged");
        let mut arrange = self.bolt(reef, &arranged);
        arrange.arg(format!("--data={}", counted.display())).args(ARRANGED);
        process::capture(&mut arrange)?;
        Ok(arranged)
    }

    fn bolt(&self, input: &Path, output: &Path) -> Command {
        let mut command = Command::new(&self.bolt);
        command.arg(input).arg("-o").arg(output);
        command
    }
}
