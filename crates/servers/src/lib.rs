//! Real servers on loopback, for tests: each on a free port, with a folder of its own, ended by its process number
//! when it is dropped. `cargo xtask servers` installs what they need.
//!
//! Servers of NATS can be [several](Cluster) that belong together.
//!
//! Each of those that Reef connects to with TLS can be started [over TLS](Server::redis_over_tls), with certificates
//! of an authority of its own.
//!
//! A test can make a server fail: [`Server::kill`] and [`Server::start_again`] (on the same port, with the same
//! data), [`Server::freeze`] and [`Server::thaw`].

mod cluster;
mod disk;
mod kinds;
mod port;
mod tls;

use std::{
    io::{Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use tempfile::TempDir;

pub use cluster::Cluster;
use disk::Disk;
pub use kinds::Nats;
pub use port::free_port;
pub use tls::{Certificates, Clients};

/// How long a server may take to be ready.
const STARTING: Duration = Duration::from_secs(60);
/// How long what was signalled may take to be so.
const ENDING: Duration = Duration::from_secs(10);
/// Ports that are tried: between its choice and its use somebody else may take one.
const TRIES: usize = 5;

/// A running server.
#[derive(Debug)]
pub struct Server {
    kind: Kind,
    port: u16,
    tls: Option<Clients>,
    child: Option<Child>,
    /// Where its data is, if that is not among all else.
    disk: Option<Disk>,
    folder: TempDir,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Redis,
    Postgres,
    MariaDb,
    Mosquitto,
    GuardedMosquitto,
    Nats(Nats),
    Registry,
}

impl Server {
    /// Redis, which keeps what it acknowledged (`appendfsync always`).
    ///
    /// # Errors
    /// When it is not installed or does not start; so for all others.
    pub fn redis() -> Result<Self> {
        Self::start(Kind::Redis)
    }

    /// PostgreSQL: user `reef`, password `reef`, database `reef`.
    ///
    /// # Errors
    /// As [`Self::redis`].
    pub fn postgres() -> Result<Self> {
        Self::start(Kind::Postgres)
    }

    /// MariaDB: user `reef`, password `reef`, database `reef`.
    ///
    /// # Errors
    /// As [`Self::redis`].
    pub fn mariadb() -> Result<Self> {
        Self::start(Kind::MariaDb)
    }

    /// Mosquitto, an MQTT broker that lets in everybody.
    ///
    /// # Errors
    /// As [`Self::redis`].
    pub fn mosquitto() -> Result<Self> {
        Self::start(Kind::Mosquitto)
    }

    /// The same for the user `reef` with the password `open sesame` alone.
    ///
    /// # Errors
    /// As [`Self::redis`].
    pub fn guarded_mosquitto() -> Result<Self> {
        Self::start(Kind::GuardedMosquitto)
    }

    /// NATS with JetStream.
    ///
    /// # Errors
    /// As [`Self::redis`].
    pub fn nats(version: Nats) -> Result<Self> {
        Self::start(Kind::Nats(version))
    }

    /// NATS as a configuration has it, beside its port and the folder of its data. It listens on loopback, unless a
    /// line says another `host:`.
    ///
    /// # Errors
    /// As [`Self::redis`].
    pub fn nats_with(version: Nats, config: &str) -> Result<Self> {
        Self::start_with(Kind::Nats(version), Some(config), None)
    }

    /// NATS with JetStream, whose data is on a disk of so many MiB. It takes root.
    ///
    /// # Errors
    /// As [`Self::redis`].
    pub fn nats_on_small_disk(version: Nats, mebibytes: u32) -> Result<Self> {
        Self::start_on(Kind::Nats(version), None, None, Some(mebibytes))
    }

    /// An OCI registry (distribution) that lets in everybody.
    ///
    /// # Errors
    /// As [`Self::redis`].
    pub fn registry() -> Result<Self> {
        Self::start(Kind::Registry)
    }

    /// Redis that takes connections with TLS alone; so for all others.
    ///
    /// # Errors
    /// As [`Self::redis`].
    pub fn redis_over_tls(clients: Clients) -> Result<Self> {
        Self::start_with(Kind::Redis, None, Some(clients))
    }

    /// PostgreSQL over TLS.
    ///
    /// # Errors
    /// As [`Self::redis`].
    pub fn postgres_over_tls(clients: Clients) -> Result<Self> {
        Self::start_with(Kind::Postgres, None, Some(clients))
    }

    /// MariaDB over TLS.
    ///
    /// # Errors
    /// As [`Self::redis`].
    pub fn mariadb_over_tls(clients: Clients) -> Result<Self> {
        Self::start_with(Kind::MariaDb, None, Some(clients))
    }

    /// Mosquitto over TLS.
    ///
    /// # Errors
    /// As [`Self::redis`].
    pub fn mosquitto_over_tls(clients: Clients) -> Result<Self> {
        Self::start_with(Kind::Mosquitto, None, Some(clients))
    }

    /// NATS with JetStream, over TLS.
    ///
    /// # Errors
    /// As [`Self::redis`].
    pub fn nats_over_tls(version: Nats, clients: Clients) -> Result<Self> {
        Self::start_with(Kind::Nats(version), None, Some(clients))
    }

    /// What clients of a server over TLS need; the files are not there for one without.
    pub fn certificates(&self) -> Certificates {
        Certificates::of(self.folder.path())
    }

    /// Its address.
    pub fn addr(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// Its port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its URL, as clients of its kind have it, with the user if it has one.
    pub fn url(&self) -> String {
        let port = self.port;
        if self.tls.is_some() {
            return match self.kind {
                Kind::Redis => format!("rediss://127.0.0.1:{port}"),
                Kind::Postgres => {
                    format!("postgres://reef:reef@127.0.0.1:{port}/reef?sslmode=verify-full")
                }
                Kind::MariaDb => {
                    format!("mysql://reef:reef@127.0.0.1:{port}/reef?ssl-mode=verify_identity")
                }
                Kind::Mosquitto | Kind::GuardedMosquitto => format!("mqtts://127.0.0.1:{port}"),
                Kind::Nats(_) => format!("tls://127.0.0.1:{port}"),
                Kind::Registry => format!("https://127.0.0.1:{port}"),
            };
        }
        match self.kind {
            Kind::Redis => format!("redis://127.0.0.1:{port}"),
            Kind::Postgres => format!("postgres://reef:reef@127.0.0.1:{port}/reef"),
            Kind::MariaDb => format!("mysql://reef:reef@127.0.0.1:{port}/reef"),
            Kind::Mosquitto | Kind::GuardedMosquitto => format!("mqtt://127.0.0.1:{port}"),
            Kind::Nats(_) => format!("nats://127.0.0.1:{port}"),
            Kind::Registry => format!("http://127.0.0.1:{port}"),
        }
    }

    /// Its folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Its process number, while it runs.
    pub fn id(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// Fills its [small disk](Self::nats_on_small_disk).
    ///
    /// # Errors
    /// When it has none.
    pub fn fill_disk(&self) -> Result<()> {
        self.disk.as_ref().context("it has no disk of its own")?.fill()
    }

    /// Makes room there again.
    ///
    /// # Errors
    /// When it has none, or that was not filled.
    pub fn free_disk(&self) -> Result<()> {
        self.disk.as_ref().context("it has no disk of its own")?.free()
    }

    /// Ends it as a power cut would: with all that it began, none of which is there afterwards.
    pub fn kill(&mut self) {
        // It begins nothing any more; one that just begins would keep its port.
        let began = self.stop();
        let Some(mut child) = self.child.take() else { return };
        if let Some(id) = pid(&child) {
            let _ = kill_process_group(id, Signal::KILL);
        }
        for id in &began {
            let _ = kill_process(*id, Signal::KILL);
        }
        let _ = child.kill();
        let _ = child.wait();
        within(ENDING, || !began.iter().copied().any(runs));
    }

    /// Starts it again after [`kill`](Self::kill): the same port and data.
    ///
    /// # Errors
    /// When it does not start.
    pub fn start_again(&mut self) -> Result<()> {
        self.kill();
        let deadline = Instant::now() + STARTING;
        loop {
            match self.launch() {
                Ok(()) => return Ok(()),
                // Connections of the one before may keep the port for a moment.
                Err(_) if Instant::now() < deadline => {
                    std::thread::sleep(Duration::from_millis(100));
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Stops it without ending it: it takes connections and answers nothing.
    pub fn freeze(&self) {
        let began = self.stop();
        for id in &began {
            let _ = kill_process(*id, Signal::STOP);
        }
        within(ENDING, || began.iter().copied().all(stands_still));
    }

    /// Lets it go on.
    pub fn thaw(&self) {
        let Some(id) = self.child.as_ref().and_then(pid) else { return };
        for id in began_by(id) {
            let _ = kill_process(id, Signal::CONT);
        }
        let _ = kill_process_group(id, Signal::CONT);
    }

    /// Stops the process that was started, and tells what it began.
    fn stop(&self) -> Vec<Pid> {
        let Some(id) = self.child.as_ref().and_then(pid) else { return Vec::new() };
        let _ = kill_process_group(id, Signal::STOP);
        // A thread that computes goes on until it is told.
        within(ENDING, || stands_still(id));
        began_by(id)
    }

    fn start(kind: Kind) -> Result<Self> {
        Self::start_with(kind, None, None)
    }

    fn start_with(kind: Kind, config: Option<&str>, tls: Option<Clients>) -> Result<Self> {
        Self::start_on(kind, config, tls, None)
    }

    fn start_on(
        kind: Kind,
        config: Option<&str>,
        tls: Option<Clients>,
        mebibytes: Option<u32>,
    ) -> Result<Self> {
        let mut last = None;
        for _ in 0..TRIES {
            let folder = tempfile::Builder::new().prefix("reef-server-").tempdir()?;
            kind.prepare(folder.path(), tls)?;
            if let Some(config) = config {
                std::fs::write(folder.path().join("config"), config)?;
            }
            let data = folder.path().join("data");
            let disk = mebibytes.map(|mebibytes| Disk::at(&data, mebibytes)).transpose()?;
            let port = free_port()?;
            let mut server = Self { kind, port, tls, child: None, disk, folder };
            match server.launch() {
                Ok(()) => return Ok(server),
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(|| anyhow::anyhow!("it was not tried")))
    }

    fn launch(&mut self) -> Result<()> {
        let log = self.folder.path().join("log");
        let mut command = self.kind.command(self.folder.path(), self.port, self.tls)?;
        if let Some(disk) = &self.disk {
            command = disk.within(&command);
        }
        let output = std::fs::File::options().create(true).append(true).open(&log)?;
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output).process_group(0);
        let child = command.spawn().with_context(|| {
            let program = command.get_program().display();
            format!("{program} cannot be started; `cargo xtask servers` installs it")
        })?;
        self.child = Some(child);
        let deadline = Instant::now() + STARTING;
        loop {
            if let Some(status) = self.child.as_mut().map(Child::try_wait).transpose()?.flatten() {
                let said = std::fs::read_to_string(&log).unwrap_or_default();
                bail!("{:?} ended with {status}:\n{said}", self.kind);
            }
            if self.kind.is_ready(self.folder.path(), self.port, self.tls) {
                return Ok(());
            }
            if Instant::now() > deadline {
                self.kill();
                let said = std::fs::read_to_string(&log).unwrap_or_default();
                bail!("{:?} is not ready after {STARTING:?}:\n{said}", self.kind);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Where `cargo xtask servers` puts what no package of the system holds.
fn installed(name: &str) -> PathBuf {
    let cache = std::env::var_os("REEF_CACHE").map(PathBuf::from).or_else(|| {
        let home = std::env::home_dir()?;
        Some(home.join(".cache/reef"))
    });
    cache.unwrap_or_default().join("servers").join(name)
}

/// Waits until something is so, for no longer than that.
fn within(limit: Duration, mut is_so: impl FnMut() -> bool) {
    let until = Instant::now() + limit;
    while !is_so() && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Whether all threads of a process are stopped.
fn stands_still(id: Pid) -> bool {
    let Ok(threads) = std::fs::read_dir(format!("/proc/{id}/task")) else { return true };
    threads
        .flatten()
        .all(|thread| state_of(&thread.path()).is_none_or(|(state, _)| "TtZX".contains(state)))
}

/// Whether a process has not ended.
fn runs(id: Pid) -> bool {
    state_of(Path::new(&format!("/proc/{id}"))).is_some_and(|(state, _)| !"ZX".contains(state))
}

/// Processes that one began: those of PostgreSQL have groups of their own.
fn began_by(id: Pid) -> Vec<Pid> {
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let began = processes.filter_map(|entry| {
        let (_, parent) = state_of(&entry.path())?;
        let own = entry.file_name().to_str()?.parse().ok()?;
        (parent == id.as_raw_pid()).then_some(own).and_then(Pid::from_raw)
    });
    began.collect()
}

/// The state of a process or thread, and its parent.
fn state_of(folder: &Path) -> Option<(char, i32)> {
    let stat = std::fs::read_to_string(folder.join("stat")).ok()?;
    // They stand after the name, which may hold anything, in brackets.
    let mut rest = stat.rsplit_once(')')?.1.split_whitespace();
    Some((rest.next()?.chars().next()?, rest.next()?.parse().ok()?))
}

fn pid(child: &Child) -> Option<Pid> {
    Pid::from_raw(i32::try_from(child.id()).ok()?)
}

/// Whether what a server says first, or to a question, begins so.
fn answers(port: u16, question: &[u8], begins: &[u8]) -> bool {
    let ask = || -> std::io::Result<bool> {
        let address = (Ipv4Addr::LOCALHOST, port).into();
        let limit = Duration::from_millis(500);
        let mut stream = TcpStream::connect_timeout(&address, limit)?;
        stream.set_read_timeout(Some(limit))?;
        stream.write_all(question)?;
        let mut answer = vec![0; begins.len()];
        stream.read_exact(&mut answer)?;
        Ok(answer == begins)
    };
    ask().unwrap_or(false)
}

fn succeeds(command: &mut Command) -> bool {
    let quiet = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    quiet.status().is_ok_and(|status| status.success())
}
