//! Load on a server: as much as it takes (wrk), or at a fixed rate.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::client::Connection;
use super::running::{Running, not_interrupted};
use super::statistics::percentile;

/// Connections that are kept alive.
const CONNECTIONS: u32 = 32;
/// How long one answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// What a server did under load. Latencies are in milliseconds.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Load {
    /// Answers a second.
    pub(super) rate: f64,
    pub(super) p50: f64,
    pub(super) p99: f64,
    /// Answers that were not a success, and requests without one.
    pub(super) failed: f64,
}

/// As many requests as the server takes, over kept connections, from one thread.
pub(super) fn full(
    wrk: &Path,
    address: SocketAddr,
    path: &str,
    duration: Duration,
    log: &Path,
) -> Result<Load> {
    let mut command = Command::new(wrk);
    command.args(["-t1", &format!("-c{CONNECTIONS}"), "--latency"]);
    command.arg(format!("-d{}s", duration.as_secs().max(1)));
    command.arg(format!("--timeout={}s", PATIENCE.as_secs()));
    command.arg(format!("http://{address}{path}"));
    let file = std::fs::File::create(log).context("cannot write a log")?;
    command.stdout(file).stderr(Stdio::null());
    let mut running = Running::start("wrk", &mut command)?;
    let status = running.wait(duration + 3 * PATIENCE)?;
    let printed = std::fs::read_to_string(log).context("cannot read a log")?;
    if !status.success() {
        bail!("wrk failed: {status}: {printed}");
    }
    parse(&printed).with_context(|| format!("wrk printed something else:\n{printed}"))
}

fn parse(printed: &str) -> Option<Load> {
    let mut load = Load { rate: f64::NAN, p50: f64::NAN, p99: f64::NAN, failed: 0.0 };
    for line in printed.lines() {
        let line = line.trim();
        if let Some(rate) = line.strip_prefix("Requests/sec:") {
            load.rate = rate.trim().parse().ok()?;
        } else if let Some(latency) = line.strip_prefix("50%") {
            load.p50 = milliseconds(latency)?;
        } else if let Some(latency) = line.strip_prefix("99%") {
            load.p99 = milliseconds(latency)?;
        } else if let Some(count) = line.strip_prefix("Non-2xx or 3xx responses:") {
            load.failed += count.trim().parse::<f64>().ok()?;
        } else if let Some(counts) = line.strip_prefix("Socket errors:") {
            for count in counts.split(',') {
                load.failed += count.split_whitespace().nth(1)?.parse::<f64>().ok()?;
            }
        }
    }
    let whole = !load.rate.is_nan() && !load.p50.is_nan() && !load.p99.is_nan();
    whole.then_some(load)
}

/// `281.00us`, `1.25ms`, `2.00s`, `1.10m`.
fn milliseconds(text: &str) -> Option<f64> {
    let text = text.trim();
    let split = text.find(|c: char| c.is_ascii_alphabetic())?;
    let (number, unit) = text.split_at(split);
    let factor = match unit {
        "us" => 1e-3,
        "ms" => 1.0,
        "s" => 1e3,
        "m" => 60e3,
        _ => return None,
    };
    Some(number.parse::<f64>().ok()? * factor)
}

/// This many requests a second, spread evenly over the connections.
///
/// Each request has its moment; one that starts late because the answer before it was late is counted
/// from its moment, so that a stall is not hidden by the requests that it kept from being sent.
pub(crate) fn steady(
    address: SocketAddr,
    path: &str,
    rate: f64,
    duration: Duration,
) -> Result<Load> {
    let period = Duration::from_secs_f64(f64::from(CONNECTIONS) / rate.max(1.0));
    let start = Instant::now() + Duration::from_millis(50);
    let end = start + duration;
    let client = |index: u32| -> Result<(Vec<f64>, f64)> {
        let mut connection = Connection::open(address, PATIENCE)?;
        let mut latencies = Vec::new();
        let mut failed = 0.0;
        let mut moment = start + period * index / CONNECTIONS;
        while moment < end && not_interrupted().is_ok() {
            std::thread::sleep(moment.saturating_duration_since(Instant::now()));
            match connection.get(path) {
                Ok(answer) if answer.status == 200 => {}
                Ok(_) => failed += 1.0,
                Err(_) => {
                    failed += 1.0;
                    connection = Connection::open(address, PATIENCE)?;
                }
            }
            latencies.push(moment.elapsed().as_secs_f64() * 1e3);
            moment += period;
        }
        Ok((latencies, failed))
    };
    let mut latencies = Vec::new();
    let mut failed = 0.0;
    std::thread::scope(|scope| {
        let clients: Vec<_> =
            (0..CONNECTIONS).map(|index| scope.spawn(move || client(index))).collect();
        for client in clients {
            let Ok(outcome) = client.join() else { bail!("a client panicked") };
            let (its, failures) = outcome?;
            latencies.extend(its);
            failed += failures;
        }
        Ok(())
    })?;
    not_interrupted()?;
    let elapsed = start.elapsed().as_secs_f64();
    Ok(Load {
        rate: latencies.len() as f64 / elapsed,
        p50: percentile(&latencies, 0.5).context("no request was sent")?,
        p99: percentile(&latencies, 0.99).context("no request was sent")?,
        failed,
    })
}

/// Does `work` while clients each send one request after another to a path that need not answer well.
pub(super) fn while_others_ask<T>(
    address: SocketAddr,
    path: &str,
    clients: usize,
    work: impl FnOnce() -> Result<T>,
) -> Result<T> {
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..clients {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) && not_interrupted().is_ok() {
                    // Refused, late or broken off: all are answers to what cannot be answered.
                    let answer = Connection::open(address, PATIENCE).and_then(|mut c| c.get(path));
                    if answer.is_err() {
                        std::thread::sleep(Duration::from_millis(5));
                    }
                }
            });
        }
        let outcome = work();
        done.store(true, Ordering::Relaxed);
        outcome
    })
}

#[cfg(test)]
mod tests;
