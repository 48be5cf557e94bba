//! Guests that speak TLS by themselves, over sockets; both drafts of `wasi:tls`.

use std::{
    fs,
    io::Read as _,
    net::{SocketAddr, TcpListener},
    path::Path,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};

use crate::{
    client::RUNTIME,
    host::{Host, folder},
    outbound_tls::demanding_config,
};

const GUESTS: &[(&str, &str)] = &[("p2.wasm", "p2-tls"), ("p3.wasm", "p3-tls")];

/// What a workload has of the files that [`demanding_config`] makes.
const ALL: &str = "tls = { roots = 'ca.pem', cert = 'client.pem', key = 'client.key' }";

/// A server that answers a line in capitals, to who has a certificate of its own authority.
fn shouting(folder: &Path) -> SocketAddr {
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(demanding_config(folder)));
    let listener = RUNTIME.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
    let addr = listener.local_addr().unwrap();
    RUNTIME.spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(stream) = acceptor.accept(stream).await else { return };
                let (mut stream, mut line) = (BufReader::new(stream), String::new());
                let _ = stream.read_line(&mut line).await;
                let _ = stream.write_all(line.to_uppercase().as_bytes()).await;
                let _ = stream.shutdown().await;
            });
        }
    });
    addr
}

fn manifest(more: &str) -> String {
    let workload = |name: &str| {
        format!(
            "[[workload]]\nname = '{name}'\nsource = '{name}.wasm'\ntrigger.http.route = '/{name}/...'\n\
             {more}\n"
        )
    };
    format!("name = 'shop'\n{}{}", workload("p2"), workload("p3"))
}

fn asked(host: &Host, draft: &str, addr: SocketAddr, name: &str) -> String {
    let answer = host.server.get(&format!("/{draft}/{}/{name}", addr.port()));
    assert_eq!(answer.status, 200, "{draft} {name}: {answer:?}");
    answer.text()
}

#[track_caller]
fn is_refused(host: &Host, addr: SocketAddr, name: &str, says: &str) {
    for draft in ["p2", "p3"] {
        let answer = asked(host, draft, addr, name);
        assert!(answer.starts_with("refused: ") && answer.contains(says), "{draft}: {answer}");
    }
}

#[test]
fn a_guest_trusts_and_comes_as_its_workload_does() {
    let dir = folder(GUESTS, "");
    let addr = shouting(dir.path());
    let egress = format!("egress = ['{addr}']");
    let with = |tls: &str| manifest(&format!("{egress}\n{tls}"));
    fs::write(dir.path().join("reef.toml"), with(ALL)).unwrap();
    let host = Host::start(dir);
    for draft in ["p2", "p3"] {
        assert_eq!(asked(&host, draft, addr, "localhost"), "answer: HELLO", "{draft}");
    }
    is_refused(&host, addr, "other.example", "not valid for name");
    is_refused(&host, addr, "a..b", "no name of a server");

    // Nobody in particular, for a server that wants somebody.
    host.write("reef.toml", &with("tls = { roots = 'ca.pem' }"));
    host.told(&["apply"]);
    is_refused(&host, addr, "localhost", "`tls.cert`");

    // The machine trusts other authorities.
    host.write("reef.toml", &with(""));
    host.told(&["apply"]);
    is_refused(&host, addr, "localhost", "`tls.roots`");
    host.server.wait_for_log(&["No TLS for a guest", "`tls.roots`"]);
}

#[test]
fn a_guest_connects_where_it_was_granted_to_and_nowhere_else() {
    let dir = folder(GUESTS, "");
    let addr = shouting(dir.path());
    fs::write(dir.path().join("reef.toml"), manifest(ALL)).unwrap();
    let host = Host::start(dir);
    is_refused(&host, addr, "localhost", "");
    for workload in ["shop/p2", "shop/p3"] {
        let refused = format!("workload `{workload}` may not connect to {addr}");
        host.server.wait_for_log(&[&refused, &format!("`--egress {addr}`")]);
    }
}

#[test]
fn a_server_that_stalls_in_the_handshake_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    // It reads all that comes, and says nothing.
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            thread::spawn(move || while stream.read(&mut [0; 1024]).is_ok_and(|read| read > 0) {});
        }
    });
    let host = Host::start(folder(GUESTS, &manifest(&format!("egress = ['{addr}']"))));
    let begun = Instant::now();
    is_refused(&host, addr, "localhost", "the handshake was not done within 5s");
    assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", begun.elapsed());
}
