use std::future::Future;
use std::os::fd::AsFd;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::Interest;
use tokio::net::TcpStream;

/// Looks out for a client that resets its connection while nobody reads from it.
///
/// A client that closes in both directions looks at first like one that has only said all it has to
/// say. It is answered, and the answer's first bytes draw the reset.
#[derive(Default)]
pub(super) struct Watch {
    gone: bool,
    second: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

impl Watch {
    /// Ready when the connection was reset. Asks the event queue's memory, not the system.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, tcp: &TcpStream) -> Poll<()> {
        // A reset makes a socket readable, so as a rule this is all: the task's waker, kept where
        // hyper keeps it between requests.
        if !self.gone && tcp.poll_read_ready(cx).is_pending() {
            return Poll::Pending;
        }
        self.gone |= tcp.try_io(Interest::ERROR, || Ok(())).is_ok();
        if self.gone {
            return Poll::Ready(());
        }
        // The client has closed its side, or sent what is not wanted yet: the socket stays readable
        // and would wake nobody. Errors alone can be waited for by whoever owns the socket only.
        let second = self.second.get_or_insert_with(|| Box::pin(reset_of(twin(tcp))));
        self.gone = second.as_mut().poll(cx).is_ready();
        if self.gone { Poll::Ready(()) } else { Poll::Pending }
    }

    /// No request is answered now: hyper reads by itself.
    pub(super) fn rest(&mut self) {
        self.second = None;
    }
}

async fn reset_of(tcp: std::io::Result<TcpStream>) {
    match tcp {
        // An error here is the runtime's end.
        Ok(tcp) => drop(tcp.ready(Interest::ERROR).await),
        // No descriptor left: found out when something is written, or at the deadline.
        Err(_) => std::future::pending().await,
    }
}

/// The same socket, registered once more.
fn twin(tcp: &TcpStream) -> std::io::Result<TcpStream> {
    TcpStream::from_std(tcp.as_fd().try_clone_to_owned()?.into())
}
