//! HTTP clients: whole requests over HTTP/1.1 and HTTP/2, bodies fed and read piece by piece, and
//! bytes that are no request at all.

use std::convert::Infallible;
use std::future::Future;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::pin::Pin;
use std::sync::LazyLock;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt as _, Empty, Full, combinators::UnsyncBoxBody};
use hyper::body::{Body, Frame, Incoming};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::runtime::Runtime;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

use crate::support::PATIENCE;

pub(crate) type ClientBody = UnsyncBoxBody<Bytes, Infallible>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    H1,
    H2,
}

pub(crate) const BOTH: [Version; 2] = [Version::H1, Version::H2];

/// Where the clients of a test run.
pub(crate) static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(2).enable_all().build().unwrap()
});

/// Waits for a client, but not for ever.
pub(crate) fn wait<F: Future>(future: F) -> F::Output {
    RUNTIME.block_on(in_time(future))
}

pub(crate) async fn in_time<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(PATIENCE, future).await.expect("an end in time")
}

/// A whole response.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) trailers: HeaderMap,
}

impl Reply {
    pub(crate) async fn of(response: Response<Incoming>) -> hyper::Result<Self> {
        let (head, body) = response.into_parts();
        let body = body.collect().await?;
        let trailers = body.trailers().cloned().unwrap_or_default();
        let status = head.status.as_u16();
        Ok(Self { status, headers: head.headers, body: body.to_bytes(), trailers })
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

/// One connection; closed when dropped, whatever is under way on it.
pub(crate) struct Connection {
    sender: Sender,
    driver: AbortHandle,
}

enum Sender {
    H1(http1::SendRequest<ClientBody>),
    H2(http2::SendRequest<ClientBody>),
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Connection {
    pub(crate) async fn open(addr: SocketAddr, version: Version) -> Self {
        let stream = in_time(tokio::net::TcpStream::connect(addr)).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self::over(stream, version).await
    }

    pub(crate) async fn over<S>(stream: S, version: Version) -> Self
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let io = TokioIo::new(stream);
        match version {
            Version::H1 => {
                let (sender, driver) = http1::handshake(io).await.unwrap();
                let driver = tokio::spawn(driver).abort_handle();
                Self { sender: Sender::H1(sender), driver }
            }
            Version::H2 => {
                let (sender, driver) = http2::handshake(TokioExecutor::new(), io).await.unwrap();
                let driver = tokio::spawn(driver).abort_handle();
                Self { sender: Sender::H2(sender), driver }
            }
        }
    }

    pub(crate) async fn send(
        &mut self,
        request: Request<ClientBody>,
    ) -> hyper::Result<Response<Incoming>> {
        match &mut self.sender {
            Sender::H1(sender) => {
                sender.ready().await?;
                in_time(sender.send_request(request)).await
            }
            Sender::H2(sender) => {
                sender.ready().await?;
                let (mut head, body) = request.into_parts();
                let host = head.headers.remove("host").unwrap();
                let uri = format!("http://{}{}", host.to_str().unwrap(), head.uri);
                head.uri = uri.parse().unwrap();
                in_time(sender.send_request(Request::from_parts(head, body))).await
            }
        }
    }

    /// Sends a request and takes the whole response.
    pub(crate) async fn ask(&mut self, request: Request<ClientBody>) -> hyper::Result<Reply> {
        let response = self.send(request).await?;
        in_time(Reply::of(response)).await
    }

    pub(crate) async fn get(&mut self, path: &str) -> hyper::Result<Reply> {
        self.ask(request("GET", path, empty())).await
    }
}

pub(crate) fn request(method: &str, path: &str, body: ClientBody) -> Request<ClientBody> {
    Request::builder().method(method).uri(path).header("host", "reef.test").body(body).unwrap()
}

pub(crate) fn empty() -> ClientBody {
    Empty::new().boxed_unsync()
}

pub(crate) fn full(bytes: impl Into<Bytes>) -> ClientBody {
    Full::new(bytes.into()).boxed_unsync()
}

/// A GET on a connection of its own.
pub(crate) fn get(addr: SocketAddr, path: &str) -> Reply {
    get_over(Version::H1, addr, path)
}

pub(crate) fn get_over(version: Version, addr: SocketAddr, path: &str) -> Reply {
    ask(version, addr, request("GET", path, empty()))
}

pub(crate) fn ask(version: Version, addr: SocketAddr, request: Request<ClientBody>) -> Reply {
    wait(async { Connection::open(addr, version).await.ask(request).await }).unwrap()
}

/// A request body that a test feeds by and by; it ends when the sender is dropped.
pub(crate) fn fed() -> (mpsc::UnboundedSender<Frame<Bytes>>, ClientBody) {
    let (send, receive) = mpsc::unbounded_channel();
    (send, Fed(receive).boxed_unsync())
}

struct Fed(mpsc::UnboundedReceiver<Frame<Bytes>>);

impl Body for Fed {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(cx).map(|frame| frame.map(Ok))
    }
}

/// Reads until as many bytes have come, or the end.
pub(crate) async fn read(body: &mut Incoming, bytes: usize) -> hyper::Result<Vec<u8>> {
    let mut read = Vec::new();
    while read.len() < bytes {
        match in_time(body.frame()).await {
            Some(frame) => read.extend_from_slice(frame?.data_ref().unwrap_or(&Bytes::new())),
            None => break,
        }
    }
    Ok(read)
}

/// A client that sends bytes, not requests.
pub(crate) struct Raw {
    pub(crate) stream: TcpStream,
    read: Vec<u8>,
}

impl Raw {
    pub(crate) fn connect(addr: SocketAddr) -> Self {
        let stream = TcpStream::connect(addr).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, read: Vec::new() }
    }

    /// Sends what the server takes; it may close before it has read everything.
    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = self.stream.write_all(bytes.as_ref());
    }

    /// Reads until this has come, and returns everything up to its end.
    pub(crate) fn until(&mut self, text: &str) -> String {
        let mut buffer = [0; 16 * 1024];
        loop {
            let found = self.read.windows(text.len()).position(|bytes| bytes == text.as_bytes());
            if let Some(start) = found {
                let rest = self.read.split_off(start + text.len());
                return String::from_utf8(std::mem::replace(&mut self.read, rest)).unwrap();
            }
            let read = self.stream.read(&mut buffer).unwrap();
            assert!(read > 0, "closed before {text:?}: {:?}", String::from_utf8_lossy(&self.read));
            self.read.extend_from_slice(&buffer[..read]);
        }
    }

    /// Closes the connection by a reset, as the end of a process may.
    pub(crate) fn reset(self) {
        self.stream.set_nonblocking(true).unwrap();
        let _runtime = RUNTIME.enter();
        tokio::net::TcpStream::from_std(self.stream).unwrap().set_zero_linger().unwrap();
    }

    /// Reads until the server closes; a reset is an end too.
    pub(crate) fn rest(mut self) -> String {
        let mut bytes = std::mem::take(&mut self.read);
        let ended = self.stream.read_to_end(&mut bytes);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Err(error) = ended {
            assert_ne!(error.kind(), std::io::ErrorKind::WouldBlock, "not closed: {text}");
        }
        text
    }
}

/// Everything the server says to these bytes, until it closes.
pub(crate) fn raw(addr: SocketAddr, bytes: impl AsRef<[u8]>) -> String {
    let mut client = Raw::connect(addr);
    client.send(bytes);
    client.rest()
}
