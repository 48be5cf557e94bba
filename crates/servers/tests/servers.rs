//! Each server starts, fails, and comes back with its data.

use std::net::TcpStream;

use anyhow::Result;
use reef_servers::{Nats, Server};

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
