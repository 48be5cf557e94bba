//! `reef serve` as a process of its own.

use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use serde_json::Value;

use crate::client::{self, Reply};
use crate::support::{PATIENCE, eventually, reef};

/// A running server; ended when dropped.
pub(crate) struct Server {
    child: Child,
    /// Where it answers requests.
    pub(crate) addr: SocketAddr,
    /// Where it answers /metrics, /healthz and /readyz.
    pub(crate) admin: SocketAddr,
    log: Arc<Mutex<Vec<Value>>>,
    reader: Option<JoinHandle<()>>,
}

impl Server {
    /// Serves, with flags as on the command line. Returns when it says where it listens.
    pub(crate) fn start<A: AsRef<OsStr>>(args: impl IntoIterator<Item = A>) -> Self {
        Self::spawn(command(args))
    }

    /// Serves one guest.
    pub(crate) fn guest(name: &str, flags: &[&str]) -> Self {
        let mut command = command(flags);
        command.arg(crate::support::guest(name));
        Self::spawn(command)
    }

    pub(crate) fn spawn(mut command: Command) -> Self {
        let mut child = command.spawn().unwrap();
        let log = Arc::new(Mutex::new(Vec::new()));
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let reader = {
            let log = log.clone();
            thread::spawn(move || {
                for line in lines.map_while(Result::ok) {
                    let entry = serde_json::from_str(&line).unwrap_or(Value::String(line));
                    log.lock().unwrap().push(entry);
                }
            })
        };
        let mut server =
            Self { child, addr: unknown(), admin: unknown(), log, reader: Some(reader) };
        let urls = eventually("the server's addresses", || {
            let ended = server.child.try_wait().unwrap();
            assert!(ended.is_none(), "it ended: {ended:?}: {:#?}", server.log());
            let log = server.log();
            // The admin address comes last.
            let all = log.iter().any(|entry| said(entry, "Metrics and health"));
            all.then(|| log.iter().filter_map(url).collect::<Vec<_>>())
        });
        server.addr = urls[0];
        server.admin = urls[urls.len() - 1];
        server
    }

    /// Everything logged so far.
    pub(crate) fn log(&self) -> Vec<Value> {
        self.log.lock().unwrap().clone()
    }

    /// Waits for a log entry whose text has all of this in it.
    pub(crate) fn wait_for_log(&self, parts: &[&str]) -> Value {
        eventually(&format!("{parts:?} in the log"), || {
            let log = self.log.lock().unwrap();
            log.iter().find(|entry| parts.iter().all(|part| said(entry, part))).cloned()
        })
    }

    pub(crate) fn get(&self, path: &str) -> Reply {
        client::get(self.addr, path)
    }

    /// A number on /metrics: all samples of that name that have these labels, added up.
    pub(crate) fn metric(&self, name: &str, labels: &str) -> f64 {
        let page = client::get(self.admin, "/metrics").text();
        page.lines()
            .filter_map(|line| {
                let (sample, value) = line.rsplit_once(' ')?;
                let found = sample.split('{').next() == Some(name) && sample.contains(labels);
                found.then(|| value.parse::<f64>().unwrap())
            })
            .sum()
    }

    /// Waits until a metric is as wanted.
    pub(crate) fn wait_for_metric(&self, name: &str, wanted: impl Fn(f64) -> bool) -> f64 {
        let start = Instant::now();
        loop {
            let value = self.metric(name, "");
            if wanted(value) {
                return value;
            }
            assert!(start.elapsed() < PATIENCE, "{name} is {value}: {:#?}", self.log());
            thread::sleep(std::time::Duration::from_millis(50));
        }
    }

    /// Resident memory of the process, in bytes.
    pub(crate) fn resident(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches("kB").trim().parse::<u64>().unwrap() << 10
    }

    /// The process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Whether the process is still there.
    pub(crate) fn is_up(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    pub(crate) fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-s", name, &pid]).status().unwrap().success());
    }

    /// Has it see requests to this host all at once: each over a connection of its own that it knows
    /// already, though not from the host. The answers in the same order.
    pub(crate) fn burst(&self, host: &str, paths: &[&str]) -> Vec<String> {
        let mut clients: Vec<_> = paths.iter().map(|_| client::Raw::connect(self.addr)).collect();
        for client in &mut clients {
            // Nothing is served there, so no guest is started.
            client.send("GET / HTTP/1.1\r\nHost: elsewhere\r\n\r\n");
            client.until("served at this address.\n");
        }
        self.signal("STOP");
        eventually("the server to stand still", || self.stands_still().then_some(()));
        for (client, path) in clients.iter_mut().zip(paths) {
            let rest = format!("HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
            client.send(format!("GET {path} {rest}"));
        }
        self.signal("CONT");
        clients.into_iter().map(client::Raw::rest).collect()
    }

    /// Whether all threads are stopped.
    fn stands_still(&self) -> bool {
        let threads = std::fs::read_dir(format!("/proc/{}/task", self.child.id())).unwrap();
        threads.flatten().all(|thread| {
            std::fs::read_to_string(thread.path().join("stat"))
                .is_ok_and(|stat| stat.rsplit_once(") ").is_some_and(|(_, s)| s.starts_with('T')))
        })
    }

    /// Waits for the end of the process.
    pub(crate) fn ended(&mut self) -> ExitStatus {
        eventually("the end of the server", || self.child.try_wait().unwrap())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
        if thread::panicking() {
            let log = self.log();
            let last = &log[log.len().saturating_sub(40)..];
            eprintln!("the server's log ended with {last:#?}");
        }
    }
}

/// `reef serve` on free ports, with a log for machines.
pub(crate) fn command<A: AsRef<OsStr>>(args: impl IntoIterator<Item = A>) -> Command {
    serving("serve", args)
}

/// The same of another command that serves.
pub(crate) fn serving<A: AsRef<OsStr>>(name: &str, args: impl IntoIterator<Item = A>) -> Command {
    let mut command = reef();
    command.args([name, "--addr", "127.0.0.1:0", "--admin", "127.0.0.1:0"]);
    command.args(["--log-format", "json"]).args(args);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    command
}

/// What a server that cannot start says, and its exit status.
pub(crate) fn refusal<A: AsRef<OsStr>>(args: impl IntoIterator<Item = A>) -> (String, i32) {
    let mut command = reef();
    command.args(["serve", "--addr", "127.0.0.1:0"]).args(args).stdin(Stdio::null());
    let output = command.output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    (said, output.status.code().expect("an exit status, not a signal"))
}

/// `ROUTE=FILE` for a guest.
pub(crate) fn at(route: &str, file: &Path) -> String {
    format!("{route}={}", file.display())
}

/// Whether a log entry has this in its text.
pub(crate) fn said(entry: &Value, part: &str) -> bool {
    match entry {
        Value::String(text) => text.contains(part),
        Value::Object(fields) => fields.values().any(|value| said(value, part)),
        other => serde_json::to_string(other).is_ok_and(|text| text == part),
    }
}

fn url(entry: &Value) -> Option<SocketAddr> {
    fn find(entry: &Value) -> Option<&str> {
        let fields = entry.as_object()?;
        match fields.get("url") {
            Some(url) => url.as_str(),
            None => fields.values().find_map(find),
        }
    }
    let (_, rest) = find(entry)?.split_once("://")?;
    rest.split('/').next()?.parse().ok()
}

fn unknown() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}
