//! Listening sockets: binding with errors that say what to do, and accepting.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpListener as TokioListener;
use tokio::time::Instant;

use crate::stats::ServerStats;

/// Connections that the kernel holds until they are accepted.
const BACKLOG: i32 = 1024;

/// How long accepting rests when the process has no file or memory left for a connection.
const REST: Duration = Duration::from_millis(100);

/// The most connections taken before other tasks of the accepting thread get their turn.
const BATCH: usize = 64;

/// Why an address could not be listened on.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Another socket has it.
    #[error(
        "{addr} is in use by another process; stop it (`ss -ltnp` names it) or choose another \
         port (port 0 takes a free one)"
    )]
    InUse {
        /// The address asked for.
        addr: SocketAddr,
    },
    /// The process may not have it.
    #[error(
        "no permission to listen on {addr}; ports below 1024 need the capability \
         CAP_NET_BIND_SERVICE, or choose a higher port"
    )]
    Permission {
        /// The address asked for.
        addr: SocketAddr,
    },
    /// It is not an address of this machine.
    #[error(
        "{addr} is not an address of this machine; `0.0.0.0` or `[::]` stand for all of its \
         addresses, `127.0.0.1` for local clients only"
    )]
    NotHere {
        /// The address asked for.
        addr: SocketAddr,
    },
    /// Anything else.
    #[error("could not listen on {addr}: {source}")]
    Other {
        /// The address asked for.
        addr: SocketAddr,
        /// What the operating system said.
        source: io::Error,
    },
    /// There is nothing to listen on.
    #[error("no address to listen on was given")]
    NoAddress,
}

pub(crate) fn bind(addr: SocketAddr) -> Result<TcpListener, BindError> {
    listen(addr).map_err(|source| match source.kind() {
        io::ErrorKind::AddrInUse => BindError::InUse { addr },
        io::ErrorKind::PermissionDenied => BindError::Permission { addr },
        io::ErrorKind::AddrNotAvailable => BindError::NotHere { addr },
        _ => BindError::Other { addr, source },
    })
}

fn listen(addr: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
    // A restarted server takes its port although old connections are still in TIME_WAIT.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&addr.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Gives every connection of `listener` to `take`, for ever.
pub(crate) async fn accept(
    listener: TokioListener,
    stats: &ServerStats,
    mut take: impl FnMut(TcpStream, SocketAddr),
) {
    let mut warned: Option<Instant> = None;
    let mut taken = 0;
    loop {
        // Taken from this thread's event queue again, to be put into a worker's.
        let accepted = match listener.accept().await {
            Ok((stream, remote)) => stream.into_std().map(|stream| (stream, remote)),
            Err(error) => Err(error),
        };
        match accepted {
            Ok((stream, remote)) => take(stream, remote),
            Err(error) if is_of_one_connection(&error) => stats.accept_error(),
            Err(error) => {
                stats.accept_error();
                if warned.is_none_or(|warned| warned.elapsed() > Duration::from_secs(10)) {
                    warned = Some(Instant::now());
                    tracing::warn!(
                        %error,
                        "cannot accept connections; if files ran out, raise the limit of open \
                         files (`ulimit -n`) or lower max_connections"
                    );
                }
                tokio::time::sleep(REST).await;
            }
        }
        taken += 1;
        if taken % BATCH == 0 {
            tokio::task::yield_now().await;
        }
    }
}

/// Whether only the connection that was about to be accepted failed.
fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted, PermissionDenied};
    matches!(error.kind(), ConnectionAborted | ConnectionReset | Interrupted | PermissionDenied)
}
