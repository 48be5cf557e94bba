//! `reef up` in a folder of its own, and the commands that talk to it.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::Value;
use tempfile::{TempDir, tempdir};

use crate::{
    process::{Ended, finish},
    server::{Server, serving},
    support::{guest, reef},
};

/// A host, its folder and its socket.
pub(crate) struct Host {
    pub(crate) server: Server,
    pub(crate) dir: TempDir,
}

/// A folder with guests under these names and this `reef.toml`.
pub(crate) fn folder(guests: &[(&str, &str)], manifest: &str) -> TempDir {
    let dir = tempdir().unwrap();
    for (name, of) in guests {
        fs::copy(guest(of), dir.path().join(name)).unwrap();
    }
    fs::write(dir.path().join("reef.toml"), manifest).unwrap();
    dir
}

impl Host {
    pub(crate) fn start(dir: TempDir) -> Self {
        Self::with(dir, &[])
    }

    pub(crate) fn with(dir: TempDir, args: &[&str]) -> Self {
        let mut command = serving("up", args);
        command.arg("--socket").arg(dir.path().join("socket")).current_dir(dir.path());
        command.env("REEF_DATA", dir.path().join("data"));
        Self { server: Server::spawn(command), dir }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    /// Puts a guest in the place of a file, as a build would.
    pub(crate) fn copy(&self, of: &str, name: &str) {
        let new = self.path("new");
        fs::copy(guest(of), &new).unwrap();
        fs::rename(new, self.path(name)).unwrap();
    }

    /// A command that talks to it, to its end.
    pub(crate) fn tell(&self, args: &[&str]) -> Ended {
        tell(&self.path("socket"), self.dir.path(), args)
    }

    /// The same, and it must succeed.
    #[track_caller]
    pub(crate) fn told(&self, args: &[&str]) -> String {
        let ended = self.tell(args);
        assert_eq!(ended.status(), 0, "{args:?}: {ended:?}");
        ended.stdout
    }

    /// What `reef ps` says of the only application.
    pub(crate) fn status(&self) -> Value {
        let all: Value = serde_json::from_str(&self.told(&["ps", "--json"])).unwrap();
        all[0]["applications"][0].clone()
    }

    /// What it says of a workload's task.
    pub(crate) fn task(&self, workload: &str) -> Value {
        let status = self.status();
        let all = status["workloads"].as_array().unwrap();
        let one = all.iter().find(|one| one["name"] == workload).unwrap();
        one["tasks"][0].clone()
    }
}

/// A command that talks to the host at a socket, to its end.
pub(crate) fn tell(socket: &Path, dir: &Path, args: &[&str]) -> Ended {
    let mut command = reef();
    command.args(args).arg("--socket").arg(socket).current_dir(dir);
    finish(command, b"")
}
