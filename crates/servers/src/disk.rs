//! A disk of some MiB for what a server keeps, which can be full.

use std::{
    fs::{self, File},
    io::{Read as _, Write as _},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use anyhow::{Context as _, Result, ensure};

/// A folder on a file system in memory, seen by those who start within; there for as long as this is.
#[derive(Debug)]
pub(crate) struct Disk {
    /// A process that keeps it.
    holds: Child,
    folder: PathBuf,
}

impl Disk {
    /// Puts a disk of so many MiB at a folder. It takes root.
    pub(crate) fn at(folder: &Path, mebibytes: u32) -> Result<Self> {
        let mut command = Command::new("unshare");
        command.args(["--mount", "--propagation", "private", "sh", "-c"]);
        // It ends when nobody can write to it any more.
        command.arg("mount -t tmpfs -o size=$1m tmpfs \"$0\" && echo && exec cat");
        command.arg(folder).arg(mebibytes.to_string());
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut holds = command.spawn().context("`unshare` of util-linux cannot be started")?;
        let mut said = [0];
        let is_there = holds.stdout.as_mut().map(|stdout| stdout.read(&mut said)).transpose()?;
        let disk = Self { holds, folder: folder.to_owned() };
        ensure!(is_there == Some(1), "there is no disk at {} (it takes root)", folder.display());
        Ok(disk)
    }

    /// The same command, where the disk is.
    pub(crate) fn within(&self, command: &Command) -> Command {
        let mut within = Command::new("nsenter");
        within.arg(format!("--mount=/proc/{}/ns/mnt", self.holds.id())).arg("--");
        within.arg(command.get_program()).args(command.get_args());
        within
    }

    fn filler(&self) -> PathBuf {
        let folder = self.folder.strip_prefix("/").unwrap_or(&self.folder);
        Path::new(&format!("/proc/{}/root", self.holds.id())).join(folder).join("filler")
    }

    pub(crate) fn fill(&self) -> Result<()> {
        let mut file = File::create(self.filler())?;
        for size in [1 << 16, 1 << 10, 1] {
            while file.write_all(&vec![0; size]).is_ok() {}
        }
        Ok(())
    }

    pub(crate) fn free(&self) -> Result<()> {
        Ok(fs::remove_file(self.filler())?)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = self.holds.kill();
        let _ = self.holds.wait();
    }
}
