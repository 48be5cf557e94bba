//! `wasi:tls`, as drafts 0.2 and 0.3 have it: encryption of what a guest sends and receives. It connects nowhere:
//! the streams that it is given are those of sockets, which are opened where the workload was granted to.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use reef_egress::{TlsClient, explained};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::{TlsConnector, client::TlsStream};
use wasmtime::component::Linker;
use wasmtime_wasi_tls::{
    Error, TlsProvider, TlsTransport, WasiTlsCtx, WasiTlsCtxBuilder, WasiTlsCtxView, WasiTlsView,
    p2, p3,
};

use crate::guest::ComponentGuest;

/// How long a handshake may take, from when the guest asks for it.
const HANDSHAKE: Duration = Duration::from_secs(5);

type Transport = Box<dyn TlsTransport>;
type Connection = Box<dyn wasmtime_wasi_tls::TlsStream>;
type Connecting = Pin<Box<dyn Future<Output = Result<Connection, Error>> + Send>>;

/// Whom a workload trusts, and as whom it comes.
struct Provider {
    workload: Arc<str>,
    client: TlsClient,
}

/// A connection whose handshake is done.
struct Encrypted(TlsStream<Transport>);

/// What an instance of a workload needs for it.
pub(crate) fn context(workload: &Arc<str>, client: &TlsClient) -> WasiTlsCtx {
    let provider = Provider { workload: workload.clone(), client: client.clone() };
    WasiTlsCtxBuilder::new().provider(Box::new(provider)).build()
}

/// Adds both drafts; `concurrent` says whether that of WASI 0.3 can be there.
pub(crate) fn add_to_linker(
    linker: &mut Linker<ComponentGuest>,
    concurrent: bool,
) -> wasmtime::Result<()> {
    let mut options = p2::LinkOptions::default();
    options.tls(true);
    p2::add_to_linker(linker, &options)?;
    if concurrent {
        p3::add_to_linker(linker)?;
    }
    Ok(())
}

impl WasiTlsView for ComponentGuest {
    fn tls(&mut self) -> WasiTlsCtxView<'_> {
        let (ctx, table) = self.tls_parts();
        WasiTlsCtxView { ctx, table }
    }
}

impl TlsProvider for Provider {
    fn connect(&self, server: String, transport: Transport) -> Connecting {
        let (workload, client) = (self.workload.clone(), self.client.clone());
        Box::pin(async move {
            let shaken = tokio::time::timeout(HANDSHAKE, shake(&client, server.clone(), transport));
            let why = match shaken.await {
                Ok(Ok(stream)) => return Ok(Box::new(Encrypted(stream)) as Connection),
                Ok(Err(why)) => why,
                Err(_) => format!("the handshake was not done within {HANDSHAKE:?}"),
            };
            // A guest chooses its length; no name is longer than this (RFC 1035, section 2.3.4).
            let server: String = server.chars().take(253).flat_map(char::escape_debug).collect();
            tracing::warn!(workload = &*workload, server, "No TLS for a guest: {why}");
            Err(Error::msg(why))
        })
    }
}

async fn shake(
    client: &TlsClient,
    server: String,
    transport: Transport,
) -> Result<TlsStream<Transport>, String> {
    let name = ServerName::try_from(server).map_err(|_| "this is no name of a server")?;
    let connector = TlsConnector::from(client.config().await?);
    connector.connect(name, transport).await.map_err(|error| explained(&error))
}

impl wasmtime_wasi_tls::TlsStream for Encrypted {}

impl AsyncRead for Encrypted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        // A server may say here, and not before, that it does not accept who connects (TLS 1.3).
        let read = Pin::new(&mut self.0).poll_read(cx, buffer);
        read.map_err(|error| io::Error::new(error.kind(), explained(&error)))
    }
}

impl AsyncWrite for Encrypted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
