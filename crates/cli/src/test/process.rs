//! This very program, as the host of what is tested and as the one that runs test components.

use std::{
    ffi::OsString,
    fs::File,
    io,
    net::SocketAddr,
    os::unix::fs::FileExt as _,
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use http::Method;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::control::client;

/// How often is looked whether something is there, or has ended.
const PAUSE: Duration = Duration::from_millis(10);
/// How long an application may take to be ready: large components are compiled meanwhile.
const START: Duration = Duration::from_secs(300);
/// How long it may take to end.
const END: Duration = Duration::from_secs(10);
/// Bytes of what a process said that are kept, from its end.
const KEPT: u64 = 64 << 10;

/// A process that ends with this.
struct Process {
    child: Child,
    /// What it says.
    log: File,
}

/// A host that runs an application, until it is dropped.
pub(super) struct Host {
    process: Process,
    addr: SocketAddr,
    /// Has its socket and data in it; goes after it.
    _folder: TempDir,
}

/// A process that has ended.
pub(super) struct Ended {
    pub(super) status: ExitStatus,
    pub(super) said: String,
}

// === impl Process ===

impl Process {
    fn start(args: &[OsString]) -> anyhow::Result<Self> {
        let mut command =
            Command::new(std::env::current_exe().context("cannot find this program")?);
        let log = tempfile::tempfile().context("cannot make a temporary file")?;
        command.args(args).stdin(Stdio::null());
        command.stdout(log.try_clone()?).stderr(log.try_clone()?);
        Ok(Self { child: command.spawn().context("cannot start this program again")?, log })
    }

    /// The end of what it said.
    fn said(&self) -> io::Result<String> {
        let end = self.log.metadata()?.len();
        let start = end.saturating_sub(KEPT);
        let mut said = vec![0; usize::try_from(end - start).unwrap_or(0)];
        // Where the process goes on to write is where it was.
        self.log.read_exact_at(&mut said, start)?;
        Ok(String::from_utf8_lossy(&said).into_owned())
    }

    /// Asks it to end, and makes it after some time.
    fn end(&mut self) {
        if let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw)
            && matches!(self.child.try_wait(), Ok(None))
        {
            let _ = kill_process(pid, Signal::TERM);
        }
        let until = Instant::now() + END;
        while matches!(self.child.try_wait(), Ok(None)) {
            if Instant::now() > until {
                let _ = self.child.kill();
                let _ = self.child.wait();
            }
            std::thread::sleep(PAUSE);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.end();
    }
}

// === impl Host ===

impl Host {
    /// Runs `reef up` with these arguments on a free port, and returns when it is ready.
    pub(super) async fn start(args: &[OsString]) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir().context("cannot make a temporary folder")?;
        let socket = folder.path().join("socket");
        let mut up: Vec<OsString> =
            ["up", "--addr", "127.0.0.1:0", "--drain", "2s", "--socket"].map(OsString::from).into();
        up.push(socket.clone().into());
        // Each run begins with nothing kept.
        up.extend(["--data".into(), folder.path().join("data").into()]);
        up.extend_from_slice(args);
        let mut process = Process::start(&up)?;
        let until = Instant::now() + START;
        let status = loop {
            if process.child.try_wait()?.is_some() {
                bail!("the application does not start:\n{}", process.said()?.trim_end());
            }
            let status = client::call(&socket, Method::GET, "/v1/status", None).await;
            if let Ok(status) = status
                && status["ready"] == true
            {
                break status;
            }
            if Instant::now() > until {
                let said = process.said()?;
                bail!("the application is not ready after {} s:\n{said}", START.as_secs());
            }
            tokio::time::sleep(PAUSE).await;
        };
        let addr = status["addresses"][0].as_str().and_then(|url| url.strip_prefix("http://"));
        let addr = addr.and_then(|addr| addr.parse().ok());
        let addr = addr.context("the application does not say where it listens")?;
        Ok(Self { process, addr, _folder: folder })
    }

    /// Where it answers.
    pub(super) fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Ends it, and returns what it said.
    pub(super) fn end(mut self) -> anyhow::Result<String> {
        self.process.end();
        Ok(self.process.said()?)
    }
}

/// Runs `reef run` with these arguments to its end.
pub(super) async fn run(args: &[OsString]) -> anyhow::Result<Ended> {
    let mut all = vec![OsString::from("run")];
    all.extend_from_slice(args);
    let mut process = Process::start(&all)?;
    // It has a deadline of its own.
    let status = loop {
        if let Some(status) = process.child.try_wait()? {
            break status;
        }
        tokio::time::sleep(PAUSE).await;
    };
    Ok(Ended { status, said: process.said()? })
}
