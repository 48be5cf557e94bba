//! What a result depends on: the machine and what else it is doing.

use std::fs;
use std::process::Command;

use serde::{Deserialize, Serialize};

use crate::process;
use crate::workspace::Workspace;

/// The machine, as far as it says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Machine {
    pub(super) processor: String,
    pub(super) cores: usize,
    pub(super) memory_gib: f64,
    pub(super) kernel: String,
    pub(super) system: String,
}

impl Machine {
    pub(super) fn look() -> Self {
        let memory = read("/proc/meminfo");
        let memory = field(&memory, "MemTotal", ':').and_then(|size| {
            size.split_whitespace().next()?.parse::<f64>().ok() // KiB
        });
        Self {
            processor: field(&read("/proc/cpuinfo"), "model name", ':')
                .unwrap_or(std::env::consts::ARCH)
                .to_owned(),
            cores: std::thread::available_parallelism().map_or(1, Into::into),
            memory_gib: (memory.unwrap_or_default() / f64::from(1 << 20) * 10.0).round() / 10.0,
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            system: field(&read("/etc/os-release"), "PRETTY_NAME", '=')
                .unwrap_or("unknown")
                .trim_matches('"')
                .to_owned(),
        }
    }

    /// A short name for folders: the processor and how many cores of it.
    pub(super) fn slug(&self) -> String {
        let words: Vec<String> = self
            .processor
            .split(|c: char| !c.is_ascii_alphanumeric())
            .map(str::to_ascii_lowercase)
            .filter(|word| !matches!(&**word, "" | "r" | "tm" | "cpu" | "processor" | "core"))
            .take(4)
            .collect();
        format!("{}-{}c", words.join("-"), self.cores)
    }
}

/// How many processes wanted to run, on average of the last minute.
pub(super) fn load_average() -> f64 {
    read("/proc/loadavg").split(' ').next().and_then(|load| load.parse().ok()).unwrap_or_default()
}

/// The checkout's commit, and whether there is more in it.
pub(crate) fn commit(workspace: &Workspace) -> String {
    let git = |arguments: &[&str]| {
        process::capture(Command::new("git").current_dir(workspace.path(".")).args(arguments))
    };
    let Ok(commit) = git(&["rev-parse", "--short=12", "HEAD"]) else { return "unknown".to_owned() };
    let changed = git(&["status", "--porcelain", "--untracked-files=no"]);
    let changed = changed.is_ok_and(|files| !files.trim().is_empty());
    format!("{}{}", commit.trim(), if changed { " with changes" } else { "" })
}

/// Today, as `2026-01-31`.
pub(super) fn today() -> anyhow::Result<String> {
    let printed = process::capture(Command::new("date").args(["-u", "+%Y-%m-%d"]))?;
    Ok(printed.trim().to_owned())
}

/// The moment, as `2026-01-31T12:00:00Z`.
pub(super) fn now() -> anyhow::Result<String> {
    let printed = process::capture(Command::new("date").args(["-u", "+%Y-%m-%dT%H:%M:%SZ"]))?;
    Ok(printed.trim().to_owned())
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

fn field<'a>(text: &'a str, name: &str, separator: char) -> Option<&'a str> {
    text.lines().find_map(|line| {
        let (key, value) = line.split_once(separator)?;
        (key.trim() == name).then_some(value.trim())
    })
}
