//! Servers under test: started on a free port, ready when they answer, ended on drop.

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

use super::client::Connection;
use super::running::{Running, memory, pause};

const BETWEEN_LOOKS: Duration = Duration::from_millis(10);
/// How much of a server's output an error repeats.
const TAIL: usize = 2000;

/// A running server.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    running: Running,
    log: PathBuf,
}

impl Server {
    /// Starts a server and waits until it answers a GET for `path` with status 200.
    ///
    /// `command` gets the address to listen on. What the server prints goes to `log`.
    pub(crate) fn start(
        what: &str,
        command: impl FnOnce(SocketAddr) -> Command,
        path: &str,
        patience: Duration,
        log: &Path,
    ) -> Result<Self> {
        let address = free_address()?;
        let file = File::create(log).context("cannot write a log")?;
        let mut command = command(address);
        command.stdout(file.try_clone().context("cannot write a log")?).stderr(file);
        let running = Running::start(what, &mut command)?;
        let server = Self { address, running, log: log.to_owned() };
        server.wait_until_ready(path, patience).with_context(|| server.last_words())?;
        Ok(server)
    }

    fn wait_until_ready(&self, path: &str, patience: Duration) -> Result<()> {
        let deadline = Instant::now() + patience;
        loop {
            self.running.still_runs()?;
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                bail!("no answer at {} within {patience:?}", self.address);
            }
            let answer = Connection::open(self.address, left).and_then(|mut it| it.get(path));
            match answer {
                Ok(answer) if answer.status == 200 => return Ok(()),
                Ok(answer) => {
                    bail!("{path}: {} {}", answer.status, String::from_utf8_lossy(&answer.body));
                }
                Err(_) => pause(BETWEEN_LOOKS)?, // not listening yet
            }
        }
    }

    /// Asks it to end, and waits until it has: what it writes at its end is written then.
    pub(crate) fn end(mut self, patience: Duration) -> Result<()> {
        let id = i32::try_from(self.running.id()).ok().and_then(Pid::from_raw);
        kill_process(id.context("the server has no id")?, Signal::TERM)?;
        let status = self.running.wait(patience)?;
        if !status.success() {
            bail!("the server ended with {status}; {}", self.last_words());
        }
        Ok(())
    }

    /// An error if it has ended.
    pub(super) fn still_runs(&self) -> Result<()> {
        self.running.still_runs().with_context(|| self.last_words())
    }

    /// A size from its `/proc/ID/status`, in bytes.
    pub(super) fn memory(&self, field: &str) -> Result<f64> {
        let bytes = memory(self.running.id(), field);
        bytes.map(|bytes| bytes as f64).with_context(|| format!("no {field} of the server"))
    }

    fn last_words(&self) -> String {
        let said = fs::read(&self.log).unwrap_or_default();
        let tail = &said[said.len().saturating_sub(TAIL)..];
        format!("the server's last words: {}", String::from_utf8_lossy(tail).trim())
    }
}

/// An address that nothing listens on, and that no connection gets before it is used.
pub(super) fn free_address() -> Result<SocketAddr> {
    Ok((Ipv4Addr::LOCALHOST, reef_servers::free_port()?).into())
}
