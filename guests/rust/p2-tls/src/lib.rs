//! Speaks TLS by itself, with `wasi:sockets` and the draft of `wasi:tls` for WASI 0.2: `/PORT/NAME` connects to that
//! port of 127.0.0.1, as to a server of that name, sends a line, and answers what comes back. What is refused is
//! answered, too.

use wasip2::{
    http::types::{Fields, IncomingRequest, OutgoingBody, OutgoingResponse, ResponseOutparam},
    io::streams::{InputStream, OutputStream, StreamError},
    sockets::{
        instance_network::instance_network,
        network::{IpAddressFamily, IpSocketAddress, Ipv4SocketAddress},
        tcp::TcpSocket,
        tcp_create_socket::create_tcp_socket,
    },
};

mod bindings {
    wit_bindgen::generate!({
        inline: "
            package reef-test:encrypted;
            world encrypted { import wasi:tls/types@0.2.0-draft; }
            package wasi:tls@0.2.0-draft {
                interface types {
                    use wasi:io/streams@0.2.12.{input-stream, output-stream};
                    use wasi:io/poll@0.2.12.{pollable};
                    use wasi:io/error@0.2.12.{error as io-error};
                    resource client-handshake {
                        constructor(server-name: string, input: input-stream, output: output-stream);
                        finish: static func(this: client-handshake) -> future-client-streams;
                    }
                    resource client-connection {
                        close-output: func();
                    }
                    resource future-client-streams {
                        subscribe: func() -> pollable;
                        get: func() -> option<result<result<tuple<client-connection, input-stream, output-stream>, io-error>>>;
                    }
                }
            }
            package wasi:io@0.2.12 {
                interface error { resource error; }
                interface poll { resource pollable; }
                interface streams { resource input-stream; resource output-stream; }
            }
        ",
        with: {
            "wasi:io/error@0.2.12": wasip2::io::error,
            "wasi:io/poll@0.2.12": wasip2::io::poll,
            "wasi:io/streams@0.2.12": wasip2::io::streams,
            "wasi:tls/types@0.2.0-draft": generate,
        },
    });
}

use bindings::wasi::tls::types::{ClientConnection, ClientHandshake};

struct Encrypted;

wasip2::http::proxy::export!(Encrypted);

impl wasip2::exports::http::incoming_handler::Guest for Encrypted {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        let path = request.path_with_query().unwrap_or_default();
        // Wherever it is mounted.
        let mut parts = path.rsplit('/');
        let name = parts.next().unwrap_or_default();
        let port = parts.next().and_then(|port| port.parse().ok()).unwrap_or(0);
        let text = match talk(port, name) {
            Ok(answer) => format!("answer: {answer}"),
            Err(why) => format!("refused: {why}"),
        };
        let response = OutgoingResponse::new(Fields::new());
        let body = response.body().expect("the body is taken once");
        ResponseOutparam::set(out, Ok(response));
        let stream = body.write().expect("the stream is taken once");
        for piece in text.as_bytes().chunks(4096) {
            let _ = stream.blocking_write_and_flush(piece);
        }
        drop(stream);
        let _ = OutgoingBody::finish(body, None);
    }
}

fn talk(port: u16, name: &str) -> Result<String, String> {
    let (_socket, input, output) = connect(port)?;
    let (connection, input, output) = encrypt(name, input, output)?;
    let line = match output.blocking_write_and_flush(b"hello\n") {
        Ok(()) => read(&input),
        Err(error) => Err(said(error)),
    };
    connection.close_output();
    // What belongs to the connection goes before it.
    drop((input, output));
    drop(connection);
    line
}

fn connect(port: u16) -> Result<(TcpSocket, InputStream, OutputStream), String> {
    let socket = create_tcp_socket(IpAddressFamily::Ipv4).map_err(|error| error.to_string())?;
    let address = Ipv4SocketAddress { port, address: (127, 0, 0, 1) };
    let connecting = socket.start_connect(&instance_network(), IpSocketAddress::Ipv4(address));
    connecting.map_err(|error| error.to_string())?;
    socket.subscribe().block();
    let (input, output) = socket.finish_connect().map_err(|error| error.to_string())?;
    Ok((socket, input, output))
}

fn encrypt(
    name: &str,
    input: InputStream,
    output: OutputStream,
) -> Result<(ClientConnection, InputStream, OutputStream), String> {
    let streams = ClientHandshake::finish(ClientHandshake::new(name, input, output));
    streams.subscribe().block();
    match streams.get() {
        Some(Ok(Ok(streams))) => Ok(streams),
        Some(Ok(Err(error))) => Err(error.to_debug_string()),
        _ => Err("there is no answer".to_owned()),
    }
}

fn read(input: &InputStream) -> Result<String, String> {
    let mut line = Vec::new();
    while !line.ends_with(b"\n") {
        match input.blocking_read(1024) {
            Ok(piece) => line.extend(piece),
            Err(StreamError::Closed) => break,
            Err(error) => return Err(said(error)),
        }
    }
    Ok(String::from_utf8_lossy(&line).trim_end().to_owned())
}

fn said(error: StreamError) -> String {
    match error {
        StreamError::LastOperationFailed(error) => error.to_debug_string(),
        StreamError::Closed => "it is closed".to_owned(),
    }
}
