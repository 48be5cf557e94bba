//! `cargo xtask demo`: builds Reef and the examples, starts the two that serve, and prints what to
//! try.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::cache::Cache;
use crate::guests::{self, Wanted};
use crate::workspace::Workspace;
use crate::{picture, process};

#[derive(Args)]
pub(crate) struct Options {
    /// Build Reef as users install it: slower to build, faster to run
    #[arg(long)]
    release: bool,
}

const SHRINK: &str = "shrink";
const SERVICE: &str = "hello-service";
const SCRIPT: &str = "wagi-script";
/// The first port to try; the next free ones follow.
const FIRST_PORT: u16 = 8080;
/// How long a server may take to answer: it compiles its component first.
const START: Duration = Duration::from_secs(60);
const BETWEEN_LOOKS: Duration = Duration::from_millis(50);

pub(crate) fn run(workspace: &Workspace, cache: &Cache, options: &Options) -> Result<()> {
    let names = [SHRINK, SERVICE, SCRIPT].map(str::to_owned).to_vec();
    guests::build(workspace, cache, &Wanted::named(names))?.into_result()?;
    let reef = build_reef(workspace, cache, options)?;
    let photo = draw_photo(cache)?;

    let (stop, stopped) = mpsc::channel();
    ctrlc::set_handler(move || {
        // The receiver is gone when the demo has stopped already.
        let _ = stop.send(());
    })
    .context("cannot listen for Ctrl-C")?;

    let service = Server::start(&reef, cache, SERVICE)?;
    let script = Server::start(&reef, cache, SCRIPT)?;
    let mut servers = [service, script];
    instructions(&reef, cache, &photo, &servers);
    loop {
        match stopped.recv_timeout(BETWEEN_LOOKS) {
            Err(mpsc::RecvTimeoutError::Timeout) => {}
            _ => return Ok(()), // the servers stop as they drop
        }
        for server in &mut servers {
            server.still_running()?;
        }
    }
}

fn build_reef(workspace: &Workspace, cache: &Cache, options: &Options) -> Result<PathBuf> {
    let mut command = workspace.cargo(cache);
    command.args(["build", "--locked", "--package", "reef-cli", "--bin", "reef"]);
    if options.release {
        command.arg("--release");
    }
    process::run(&mut command)?;
    let profile = if options.release { "release" } else { "debug" };
    std::path::absolute(cache.host_target().join(profile).join("reef"))
        .context("no target directory")
}

fn draw_photo(cache: &Cache) -> Result<PathBuf> {
    let folder = cache.demo();
    let photo = folder.join("photo.png");
    fs::create_dir_all(&folder)
        .and_then(|()| fs::write(&photo, picture::landscape(1200, 800)))
        .with_context(|| format!("cannot write {}", photo.display()))?;
    Ok(photo)
}

fn instructions(reef: &Path, cache: &Cache, photo: &Path, servers: &[Server; 2]) {
    let [service, script] = servers.each_ref().map(|server| server.address);
    let reef = reef.display();
    let shrink = guests::artefact(cache, SHRINK);
    let small = photo.with_file_name("small.png");
    println!(
        "
An HTTP service (a WASI 0.3 component): http://{service}/

    curl http://{service}/
    curl 'http://{service}/api/hello?name=Ada'
    curl -N http://{service}/countdown

A CGI program (a WASI 0.1 command, served as WAGI): http://{script}/

    curl 'http://{script}/?name=Ada'
    curl -d name=Grace http://{script}/

A function from stream to stream, which is granted nothing: a photo in, a smaller one out

    {reef} run {} --invoke 'shrink(@{})' -o {}

What a file is, and whether it can run here

    {reef} inspect --can-run {}

Ctrl-C stops.",
        shrink.display(),
        photo.display(),
        small.display(),
        shrink.display(),
    );
}

/// A running `reef serve`; it is ended when this is dropped.
struct Server {
    name: &'static str,
    address: SocketAddr,
    child: Child,
}

impl Server {
    fn start(reef: &Path, cache: &Cache, name: &'static str) -> Result<Self> {
        let address = free_address()?;
        let child = Command::new(reef)
            .arg("serve")
            .arg(guests::artefact(cache, name))
            .args(["--addr", &address.to_string()])
            .spawn()
            .with_context(|| format!("cannot start {}", reef.display()))?;
        let mut server = Self { name, address, child };
        // The port is taken before the next server looks for one.
        server.wait_until_listening()?;
        Ok(server)
    }

    fn wait_until_listening(&mut self) -> Result<()> {
        let deadline = Instant::now() + START;
        while TcpStream::connect_timeout(&self.address, BETWEEN_LOOKS).is_err() {
            self.still_running()?;
            if Instant::now() > deadline {
                bail!("{} does not listen on {} after {START:?}", self.name, self.address);
            }
            std::thread::sleep(BETWEEN_LOOKS);
        }
        Ok(())
    }

    fn still_running(&mut self) -> Result<()> {
        match self.child.try_wait().context("cannot watch a server")? {
            Some(status) => bail!("the server of {} ended: {status}", self.name),
            None => Ok(()),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Fails only when it has ended, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The first free loopback port from [`FIRST_PORT`] on.
fn free_address() -> Result<SocketAddr> {
    (FIRST_PORT..=u16::MAX)
        .map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
        .find(|address| TcpListener::bind(address).is_ok())
        .context("no loopback port is free")
}
