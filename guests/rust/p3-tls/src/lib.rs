//! Speaks TLS by itself, with `wasi:sockets` and the draft of `wasi:tls` for WASI 0.3: `/PORT/NAME` connects to that
//! port of 127.0.0.1, as to a server of that name, sends a line, and answers what comes back. What is refused is
//! answered, too.

use wasip3::{
    http::types::{ErrorCode, Fields, Request, Response},
    sockets::types::{IpAddressFamily, IpSocketAddress, Ipv4SocketAddress, TcpSocket},
    wit_future, wit_stream,
};
use wit_bindgen::{StreamReader, StreamResult};

mod bindings {
    wit_bindgen::generate!({
        inline: "
            package reef-test:encrypted;
            world encrypted { import wasi:tls/client@0.3.0-draft; }
            package wasi:tls@0.3.0-draft {
                interface types {
                    resource error { to-debug-string: func() -> string; }
                }
                interface client {
                    use types.{error};
                    resource connector {
                        constructor();
                        send: func(cleartext: stream<u8>) -> tuple<stream<u8>, future<result<_, error>>>;
                        receive: func(ciphertext: stream<u8>) -> tuple<stream<u8>, future<result<_, error>>>;
                        connect: static async func(this: connector, server-name: string) -> result<_, error>;
                    }
                }
            }
        ",
        generate_all,
    });
}

use bindings::wasi::tls::client::Connector;

struct Encrypted;

wasip3::http::service::export!(Encrypted);

impl wasip3::exports::http::handler::Guest for Encrypted {
    async fn handle(request: Request) -> Result<Response, ErrorCode> {
        let path = request.get_path_with_query().unwrap_or_default();
        // Wherever it is mounted.
        let mut parts = path.rsplit('/');
        let name = parts.next().unwrap_or_default().to_owned();
        let port = parts.next().and_then(|port| port.parse().ok()).unwrap_or(0);
        let text = match talk(port, name).await {
            Ok(answer) => format!("answer: {answer}"),
            Err(why) => format!("refused: {why}"),
        };
        let (mut writer, body) = wit_stream::new();
        wasip3::spawn_local(async move {
            let _unread = writer.write_all(text.into_bytes()).await;
        });
        let (_, trailers) = wit_future::new(|| Ok(None));
        let (response, _) = Response::new(Fields::new(), Some(body), trailers);
        Ok(response)
    }
}

async fn talk(port: u16, name: String) -> Result<String, String> {
    let socket = TcpSocket::create(IpAddressFamily::Ipv4).map_err(|error| format!("{error:?}"))?;
    let address = Ipv4SocketAddress { port, address: (127, 0, 0, 1) };
    let connecting = socket.connect(IpSocketAddress::Ipv4(address)).await;
    connecting.map_err(|error| format!("{error:?}"))?;

    let connector = Connector::new();
    let (mut say, cleartext) = wit_stream::new();
    let (ciphertext, _sent) = connector.send(cleartext);
    let _said = socket.send(ciphertext);
    let (ciphertext, _heard) = socket.receive();
    let (cleartext, received) = connector.receive(ciphertext);
    if let Err(error) = Connector::connect(connector, name).await {
        return Err(error.to_debug_string());
    }
    let _unread = say.write_all(b"hello\n".to_vec()).await;
    match line(cleartext).await {
        // Whoever ends without a word may have said why.
        line if line.is_empty() => match received.await {
            Err(error) => Err(error.to_debug_string()),
            Ok(()) => Ok(line),
        },
        line => Ok(line),
    }
}

async fn line(mut cleartext: StreamReader<u8>) -> String {
    let mut line = Vec::new();
    while !line.ends_with(b"\n") {
        let (result, piece) = cleartext.read(Vec::with_capacity(1024)).await;
        line.extend(piece);
        if !matches!(result, StreamResult::Complete(_)) {
            break;
        }
    }
    String::from_utf8_lossy(&line).trim_end().to_owned()
}
