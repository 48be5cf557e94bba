//! Several servers of NATS that belong together.

use std::{
    io::{Read as _, Write as _},
    net::{Ipv4Addr, TcpStream},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};

use crate::{Nats, STARTING, Server, TRIES, port::free_port};

/// A cluster of NATS servers with JetStream.
#[derive(Debug)]
pub struct Cluster {
    servers: Vec<Server>,
}

impl Cluster {
    /// As many servers of the newest NATS, once they know each other.
    ///
    /// # Errors
    /// When they are not installed or do not start.
    pub fn nats(count: usize) -> Result<Self> {
        Self::nats_of(Nats::Newest, count)
    }

    /// The same of a version.
    ///
    /// # Errors
    /// As [`Self::nats`].
    pub fn nats_of(version: Nats, count: usize) -> Result<Self> {
        let mut last = None;
        // Somebody else may take a port between its choice and its use.
        for _ in 0..TRIES {
            match Self::try_nats(version, count) {
                Ok(cluster) => return Ok(cluster),
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(|| anyhow::anyhow!("it was not tried")))
    }

    fn try_nats(version: Nats, count: usize) -> Result<Self> {
        let ports = || (0..count).map(|_| free_port()).collect::<Result<Vec<_>>>();
        let (routes, monitors) = (ports()?, ports()?);
        let urls: Vec<_> = routes.iter().map(|port| format!("'nats://127.0.0.1:{port}'")).collect();
        let urls = urls.join(", ");
        let servers = routes.iter().zip(&monitors).enumerate().map(|(at, (route, monitor))| {
            let config = format!(
                "server_name: reef-{at}\njetstream: enabled\nhttp: '127.0.0.1:{monitor}'\n\
                 cluster: {{name: reef, listen: '127.0.0.1:{route}', routes: [{urls}]}}\n"
            );
            Server::nats_with(version, &config)
        });
        let cluster = Self { servers: servers.collect::<Result<_>>()? };
        let deadline = Instant::now() + STARTING;
        for monitor in monitors {
            while !knows_all(monitor, count).unwrap_or(false) {
                if Instant::now() > deadline {
                    bail!("a server of a cluster does not know the others after {STARTING:?}");
                }
                std::thread::sleep(Duration::from_millis(50));
            }
        }
        Ok(cluster)
    }

    /// A hub with JetStream's domain `hub`, and a leaf node of it with one of its own, `leaf`.
    ///
    /// # Errors
    /// As [`Self::nats`].
    pub fn hub_and_leaf(version: Nats) -> Result<(Server, Server)> {
        let mut last = None;
        for _ in 0..TRIES {
            let port = free_port()?;
            let hub = format!(
                "server_name: hub\njetstream: {{domain: hub}}\nleafnodes: {{listen: '127.0.0.1:{port}'}}\n"
            );
            let leaf = format!(
                "server_name: leaf\njetstream: {{domain: leaf}}\n\
                 leafnodes: {{remotes: [{{url: 'nats://127.0.0.1:{port}'}}], reconnect: 1}}\n"
            );
            let both = Server::nats_with(version, &hub)
                .and_then(|hub| Ok((hub, Server::nats_with(version, &leaf)?)));
            match both {
                Ok(both) => return Ok(both),
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(|| anyhow::anyhow!("it was not tried")))
    }

    /// All of their addresses, with commas between.
    pub fn url(&self) -> String {
        let all: Vec<_> = self.servers.iter().map(Server::url).collect();
        all.join(",")
    }

    /// One of them.
    pub fn server(&self, at: usize) -> &Server {
        &self.servers[at]
    }

    /// How many there are, dead or alive.
    pub fn size(&self) -> usize {
        self.servers.len()
    }

    /// Ends one as a power cut would.
    pub fn kill(&mut self, at: usize) {
        self.servers[at].kill();
    }

    /// Starts one again after [`kill`](Self::kill): the same ports and data.
    ///
    /// # Errors
    /// When it does not start.
    pub fn start_again(&mut self, at: usize) -> Result<()> {
        self.servers[at].start_again()
    }

    /// Stops one without ending it.
    pub fn freeze(&self, at: usize) {
        self.servers[at].freeze();
    }

    /// Lets it go on.
    pub fn thaw(&self, at: usize) {
        self.servers[at].thaw();
    }
}

/// Whether a server knows who leads, and of how many.
fn knows_all(monitor: u16, count: usize) -> Result<bool> {
    let limit = Duration::from_secs(2);
    let mut stream = TcpStream::connect_timeout(&(Ipv4Addr::LOCALHOST, monitor).into(), limit)?;
    stream.set_read_timeout(Some(limit))?;
    stream.write_all(b"GET /jsz HTTP/1.0\r\n\r\n")?;
    let mut said = String::new();
    stream.read_to_string(&mut said).context("its monitoring says nothing")?;
    let said: String = said.split_whitespace().collect();
    let (_, meta) = said.split_once("\"meta_cluster\":").unwrap_or_default();
    Ok(meta.contains("\"leader\":\"reef-")
        && meta.contains(&format!("\"cluster_size\":{count}"))
        && !meta.contains("\"offline\":true"))
}
