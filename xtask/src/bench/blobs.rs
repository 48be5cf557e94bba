//! A large object through a guest to another object, beside a copy by a program that reads and writes.

use std::fs::{self, File};
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::Effort;
use super::client::Connection;
use super::record::{Bench, Target};
use super::running;
use super::server::Server;
use super::tools::{Program, Tools};

const START: Duration = Duration::from_secs(60);
const LIMIT: Duration = Duration::from_secs(10 * 60);
const MIB: usize = 1 << 20;
/// What is compared to: as much at a time as the guests, and on the disk when it is done, as theirs is.
const NATIVE: &str = "dd";

pub(super) fn measure(tools: &Tools<'_>, effort: Effort, bench: &mut Bench) -> Result<()> {
    let reef = tools.reef()?;
    let mebibytes = effort.times(4096, 64);
    bench.begin();
    let mut subjects = Vec::new();
    for guest in ["p2-blobs", "p3-blobs"] {
        let folder = application(tools, guest)?;
        let data = folder.join("data");
        let server = serve(tools, &reef, &folder)?;
        for operation in ["create/c/c", "put/c/large"] {
            ask(server.address, operation)?;
        }
        let object = found(&data, "large").context("the store has no object of that name")?;
        fill(&object, mebibytes)?;
        subjects.push((guest, server, data, object));
    }
    for round in 0..effort.rounds as usize {
        for turn in 0..=subjects.len() {
            let Some((guest, server, data, _)) = subjects.get((round + turn) % 3) else {
                let from = &subjects[0].3;
                let seconds = native(from, &tools.scratch("native-copy"))?;
                bench.push(NATIVE, "rate", mebibytes as f64 / seconds);
                continue;
            };
            let started = Instant::now();
            ask(server.address, "through/c/large")?;
            bench.push(guest, "rate", mebibytes as f64 / started.elapsed().as_secs_f64());
            bench.push(guest, "peak_mib", server.memory("VmHWM")? / MIB as f64);
            let copy = found(data, "large-2").context("the guest made no copy")?;
            let size = fs::metadata(&copy).context("cannot look at the copy")?.len();
            if size != (mebibytes * MIB) as u64 {
                bail!("{guest} copied {size} bytes of {mebibytes} MiB");
            }
            fs::remove_file(copy).context("cannot remove the copy")?;
            server.still_runs()?;
        }
    }
    for (guest, server, data, _) in subjects {
        drop(server);
        fs::remove_dir_all(data).context("cannot write to the cache")?;
        let what = format!("{mebibytes} MiB through {guest}");
        bench.compare(&what, ("rate", "MiB/s"), guest, NATIVE, Some(Target::RatioAtLeast(0.7)));
        let small = Some(Target::Below(150.0));
        let what = format!("{what}: peak memory of the host");
        bench.state(&what, ("peak_mib", "MiB"), guest, small);
        bench.commands.insert(guest.into(), "reef up, a link with backend = \"file\"".into());
    }
    bench.commands.insert(NATIVE.into(), "dd if=FROM of=TO bs=1M conv=fsync".into());
    Ok(())
}

/// Seconds of a copy that is on the disk at its end.
fn native(from: &Path, to: &Path) -> Result<f64> {
    let mut command = Command::new("dd");
    command.arg(format!("if={}", from.display())).arg(format!("of={}", to.display()));
    command.args(["bs=1M", "conv=fsync"]);
    let timed = running::time("dd", &mut command, LIMIT)?;
    fs::remove_file(to).context("cannot write to the cache")?;
    Ok(timed.wall.as_secs_f64())
}

fn ask(address: SocketAddr, operation: &str) -> Result<()> {
    let answer = Connection::open(address, LIMIT)?.get(&format!("/bench/{operation}"))?;
    let text = String::from_utf8_lossy(&answer.body);
    if answer.status != 200 || text.starts_with("failed") {
        bail!("the guest answered {operation} with {}: {text}", answer.status);
    }
    Ok(())
}

/// The file of this name below a folder.
fn found(folder: &Path, name: &str) -> Option<PathBuf> {
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).ok()?.flatten() {
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => folders.push(entry.path()),
                Ok(_) if entry.file_name() == name => return Some(entry.path()),
                _ => {}
            }
        }
    }
    None
}

/// Bytes that are on the disk, and no two mebibytes alike.
fn fill(path: &Path, mebibytes: usize) -> Result<()> {
    let mut piece = vec![0; MIB];
    let mut write = || -> std::io::Result<()> {
        let mut file = File::create(path)?;
        for number in 0..mebibytes {
            for (index, byte) in piece.iter_mut().enumerate() {
                *byte = (index ^ (index >> 8) ^ number) as u8;
            }
            file.write_all(&piece)?;
        }
        file.sync_all()
    };
    write().context("cannot write to the cache")
}

fn serve(tools: &Tools<'_>, reef: &Program, folder: &Path) -> Result<Server> {
    let command = |address: SocketAddr| {
        let mut command = reef.command();
        command.args(["up", "--log", "warn", "--addr", &address.to_string(), "--socket"]);
        command.arg(folder.join("socket")).arg("--data").arg(folder.join("data")).arg(folder);
        command
    };
    Server::start(
        "reef up",
        command,
        "/bench/exists-container/c/c",
        START,
        &tools.scratch("server.log"),
    )
}

/// A folder with an application that has blobs in a folder.
fn application(tools: &Tools<'_>, guest: &str) -> Result<PathBuf> {
    let folder = tools.scratch(&format!("blobs-{guest}"));
    let write =
        |path: &Path, what: &[u8]| fs::write(path, what).context("cannot write to the cache");
    fs::create_dir_all(&folder).context("cannot write to the cache")?;
    let wasm = fs::read(tools.guest(guest)?).context("cannot read a guest")?;
    write(&folder.join("blobs.wasm"), &wasm)?;
    let package = if guest.starts_with("p3") { "wasmcloud:blobstore" } else { "wasi:blobstore" };
    let manifest = format!(
        "name = \"bench\"\n[[workload]]\nname = \"blobs\"\nsource = \"blobs.wasm\"\n\
         trigger.http.route = \"/...\"\nlimits.deadline = \"600s\"\n\
         link = [{{ import = \"{package}\", capability = \"blob-store\", \
         config = {{ backend = \"file\", timeout = \"600s\" }} }}]\n"
    );
    write(&folder.join("reef.toml"), manifest.as_bytes())?;
    Ok(folder)
}
