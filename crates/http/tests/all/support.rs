use std::future::Future;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body::{Body, Frame};
use http_body_util::BodyExt;
use reef_http::{
    DrainReport, Handler, Peer, RequestBody, ResponseBody, Server, ServerConfig, ServerStats,
    StatsSnapshot, Workers,
};
use tokio::sync::{Semaphore, oneshot};

/// Longer than anything here takes, also on a machine that is busy with other things: reached only
/// by a test that fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// What the test handler has seen, and the gate that some of its paths wait at.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) paths: Mutex<Vec<String>>,
    /// `/gate` takes one permit and keeps it.
    pub(crate) gate: Semaphore,
    /// Endless bodies alive.
    pub(crate) endless: Arc<()>,
}

impl Seen {
    fn new() -> Arc<Self> {
        let (gate, endless) = (Semaphore::new(0), Arc::new(()));
        Arc::new(Self { paths: Mutex::default(), gate, endless })
    }

    pub(crate) fn has(&self, path: &str) -> bool {
        self.paths.lock().unwrap().iter().any(|seen| seen == path)
    }
}

pub(crate) struct TestHandler(pub(crate) Arc<Seen>);

impl Handler for TestHandler {
    async fn handle(&self, request: Request<RequestBody>, peer: Peer) -> Response<ResponseBody> {
        let path = request.uri().path().to_owned();
        self.0.paths.lock().unwrap().push(path.clone());
        match path.as_str() {
            "/echo" => {
                let mut response = Response::new(ResponseBody::stream(request.into_body()));
                response.headers_mut().insert("trailer", "x-sum".parse().unwrap());
                response
            }
            // Reads everything and answers 500 where that fails, as a guest would.
            "/count" => match request.into_body().collect().await {
                Ok(body) => text(StatusCode::OK, body.to_bytes().len().to_string()),
                Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
            },
            "/gate" => {
                self.0.gate.acquire().await.unwrap().forget();
                text(StatusCode::OK, format!("worker {}", Workers::current().unwrap()))
            }
            "/endless" => Response::new(ResponseBody::stream(Endless(Arc::clone(&self.0.endless)))),
            "/pieces" => Response::new(ResponseBody::stream(Pieces(
                Arc::clone(&self.0),
                Box::pin(gate(&self.0)),
            ))),
            "/large" => text(StatusCode::OK, "x".repeat(8 * 1024 * 1024)),
            "/peer" => text(StatusCode::OK, format!("{} {}", peer.remote, peer.tls)),
            "/panic" => panic!("on purpose"),
            "/early-hints" => text(StatusCode::EARLY_HINTS, "no".into()),
            "/none" => text(StatusCode::NO_CONTENT, "none".into()),
            "/bad" => text(StatusCode::BAD_REQUEST, "the handler's own".into()),
            _ => text(StatusCode::OK, format!("hello {path}")),
        }
    }
}

pub(crate) fn text(status: StatusCode, text: String) -> Response<ResponseBody> {
    let mut response = Response::new(ResponseBody::full(text));
    *response.status_mut() = status;
    response
}

struct Endless(#[expect(dead_code, reason = "counts the bodies alive")] Arc<()>);

impl Body for Endless {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(&[b'x'; 16 * 1024])))))
    }
}

/// A piece for each permit of the gate.
struct Pieces(Arc<Seen>, Pin<Box<dyn Future<Output = ()> + Send>>);

fn gate(seen: &Arc<Seen>) -> impl Future<Output = ()> + Send + 'static {
    let seen = Arc::clone(seen);
    async move { seen.gate.acquire().await.unwrap().forget() }
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        std::task::ready!(self.1.as_mut().poll(cx));
        self.1 = Box::pin(gate(&self.0));
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b"piece")))))
    }
}

/// A server on its own thread, drained when dropped.
pub(crate) struct TestServer {
    pub(crate) addr: SocketAddr,
    pub(crate) seen: Arc<Seen>,
    pub(crate) stats: Arc<ServerStats>,
    pub(crate) workers: Workers,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<DrainReport>>,
}

impl TestServer {
    pub(crate) fn start() -> Self {
        Self::with(|_| {})
    }

    pub(crate) fn with(configure: impl FnOnce(&mut ServerConfig)) -> Self {
        let seen = Seen::new();
        let workers = Workers::start(2, "worker").unwrap();
        Self::of(TestHandler(Arc::clone(&seen)), seen, workers, configure)
    }

    /// A server of another handler.
    pub(crate) fn serving<H: Handler>(handler: H) -> Self {
        Self::of(handler, Seen::new(), Workers::start(2, "worker").unwrap(), |_| {})
    }

    /// The usual handler on a server that was changed before it serves.
    pub(crate) fn tuned(tune: impl FnOnce(Server) -> Server) -> Self {
        let seen = Seen::new();
        let workers = Workers::start(2, "worker").unwrap();
        Self::build(TestHandler(Arc::clone(&seen)), seen, workers, |_| {}, tune)
    }

    pub(crate) fn tuned_of<H: Handler>(handler: H, tune: impl FnOnce(Server) -> Server) -> Self {
        Self::build(handler, Seen::new(), Workers::start(2, "worker").unwrap(), |_| {}, tune)
    }

    pub(crate) fn of<H: Handler>(
        handler: H,
        seen: Arc<Seen>,
        workers: Workers,
        configure: impl FnOnce(&mut ServerConfig),
    ) -> Self {
        Self::build(handler, seen, workers, configure, |server| server)
    }

    fn build<H: Handler>(
        handler: H,
        seen: Arc<Seen>,
        workers: Workers,
        configure: impl FnOnce(&mut ServerConfig),
        tune: impl FnOnce(Server) -> Server,
    ) -> Self {
        let mut config = ServerConfig::new("127.0.0.1:0".parse().unwrap());
        config.drain_timeout = Duration::from_secs(5);
        configure(&mut config);
        let server = tune(Server::bind(config, &workers).unwrap());
        let addr = server.local_addrs()[0];
        let stats = server.stats();
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let shutdown = async { drop(stopped.await) };
            runtime.block_on(server.serve(Arc::new(handler), shutdown)).unwrap()
        });
        Self { addr, seen, stats, workers, stop: Some(stop), thread: Some(thread) }
    }

    pub(crate) fn stats(&self) -> StatsSnapshot {
        self.stats.snapshot()
    }

    /// Waits until the counters are as wanted.
    pub(crate) fn wait(&self, what: &str, wanted: impl Fn(StatsSnapshot) -> bool) {
        wait(what, || wanted(self.stats()), || format!("{:?}", self.stats()));
    }

    pub(crate) fn begin_drain(&mut self) {
        drop(self.stop.take());
    }

    pub(crate) fn drained(&mut self) -> DrainReport {
        self.begin_drain();
        self.thread.take().unwrap().join().unwrap()
    }

    /// Sends `bytes` and reads until the server closes.
    pub(crate) fn raw(&self, bytes: impl AsRef<[u8]>) -> String {
        let mut client = Client::connect(self.addr);
        client.send(bytes);
        client.rest()
    }

    /// A whole request with `Connection: close`.
    pub(crate) fn get(&self, path: &str) -> String {
        self.raw(format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"))
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        self.begin_drain();
        if let Some(thread) = self.thread.take() {
            let report = thread.join();
            assert!(std::thread::panicking() || report.is_ok());
        }
    }
}

pub(crate) fn wait(what: &str, done: impl Fn() -> bool, state: impl Fn() -> String) {
    let until = Instant::now() + PATIENCE;
    while !done() {
        assert!(Instant::now() < until, "waited in vain for {what}: {}", state());
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// A client that sends bytes, not requests.
pub(crate) struct Client {
    pub(crate) stream: TcpStream,
    read: Vec<u8>,
}

impl Client {
    pub(crate) fn connect(addr: SocketAddr) -> Self {
        let stream = TcpStream::connect(addr).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        Self { stream, read: Vec::new() }
    }

    /// Sends what the server takes; it may close before it has read everything.
    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = self.stream.write_all(bytes.as_ref());
    }

    /// Reads until `text` has come, and returns everything up to its end.
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

    /// Closes the connection by a reset, as a process that is killed may.
    pub(crate) fn reset(self) {
        socket2::SockRef::from(&self.stream).set_linger(Some(Duration::ZERO)).unwrap();
    }

    /// Reads until the server closes. A reset is an error only if nothing came before.
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

/// The body of the only response in `text`.
pub(crate) fn body(text: &str) -> &str {
    text.split_once("\r\n\r\n").expect("a head").1
}

pub(crate) async fn in_time<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(PATIENCE, future).await.expect("in time")
}

/// A request body that a test feeds by and by.
pub(crate) fn fed() -> (tokio::sync::mpsc::UnboundedSender<Frame<Bytes>>, Fed) {
    let (send, receive) = tokio::sync::mpsc::unbounded_channel();
    (send, Fed(receive))
}

pub(crate) struct Fed(tokio::sync::mpsc::UnboundedReceiver<Frame<Bytes>>);

impl Body for Fed {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        self.0.poll_recv(cx).map(|frame| frame.map(Ok))
    }
}

pub(crate) fn trailers(value: &str) -> HeaderMap {
    HeaderMap::from_iter([("x-sum".parse().unwrap(), value.parse().unwrap())])
}
