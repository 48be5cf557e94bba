//! `reef host`: a host of a lattice.

use std::{
    net::{SocketAddr, UdpSocket},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, bail};
use reef_agent::{Agent, Door, Options};
use reef_host::{deploy, fetch::Fetcher};
use reef_lattice::{Address, Lattice};
use reef_planner::Resources;
use tokio::signal::unix::{SignalKind, signal};

use crate::{
    args::{self, Join, Log},
    control, guest,
    lattice::Pinner,
    server::{self, Managed},
    source,
    up::Sources,
};

/// How long a lattice may take to be reached at a start, before the host goes on by itself.
const REACHED: Duration = Duration::from_secs(5);

/// How a host joins its lattice.
pub(crate) struct Joining {
    address: Option<Address>,
    folder: PathBuf,
    options: Options,
    advertise: Option<String>,
    controller: bool,
    /// What fetches artifacts for clients that send manifests alone.
    fetcher: Fetcher,
}

/// A host that has joined.
pub(crate) struct Joined {
    lattice: Lattice,
    agent: Agent,
    controller: Option<reef_controller::Controller>,
    /// Whether others may take over what runs here.
    others: bool,
}

/// Runs a host until a signal, or until it is drained to leave.
pub(crate) fn host(args: &Join, log: &Log) -> anyhow::Result<i32> {
    let name = match &args.name {
        Some(name) => name.clone(),
        None => machine().context("this machine has no name: give the host one by --name")?,
    };
    let Some(data) = guest::data(&args.server.data, false) else {
        bail!("a host keeps what it is told: leave --no-data out, or say a folder with --data");
    };
    // Several on one machine have one each.
    let data = match args.server.data.data.is_some() {
        true => data,
        false => data.join("hosts").join(&name),
    };
    let memory = args.memory.map_or_else(memory, |size| size.0);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let cpu = args.cpu.map_or(cores as u64 * 1000, |share| (share.cores() * 1000.0) as u64);
    let joining = Joining {
        address: args.lattice.lattice.clone(),
        folder: data.join("store"),
        options: Options {
            name,
            labels: args.label.iter().cloned().collect(),
            capacity: Resources::new(memory, cpu),
            http: None,
            data: data.clone(),
        },
        advertise: args.advertise.clone(),
        controller: !args.no_controller,
        fetcher: source::fetcher(&args.server.cache, &args.server.sources),
    };
    let socket = control::Socket::new(args.socket.as_deref())?;
    let sources = Sources::new(Vec::new()).into();
    let managed = Managed { sources, socket, watch: None, joining: Some(joining) };
    server::serve(&args.server, log, Vec::new(), Some(managed))
}

impl Joining {
    /// Where the host keeps what is its own.
    pub(crate) fn data(&self) -> PathBuf {
        self.options.data.clone()
    }

    /// What the lattice is called, and where it is; in no other place than here if that is not said.
    pub(crate) fn lattice(&self) -> (String, Option<String>) {
        match &self.address {
            Some(address) => (address.name().to_owned(), Some(address.to_string())),
            None => (reef_lattice::DEFAULT.to_owned(), None),
        }
    }

    /// Joins, with what runs workloads here.
    pub(crate) async fn join(
        mut self,
        host: Arc<deploy::Host>,
        addrs: &[SocketAddr],
    ) -> anyhow::Result<Joined> {
        let lattice = Lattice::open(self.address.as_ref(), &self.folder)?;
        let reached = reached(&lattice).await?;
        self.options.http = self.advertise.take().or_else(|| {
            let first = addrs.first()?;
            let addr = match first.ip().is_unspecified() {
                true => SocketAddr::new(towards_others()?, first.port()),
                false => *first,
            };
            Some(addr.to_string())
        });
        if self.options.http.is_none() {
            tracing::warn!(
                "Other hosts cannot send requests here: say where they reach this one with --advertise."
            );
        }
        let (name, at) = (self.options.name.clone(), self.options.http.clone());
        let agent = Agent::start(lattice.clone(), host, self.options).await?;
        let controller = self.controller.then(|| {
            let options = controls(Some(name.clone()), &lattice, self.fetcher);
            reef_controller::Controller::start(lattice.clone(), options)
        });
        tracing::info!(
            lattice = &*lattice.name,
            host = agent.id(),
            name,
            at,
            controller = controller.is_some(),
            "{}",
            if reached { "Joined the lattice." } else { "Runs what it was told last." }
        );
        Ok(Joined { lattice, agent, controller, others: self.address.is_some() })
    }
}

impl Joined {
    /// What it has joined.
    pub(crate) fn lattice(&self) -> &Lattice {
        &self.lattice
    }

    /// What answers requests here.
    pub(crate) fn door(&self) -> Arc<Door> {
        self.agent.door()
    }

    /// Ready once the host is to end, as it was drained for that.
    pub(crate) async fn released(&self) {
        self.agent.released().await;
    }

    /// Lets others take over what runs here, if there are such.
    pub(crate) async fn leave(&self, within: Duration) {
        if self.others && !self.agent.leave(within).await {
            tracing::warn!(
                "What runs here was not taken elsewhere in time; it ends with this host."
            );
        }
    }

    /// Says good-bye.
    pub(crate) async fn stop(self) {
        self.agent.stop().await;
        // Last: it sees to it that others take over.
        if let Some(controller) = self.controller {
            controller.stop().await;
        }
    }
}

/// Runs a controller by itself, until a signal.
pub(crate) fn controller(args: &args::Controller, log: &Log) -> anyhow::Result<i32> {
    guest::log_to(log, server::LOGGED, None)?;
    let asking = args.lattice.lattice.as_ref();
    let Some(address) = asking else {
        bail!("which lattice? Name it by --lattice nats://HOST:4222, or by REEF_LATTICE");
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let status = runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let lattice = Lattice::nats(address)?;
        reached(&lattice).await?;
        let fetcher = source::fetcher(&args.cache, &args.sources);
        let options = controls(args.name.clone(), &lattice, fetcher);
        let controller = reef_controller::Controller::start(lattice.clone(), options);
        tracing::info!(lattice = &*lattice.name, "A controller runs.");
        let status = tokio::select! {
            _ = terminate.recv() => 0,
            _ = interrupt.recv() => 130,
        };
        controller.stop().await;
        Ok(status)
    });
    runtime.shutdown_background();
    status
}

/// How a controller is started here.
fn controls(name: Option<String>, lattice: &Lattice, fetcher: Fetcher) -> reef_controller::Options {
    let pin = Pinner::new(lattice.clone(), fetcher);
    reef_controller::Options { name, pin: Some(Arc::new(pin)), ..Default::default() }
}

/// Whether the lattice is there, or may come to be.
async fn reached(lattice: &Lattice) -> anyhow::Result<bool> {
    use reef_lattice::Failure::{Denied, Unsupported};
    match tokio::time::timeout(REACHED, lattice.check()).await {
        Ok(Err(failure @ (Unsupported(_) | Denied(_)))) => {
            Err(failure).context("the lattice cannot be joined")
        }
        Ok(Err(failure)) => {
            tracing::warn!(%failure, "The lattice is not reached yet; it is tried for ever.");
            Ok(false)
        }
        Err(_) => {
            tracing::warn!("The lattice is not reached yet; it is tried for ever.");
            Ok(false)
        }
        Ok(Ok(())) => Ok(true),
    }
}

fn machine() -> Option<String> {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").ok()?;
    let name = name.trim();
    (!name.is_empty()).then(|| name.to_owned())
}

/// Bytes that the machine has.
fn memory() -> u64 {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let total = text.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let kib = total.and_then(|total| total.trim().strip_suffix("kB")?.trim().parse::<u64>().ok());
    kib.unwrap_or(1 << 20) * 1024
}

/// The address that this machine has towards others. Nothing is sent.
fn towards_others() -> Option<std::net::IpAddr> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    // A documentation address: only which way it would go is asked.
    socket.connect("192.0.2.1:9").ok()?;
    socket.local_addr().ok().map(|addr| addr.ip())
}
