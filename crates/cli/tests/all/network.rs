//! Sockets and names of commands: granted, refused, and said which.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream, UdpSocket},
    process::{Child, Stdio},
    thread::{self, JoinHandle},
};

use crate::{
    process::run,
    support::{eventually, guest, reef},
};

/// Answers one line of one caller in capitals.
fn shouting() -> (u16, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let thread = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut line = String::new();
        BufReader::new(&stream).read_line(&mut line).unwrap();
        stream.write_all(line.to_uppercase().as_bytes()).unwrap();
    });
    (port, thread)
}

#[test]
fn egress_is_granted_by_address_and_by_name() {
    for host in ["127.0.0.1", "localhost"] {
        let (port, answering) = shouting();
        let place = format!("{host}:{port}");
        run(&["--egress", &place], "p2-net", &["connect", &place])
            .prints(&["answer: HELLO OVER TCP"]);
        answering.join().unwrap();
    }
    let (port, answering) = shouting();
    let place = format!("127.0.0.1:{port}");
    run(&["--egress", &format!("127.0.0.0/8:{port}")], "p2-net", &["connect", &place])
        .prints(&["answer: HELLO OVER TCP"]);
    answering.join().unwrap();
}

#[test]
fn egress_that_was_not_granted_is_refused_and_says_which_flag_is_missing() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let place = listener.local_addr().unwrap().to_string();
    let hint = format!("allow it with `--egress {place}`");
    for flags in
        [&[][..], &["--egress", "127.0.0.1:1"], &["--egress", "*:*"], &["--listen", &place]]
    {
        let ended = run(flags, "p2-net", &["connect", &place]);
        ended.fails(1, &["workload `p2-net` may not connect to", &hint]);
        assert!(ended.stdout.contains("refused: "), "{}", ended.stdout);
    }
    listener.set_nonblocking(true).unwrap();
    assert!(listener.accept().is_err(), "somebody connected");

    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let place = socket.local_addr().unwrap().to_string();
    run(&[], "p2-net", &["send", &place])
        .fails(1, &["may not send datagrams to", &format!("`--egress {place}`")]);
    run(&["--egress", &place], "p2-net", &["send", &place]).prints(&["sent 14 bytes"]);
    let mut datagram = [0; 20];
    assert_eq!(socket.recv(&mut datagram).unwrap(), 14);
}

#[test]
fn only_granted_names_are_looked_up() {
    // `.invalid` never resolves (RFC 6761), so that these ask nobody.
    for flags in [&[][..], &["--egress", "localhost:1"], &["--listen", "127.0.0.1:0"]] {
        let said = "may not look up data.thief.invalid: it was not granted; \
                    allow it with `--egress data.thief.invalid:PORT`";
        run(flags, "p2-net", &["resolve", "data.thief.invalid"]).fails(1, &[said, "p2-net"]);
        let third = run(flags, "p3-cli", &["resolve", "data.thief.invalid"]);
        assert!(third.stderr.contains(said), "{third:?}");
        third.prints(&["resolved: Err(ErrorCode::AccessDenied)"]);
    }
    // Granted, it is asked for, and not found.
    let flags = ["--egress", "*.thief.invalid:1"];
    let ended = run(&flags, "p2-net", &["resolve", "data.thief.invalid"]);
    assert_eq!((ended.status(), ended.stderr.as_str()), (1, ""));
    run(&flags, "p3-cli", &["resolve", "data.thief.invalid"])
        .prints(&["resolved: Err(ErrorCode::NameUnresolvable)"]);

    let flags = ["--egress", "localhost:1"];
    run(&flags, "p2-net", &["resolve", "localhost"]).prints(&["address 127.0.0.1"]);
    run(&flags, "p3-cli", &["resolve", "localhost"]).prints(&["resolved: Ok(["]);
    // An address is its own answer, and no grant is needed to know it.
    run(&[], "p3-cli", &["resolve", "192.0.2.1"]).prints(&["Ipv4((192, 0, 2, 1))"]);
}

#[test]
fn listening_is_granted_by_address() {
    run(&[], "p2-net", &["listen", "127.0.0.1:9"])
        .fails(1, &["may not bind a TCP socket to 127.0.0.1:9", "`--listen 127.0.0.1:9`"]);
    run(&["--egress", "*:*"], "p2-net", &["listen", "127.0.0.1:0"])
        .fails(1, &["workload `p2-net` may not listen on 127.0.0.1:", "allow it with `--listen"]);

    let mut command = reef();
    command.args(["run", "--listen", "127.0.0.1:0"]).arg(guest("p2-net"));
    command.args(["--", "listen", "127.0.0.1:0"]).stdout(Stdio::piped());
    let mut child = Ending(command.spawn().unwrap());
    let mut said = BufReader::new(child.0.stdout.take().unwrap());
    let mut line = String::new();
    said.read_line(&mut line).unwrap();
    let place = line.trim_end().strip_prefix("listening on ").unwrap_or_else(|| panic!("{line}"));
    let mut stream = TcpStream::connect(place).unwrap();
    stream.write_all(b"good day\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert_eq!(answer, "good day\n");
    let status = eventually("the end of the run", || child.0.try_wait().unwrap());
    assert_eq!(status.code(), Some(0));
}

/// Ended when the test fails.
struct Ending(Child);

impl Drop for Ending {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
