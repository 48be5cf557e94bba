//! A host that is killed while it writes: what it was told is written is there.
//!
//! The host is this program once more: it writes through a backend, says what was acknowledged, and is killed at some
//! moment.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Command, Stdio},
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use reef_capability::Settings;
use reef_servers::{Nats, Server};

use super::{Store, bytes, open};

const BACKEND: &str = "REEF_KEY_VALUE_BACKEND";
const URL: &str = "REEF_KEY_VALUE_URL";
const FOLDER: &str = "REEF_KEY_VALUE_FOLDER";
const ROUND: &str = "REEF_KEY_VALUE_ROUND";

const ROUNDS: u32 = 6;
const WRITERS: u32 = 8;

#[tokio::test(flavor = "multi_thread")]
async fn embedded() {
    let folder = tempfile::tempdir().unwrap();
    nothing_is_lost("embedded", "", folder.path()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn redis() {
    let server = Server::redis().unwrap();
    nothing_is_lost("redis", &server.url(), Path::new("/")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nats() {
    let server = Server::nats(Nats::Newest).unwrap();
    nothing_is_lost("nats", &server.url(), Path::new("/")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres() {
    let server = Server::postgres().unwrap();
    nothing_is_lost("postgres", &server.url(), Path::new("/")).await;
}

async fn nothing_is_lost(backend: &str, url: &str, folder: &Path) {
    let (mut acknowledged, mut added) = (Vec::<String>::new(), 0_i64);
    for round in 0..ROUNDS {
        let (keys, sums) = tokio::task::block_in_place(|| killed(backend, url, folder, round));
        assert!(!keys.is_empty(), "{backend}: nothing was written in round {round}");
        acknowledged.extend(keys);
        added += sums;
        let store = open(backend, &settings(url), folder);
        for key in &acknowledged {
            let value = store.get("b", key).await.unwrap();
            assert_eq!(value, Some(value_of(key)), "{backend}: `{key}` was acknowledged");
        }
        let sum = store.add("b", "sum", 0).await.unwrap();
        // What was under way may have been done.
        let most = added + i64::from(WRITERS);
        assert!((added..=most).contains(&sum), "{backend}: {sum} is not {added} to {most}");
        added = sum;
    }
}

fn settings(url: &str) -> Settings {
    if url.is_empty() { Settings::default() } else { [("url", url)].into_iter().collect() }
}

/// Begins a host and kills it: the keys and the number of sums that it was told are written.
fn killed(backend: &str, url: &str, folder: &Path, round: u32) -> (Vec<String>, i64) {
    let mut host = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "killed::host", "--ignored", "--nocapture", "--test-threads=1"])
        .env(BACKEND, backend)
        .env(URL, url)
        .env(FOLDER, folder)
        .env(ROUND, round.to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap();
    let output = BufReader::new(host.stdout.take().unwrap());
    let acknowledged = Arc::new(Mutex::new((Vec::new(), 0)));
    let (first, began) = std::sync::mpsc::channel();
    let all = acknowledged.clone();
    let reading = std::thread::spawn(move || {
        // The last line may have been cut.
        for line in output.split(b'\n').map_while(Result::ok) {
            let line = String::from_utf8_lossy(&line).into_owned();
            let mut all = all.lock().unwrap();
            if let Some(key) = line.strip_prefix("wrote ").and_then(|key| key.strip_suffix(" .")) {
                all.0.push(key.to_owned());
                let _ = first.send(());
            } else if line == "added ." {
                all.1 += 1;
            }
        }
    });
    began.recv_timeout(Duration::from_secs(60)).expect("it writes");
    std::thread::sleep(Duration::from_micros(fastrand::u64(..300_000)));
    host.kill().unwrap();
    host.wait().unwrap();
    reading.join().unwrap();
    let acknowledged = acknowledged.lock().unwrap();
    acknowledged.clone()
}

fn value_of(key: &str) -> Bytes {
    let length = key.bytes().map(usize::from).sum::<usize>() * 7 % 3000;
    bytes(&format!("{key}{}", "x".repeat(length)))
}

/// The host. It ends when it is killed.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "is begun, and killed, by the other tests"]
async fn host() {
    let Ok(backend) = std::env::var(BACKEND) else { return };
    let variable = |name| std::env::var(name).unwrap_or_default();
    let store = open(&backend, &settings(&variable(URL)), Path::new(&variable(FOLDER)));
    let round = variable(ROUND);
    let writers: Vec<_> =
        (0..WRITERS).map(|n| tokio::spawn(writes(store.clone(), format!("{round}-{n}")))).collect();
    for writer in writers {
        writer.await.unwrap();
    }
}

async fn writes(store: Store, name: String) {
    for number in 0_u32.. {
        let key = format!("{name}-{number}");
        store.set("b", &key, value_of(&key)).await.unwrap();
        say(&format!("wrote {key} ."));
        store.add("b", "sum", 1).await.unwrap();
        say("added .");
    }
}

fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    out.write_all(format!("{line}\n").as_bytes()).and_then(|()| out.flush()).unwrap();
}
