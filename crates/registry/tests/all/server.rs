//! A server that answers each request as a test says, down to the byte.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

/// What to do with a request.
pub(crate) enum Reply {
    /// Status, headers and a body with its length.
    Full(u16, Vec<(&'static str, String)>, Vec<u8>),
    /// These bytes, and the end of the connection.
    Raw(Vec<u8>),
    /// These bytes, and then nothing for as long as the client waits.
    Stall(Vec<u8>),
    /// These bytes, and then zeros for as long as the client takes them.
    Endless(Vec<u8>),
}

pub(crate) struct Request {
    pub(crate) path: String,
    /// Names in lower case.
    pub(crate) headers: HashMap<String, String>,
    /// How often this path was asked for before.
    pub(crate) before: usize,
}

pub(crate) struct Server {
    pub(crate) host: String,
    log: Arc<Mutex<Vec<String>>>,
    accepting: JoinHandle<()>,
}

pub(crate) fn ok(body: &[u8]) -> Reply {
    Reply::Full(200, Vec::new(), body.to_vec())
}

pub(crate) fn status(status: u16) -> Reply {
    Reply::Full(status, Vec::new(), b"no".to_vec())
}

pub(crate) fn moved(to: &str) -> Reply {
    Reply::Full(302, vec![("location", to.to_owned())], Vec::new())
}

impl Server {
    pub(crate) async fn start(answer: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let log = Arc::new(Mutex::new(Vec::new()));
        let (answer, shared) = (Arc::new(answer), log.clone());
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, answer.clone(), shared.clone()));
            }
        });
        Self { host, log, accepting }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.host)
    }

    /// The paths that were asked for since that was asked last.
    pub(crate) fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.log.lock().unwrap())
    }

    /// From now on, connections are refused.
    pub(crate) async fn end(self) {
        self.accepting.abort();
        let _ = self.accepting.await;
    }
}

async fn serve(
    mut stream: TcpStream,
    answer: Arc<impl Fn(&Request) -> Reply>,
    log: Arc<Mutex<Vec<String>>>,
) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let Ok(byte) = stream.read_u8().await else { return };
        head.push(byte);
    }
    let head = String::from_utf8(head).unwrap();
    let mut lines = head.lines();
    let path = lines.next().unwrap().split(' ').nth(1).unwrap().to_owned();
    let headers = lines.filter_map(|line| line.split_once(": "));
    let headers = headers.map(|(name, value)| (name.to_lowercase(), value.to_owned())).collect();
    let before = {
        let mut log = log.lock().unwrap();
        log.push(path.clone());
        log.iter().filter(|one| **one == path).count() - 1
    };
    let reply = answer(&Request { path, headers, before });
    let bytes = match &reply {
        Reply::Raw(bytes) | Reply::Stall(bytes) | Reply::Endless(bytes) => bytes.clone(),
        Reply::Full(status, headers, body) => {
            let mut head = format!("HTTP/1.1 {status} X\r\nconnection: close\r\n");
            for (name, value) in headers {
                head += &format!("{name}: {value}\r\n");
            }
            head += &format!("content-length: {}\r\n\r\n", body.len());
            [head.as_bytes(), body].concat()
        }
    };
    if stream.write_all(&bytes).await.is_err() {
        return;
    }
    match reply {
        Reply::Endless(_) => while stream.write_all(&[0; 4096]).await.is_ok() {},
        Reply::Stall(_) => {
            // Until the client goes away.
            let _ = stream.read(&mut [0; 16]).await;
        }
        _ => {}
    }
}
