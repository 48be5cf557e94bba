//! Each server starts, fails, and comes back with its data.

use std::net::TcpStream;

use anyhow::Result;
use reef_servers::{Cluster, Nats, Server};

fn fails_and_comes_back(mut server: Server) -> Result<()> {
    let addr = server.addr();
    assert!(TcpStream::connect(addr).is_ok());
    server.kill();
    assert!(TcpStream::connect(addr).is_err(), "{server:?}");
    server.start_again()?;
    assert_eq!(server.addr(), addr);
    assert!(TcpStream::connect(addr).is_ok());
    let folder = server.folder().to_owned();
    drop(server);
    assert!(TcpStream::connect(addr).is_err());
    assert!(!folder.exists());
    Ok(())
}

#[test]
fn redis() -> Result<()> {
    fails_and_comes_back(Server::redis()?)
}

#[test]
fn postgres() -> Result<()> {
    fails_and_comes_back(Server::postgres()?)
}

#[test]
fn mariadb() -> Result<()> {
    fails_and_comes_back(Server::mariadb()?)
}

#[test]
fn mosquitto() -> Result<()> {
    fails_and_comes_back(Server::mosquitto()?)
}

#[test]
fn nats() -> Result<()> {
    fails_and_comes_back(Server::nats(Nats::Newest)?)?;
    fails_and_comes_back(Server::nats(Nats::Oldest)?)
}

#[test]
fn registry() -> Result<()> {
    fails_and_comes_back(Server::registry()?)
}

#[test]
fn clusters_and_leaves() -> Result<()> {
    for version in [Nats::Newest, Nats::Oldest] {
        let mut cluster = Cluster::nats_of(version, 3)?;
        let addr = cluster.server(1).addr();
        cluster.kill(1);
        assert!(TcpStream::connect(addr).is_err());
        cluster.start_again(1)?;
        assert!(TcpStream::connect(addr).is_ok());
        let (hub, leaf) = Cluster::hub_and_leaf(version)?;
        assert_ne!(hub.port(), leaf.port());
    }
    Ok(())
}

#[test]
fn nats_on_a_disk_that_is_filled() -> Result<()> {
    let server = Server::nats_on_small_disk(Nats::Newest, 8)?;
    server.fill_disk()?;
    server.free_disk()?;
    // A disk is not more than was said.
    let data = server.folder().join("data");
    assert!(std::fs::read_dir(data)?.next().is_none(), "nobody else sees it");
    fails_and_comes_back(server)
}
