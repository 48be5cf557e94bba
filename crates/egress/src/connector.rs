//! Opens connections: a slot, the name, the rules, the socket, TLS; all within one deadline.

use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::stream::{FuturesUnordered, StreamExt};
use http::Uri;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::OnceCell;
use tokio::time::Instant;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::error::SendError;
use crate::explained::explained;
use crate::policy::{Egress, Refusal};
use crate::resolver::Resolve;
use crate::slots::{Slot, Slots};
use crate::tls::Tls;
use reef_grants::Target;

/// How long one address has before the next one is tried beside it (RFC 8305 section 8).
const STAGGER: Duration = Duration::from_millis(250);

tokio::task_local! {
    /// How long the request that asks for a connection lets it take. The HTTP client calls the
    /// connector with nothing but a URL, on the task that sends the request.
    pub(crate) static CONNECT_WITHIN: Duration;
}

/// Opens a workload's connections. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Connector {
    pub(crate) shared: Arc<Shared>,
}

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) workload: String,
    pub(crate) egress: Egress,
    pub(crate) resolver: Arc<dyn Resolve>,
    pub(crate) slots: Arc<Slots>,
    pub(crate) tls: Tls,
    pub(crate) encryption: OnceCell<Arc<rustls::ClientConfig>>,
    pub(crate) default_connect: Duration,
}

impl tower_service::Service<Uri> for Connector {
    type Response = TokioIo<Stream>;
    type Error = SendError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, SendError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let shared = Arc::clone(&self.shared);
        let within = CONNECT_WITHIN.try_with(|within| *within).unwrap_or(shared.default_connect);
        Box::pin(async move { shared.connect(&uri, within).await.map(TokioIo::new) })
    }
}

impl Shared {
    async fn connect(&self, uri: &Uri, within: Duration) -> Result<Stream, SendError> {
        let (scheme, target, port) = parts(uri)?;
        let authority = format!("{target}:{port}");
        let deadline = Instant::now() + within;

        let slot = tokio::time::timeout_at(deadline, self.slots.take()).await.map_err(|_| {
            SendError::TooManyConnections {
                workload: self.workload.clone(),
                limit: self.slots.limit(),
                after: within,
            }
        })?;
        let opening = slot.opening();
        let stream = tokio::time::timeout_at(deadline, async {
            let addresses = self.addresses(scheme, &target, port).await?;
            let tcp = connect_to_one(addresses).await.map_err(|error| match error.kind() {
                io::ErrorKind::ConnectionRefused => {
                    SendError::ConnectionRefused { authority: authority.clone() }
                }
                _ => SendError::ConnectFailed {
                    authority: authority.clone(),
                    reason: error.to_string(),
                },
            })?;
            if let Err(error) = tcp.set_nodelay(true) {
                tracing::debug!(%error, "cannot set TCP_NODELAY");
            }
            let transport = if scheme == "https" {
                let tls = self.encrypt(tcp, &target).await;
                Transport::Tls(Box::new(
                    tls.map_err(|reason| SendError::Tls { authority: authority.clone(), reason })?,
                ))
            } else {
                Transport::Plain(tcp)
            };
            Ok(Stream { transport, slot })
        })
        .await
        .unwrap_or_else(|_| {
            Err(SendError::ConnectTimeout { authority: authority.clone(), after: within })
        });
        drop(opening);
        stream
    }

    /// The addresses of `target` that may be connected to: never empty.
    async fn addresses(
        &self,
        scheme: &str,
        target: &Target,
        port: u16,
    ) -> Result<Vec<SocketAddr>, SendError> {
        let found = match target {
            Target::Address(address) => vec![*address],
            // No name server is asked what this machine is (RFC 6761 section 6.3).
            _ if target.is_localhost() => {
                vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]
            }
            Target::Name(name) => self.resolver.lookup(name).await?,
        };
        let (admitted, refused): (Vec<_>, Vec<_>) = found
            .into_iter()
            .map(|ip| SocketAddr::new(ip, port))
            .partition(|addr| self.egress.admits(Some(scheme), target, *addr));
        match refused.first() {
            Some(addr) if admitted.is_empty() => {
                Err(Refusal::private(&self.workload, target, *addr).into())
            }
            _ => Ok(alternate_families(admitted)),
        }
    }

    async fn encrypt(
        &self,
        tcp: TcpStream,
        target: &Target,
    ) -> Result<TlsStream<TcpStream>, String> {
        let config = self.encryption.get_or_try_init(|| self.tls.http_config()).await?;
        let name = match target {
            Target::Address(address) => ServerName::from(*address),
            Target::Name(name) => {
                ServerName::try_from(name.clone()).map_err(|error| error.to_string())?
            }
        };
        let connector = TlsConnector::from(Arc::clone(config));
        connector.connect(name, tcp).await.map_err(|error| explained(&error))
    }
}

/// Scheme, host and port of a URL to request.
pub(crate) fn parts(uri: &Uri) -> Result<(&'static str, Target, u16), SendError> {
    let invalid = |reason: String| SendError::InvalidUri { uri: uri.to_string(), reason };
    let (scheme, default_port) = match uri.scheme_str() {
        Some("http") => ("http", 80),
        Some("https") => ("https", 443),
        Some(other) => return Err(invalid(format!("the scheme is `{other}`, not http or https"))),
        None => return Err(invalid("it is not absolute: it needs a scheme and a host".to_owned())),
    };
    let authority = uri.authority().ok_or_else(|| invalid("it has no host".to_owned()))?;
    if authority.as_str().contains('@') {
        return Err(invalid("it has a user name or password".to_owned()));
    }
    let target = Target::parse(authority.host()).map_err(|fault| invalid(fault.to_string()))?;
    let port = match authority.port() {
        None => default_port,
        Some(port) if port.as_u16() > 0 => port.as_u16(),
        Some(_) => return Err(invalid("0 is not a port".to_owned())),
    };
    Ok((scheme, target, port))
}

/// IPv6 and IPv4 in turn, beginning with the family that came first (RFC 8305 section 4).
fn alternate_families(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let first_is_v4 = addresses.first().is_some_and(SocketAddr::is_ipv4);
    let (first, second): (Vec<_>, Vec<_>) =
        addresses.into_iter().partition(|addr| addr.is_ipv4() == first_is_v4);
    let (mut first, mut second) = (first.into_iter(), second.into_iter());
    let mut ordered = Vec::new();
    loop {
        let pair = [first.next(), second.next()];
        if pair == [None, None] {
            return ordered;
        }
        ordered.extend(pair.into_iter().flatten());
    }
}

/// Connects to whichever address answers first, starting them one after the other.
async fn connect_to_one(addresses: Vec<SocketAddr>) -> io::Result<TcpStream> {
    let mut waiting = addresses.into_iter();
    let mut under_way: FuturesUnordered<_> =
        waiting.next().into_iter().map(TcpStream::connect).collect();
    let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
    loop {
        tokio::select! {
            biased;
            Some(result) = under_way.next() => match result {
                Ok(stream) => return Ok(stream),
                Err(error) => {
                    last = error;
                    under_way.extend(waiting.next().map(TcpStream::connect));
                }
            },
            () = tokio::time::sleep(STAGGER), if waiting.len() > 0 && !under_way.is_empty() => {
                under_way.extend(waiting.next().map(TcpStream::connect));
            }
            else => return Err(last),
        }
    }
}

/// One open connection and the slot it occupies.
#[derive(Debug)]
pub(crate) struct Stream {
    transport: Transport,
    slot: Slot,
}

#[derive(Debug)]
enum Transport {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

trait Transfer: AsyncRead + AsyncWrite + Unpin {}
impl<T: AsyncRead + AsyncWrite + Unpin> Transfer for T {}

impl Stream {
    fn transport(&mut self) -> Pin<&mut dyn Transfer> {
        match &mut self.transport {
            Transport::Plain(tcp) => Pin::new(tcp),
            Transport::Tls(tls) => Pin::new(tls),
        }
    }
}

impl Connection for Stream {
    fn connected(&self) -> Connected {
        let connected = Connected::new().extra(Arc::clone(self.slot.usage()));
        match &self.transport {
            Transport::Tls(tls) if tls.get_ref().1.alpn_protocol() == Some(b"h2") => {
                connected.negotiated_h2()
            }
            _ => connected,
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        // To the HTTP client it looks as if the server had closed an idle connection, which it may
        // at any time.
        if self.slot.is_closing(cx) {
            return Poll::Ready(Ok(()));
        }
        self.transport().poll_read(cx, buffer)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.transport().poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.transport().poll_write_vectored(cx, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        match &self.transport {
            Transport::Plain(tcp) => tcp.is_write_vectored(),
            Transport::Tls(tls) => tls.is_write_vectored(),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.transport().poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.transport().poll_shutdown(cx)
    }
}
