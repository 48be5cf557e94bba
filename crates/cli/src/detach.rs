//! `reef up -d`: a host that goes on when its starter has gone.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs,
    io::{self, Read as _, Seek as _, SeekFrom, Write as _},
    os::unix::process::CommandExt as _,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use http::Method;
use reef_app::Name;
use reef_host::deploy::environment_name;
use tokio::signal::unix::{SignalKind, signal};

use crate::{
    args::{Hosts, Ps},
    background,
    control::{Socket, client},
    manage::{block_on, ps},
};

/// How often it is asked whether it is ready.
const PAUSE: Duration = Duration::from_millis(20);
/// How long one that is told to end may take.
const ENDING: Duration = Duration::from_secs(5);

/// Starts this very command in the background, and waits until it is ready or has failed.
pub(crate) fn start(socket: Option<&Path>, vars: &[(String, String)]) -> anyhow::Result<i32> {
    let own = Socket::new(socket)?;
    let folder = background::folder()?;
    background::tidy(&folder);
    // Called after the process that writes it, once that has a number.
    let log = folder.join(format!("starting-{}.log", std::process::id()));
    let file = fs::File::create(&log)
        .with_context(|| format!("cannot write the log {}", log.display()))?;
    drop(file);
    // What is cut off at its front is written on at its end.
    let file = fs::OpenOptions::new().append(true).open(&log)?;
    let mut command = Command::new(std::env::current_exe().context("cannot find this program")?);
    // The subcommand comes first; what is global may come before it.
    command.args(arguments(std::env::args_os().skip(1)));
    // The arguments of a process are for everybody to see, its environment is not.
    command.envs(environment(vars)?);
    command.env(background::LOG, &folder);
    if socket.is_none() {
        command.arg("--socket").arg(own.path());
    }
    // A group of its own: an interrupt at the terminal is not meant for it.
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(file).process_group(0);
    let (status, child, log) = block_on(async {
        // Before there is a child, which would be left behind by a signal that ends this process.
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let child = command.spawn().context("cannot start in the background");
        let mut child = child.inspect_err(|_| drop(fs::remove_file(&log)))?;
        let starting = log;
        let log = background::file(&folder, child.id());
        fs::rename(&starting, &log)?;
        let mut log_reader = fs::File::open(&log)?;
        loop {
            // What it says until it is ready is for whoever started it.
            relay(&mut log_reader)?;
            if let Some(ended) = child.try_wait()? {
                relay(&mut log_reader)?;
                return Ok((Some(ended.code().unwrap_or(1)), child, log));
            }
            let status = client::call(own.path(), Method::GET, "/v1/status", None).await;
            if status.is_ok_and(|status| status["ready"] == true) {
                return Ok((None, child, log));
            }
            // Who does not wait for it does not want it.
            let signal = tokio::select! {
                () = tokio::time::sleep(PAUSE) => continue,
                _ = interrupt.recv() => SignalKind::interrupt(),
                _ = terminate.recv() => SignalKind::terminate(),
            };
            end(&mut child).await?;
            return Ok((Some(128 + signal.as_raw_value()), child, log));
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

/// Ends a host that has not started yet.
async fn end(child: &mut Child) -> anyhow::Result<()> {
    let pid = rustix::process::Pid::from_child(child);
    // It may just have ended.
    let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
    let until = Instant::now() + ENDING;
    while child.try_wait()?.is_none() {
        if Instant::now() > until {
            child.kill()?;
            child.wait()?;
            break;
        }
        tokio::time::sleep(PAUSE).await;
    }
    Ok(())
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

/// The arguments of the one in the background: without those that say so, and without values.
fn arguments(all: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let mut left = Vec::new();
    let mut all = all;
    while let Some(one) = all.next() {
        match one.to_str() {
            Some("-d" | "--detach") => {}
            Some("--var") => drop(all.next()),
            Some(text) if text.starts_with("--var=") => {}
            Some("--") => {
                left.push(one);
                left.extend(all);
                break;
            }
            _ => left.push(one),
        }
    }
    left
}

/// The values of variables as the environment holds them, the last of a name.
fn environment(vars: &[(String, String)]) -> anyhow::Result<BTreeMap<String, &str>> {
    let mut held = BTreeMap::<String, (&str, &str)>::new();
    for (name, value) in vars {
        let key = environment_name(&name.parse::<Name>()?);
        if let Some((other, _)) = held.insert(key.clone(), (name, value))
            && other != name
        {
            bail!(
                "--var {other} and --var {name} are both {key} for a host in the background; leave -d out"
            );
        }
    }
    Ok(held.into_iter().map(|(key, (_, value))| (key, value)).collect())
}

#[cfg(test)]
mod tests;
