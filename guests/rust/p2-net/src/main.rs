//! Sockets of WASI 0.2 through the Rust standard library, as its arguments ask:
//! `connect HOST:PORT` copies one line there and prints the line that comes back, `listen ADDR` says
//! where it listens and sends the first line of its first caller back, `send HOST:PORT` sends one
//! datagram, `resolve NAME` prints addresses. What is refused is printed, with exit status 1.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream, ToSocketAddrs, UdpSocket};

fn main() {
    let mut arguments = std::env::args().skip(1);
    let (what, place) = (arguments.next(), arguments.next());
    let done = match (what.as_deref(), place.as_deref()) {
        (Some("connect"), Some(place)) => connect(place),
        (Some("listen"), Some(place)) => listen(place),
        (Some("send"), Some(place)) => send(place),
        (Some("resolve"), Some(place)) => resolve(place),
        _ => Err(io::Error::other("say connect, listen, send or resolve, and where")),
    };
    if let Err(error) = done {
        println!("refused: {error}");
        std::process::exit(1);
    }
}

fn connect(place: &str) -> io::Result<()> {
    let mut stream = TcpStream::connect(place)?;
    stream.write_all(b"hello over TCP\n")?;
    println!("answer: {}", line(&stream)?);
    Ok(())
}

fn listen(place: &str) -> io::Result<()> {
    let listener = TcpListener::bind(place)?;
    println!("listening on {}", listener.local_addr()?);
    let (mut stream, _) = listener.accept()?;
    let line = line(&stream)?;
    println!("heard: {line}");
    writeln!(stream, "{line}")
}

fn send(place: &str) -> io::Result<()> {
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    let sent = socket.send_to(b"hello over UDP", place)?;
    println!("sent {sent} bytes");
    Ok(())
}

fn resolve(name: &str) -> io::Result<()> {
    for address in (name, 0).to_socket_addrs()? {
        println!("address {}", address.ip());
    }
    Ok(())
}

fn line(stream: &TcpStream) -> io::Result<String> {
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line)?;
    Ok(line.trim_end().to_owned())
}
