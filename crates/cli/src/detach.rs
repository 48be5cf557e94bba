//! `reef up -d`: a host that goes on when its starter has gone.

use std::{
    fs,
    io::{self, Read as _, Seek as _, SeekFrom, Write as _},
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::Context as _;
use http::Method;

use crate::{
    args::{Hosts, Ps},
    control::{Socket, client},
    manage::{block_on, ps},
};

/// How often it is asked whether it is ready.
const PAUSE: Duration = Duration::from_millis(20);

/// Starts this very command in the background, and waits until it is ready or has failed.
pub(crate) fn start(socket: Option<&Path>) -> anyhow::Result<i32> {
    let own = Socket::new(socket)?;
    let log = log_file()?;
    let file = fs::File::create(&log)
        .with_context(|| format!("cannot write the log {}", log.display()))?;
    let mut command = Command::new(std::env::current_exe().context("cannot find this program")?);
    let mut arguments = std::env::args_os().skip(1).filter(|one| one != "-d" && one != "--detach");
    // The subcommand comes first; what is global may come before it.
    command.args(arguments.by_ref());
    if socket.is_none() {
        command.arg("--socket").arg(own.path());
    }
    // A group of its own: an interrupt at the terminal is not meant for it.
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(file).process_group(0);
    let mut child = command.spawn().context("cannot start in the background")?;
    let mut log_reader = fs::File::open(&log)?;
    let status = block_on(async {
        loop {
            // What it says until it is ready is for whoever started it.
            relay(&mut log_reader)?;
            if let Some(ended) = child.try_wait()? {
                relay(&mut log_reader)?;
                return Ok(Some(ended.code().unwrap_or(1)));
            }
            if client::call(own.path(), Method::GET, "/v1/status", None).await.is_ok() {
                return Ok(None);
            }
            tokio::time::sleep(PAUSE).await;
        }
    })?;
    if let Some(status) = status {
        return Ok(if status == 0 { 1 } else { status });
    }
    let path = own.path().to_owned();
    // It is the child's from here on.
    std::mem::forget(own);
    ps(&Ps { hosts: Hosts { socket: Some(path) }, json: false })?;
    writeln!(
        io::stdout(),
        "\nRunning as process {}; its log is {}. `reef stop` ends it.",
        child.id(),
        log.display()
    )?;
    Ok(0)
}

fn relay(log: &mut fs::File) -> io::Result<()> {
    let at = log.stream_position()?;
    let mut said = Vec::new();
    log.take(1 << 20).read_to_end(&mut said)?;
    log.seek(SeekFrom::Start(at + said.len() as u64))?;
    let said = String::from_utf8_lossy(&said);
    for line in said.lines().filter(|line| !line.contains(" INFO ")) {
        writeln!(io::stderr(), "{line}")?;
    }
    Ok(())
}

/// Where a host in the background writes.
fn log_file() -> anyhow::Result<PathBuf> {
    let var = |name| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    let state = var("XDG_STATE_HOME").or_else(|| Some(var("HOME")?.join(".local/state")));
    let folder = state.unwrap_or_else(std::env::temp_dir).join("reef");
    fs::create_dir_all(&folder)
        .with_context(|| format!("cannot make the folder {}", folder.display()))?;
    Ok(folder.join(format!("up-{}.log", std::process::id())))
}
