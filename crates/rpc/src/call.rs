//! What both sides of a call have of it while it lasts.

use std::sync::{
    Arc, Mutex, OnceLock, PoisonError,
    atomic::{AtomicUsize, Ordering},
};

use bytes::Bytes;
use reef_bus::Message;
use reef_wrpc::Path;
use tokio::{
    sync::OwnedSemaphorePermit,
    time::{Instant, timeout_at},
};
use tokio_util::task::AbortOnDropHandle;

use crate::{
    Refusal, StreamError,
    exchange::{Registered, Shared},
    header,
    mailbox::Next,
};

/// The other side.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    /// Its inbox: `R_c` or `R_s`.
    pub(crate) inbox: Arc<str>,
    /// Bytes of a channel that it has room for, when it is one of ours.
    pub(crate) window: Option<u64>,
}

#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) exchange: Arc<Shared>,
    registered: Option<Registered>,
    pub(crate) peer: OnceLock<Peer>,
    pub(crate) deadline: Instant,
    /// What is still waited for: the answer, and what of it comes later.
    awaited: AtomicUsize,
    /// Sends what of the parameters comes later.
    sending: Mutex<Option<AbortOnDropHandle<()>>>,
    /// A caller's, among those who wait for answers. A server has none.
    place: Option<OwnedSemaphorePermit>,
}

impl Call {
    /// A call that is made.
    pub(crate) fn made(
        exchange: &Arc<Shared>,
        registered: Registered,
        deadline: Instant,
        place: OwnedSemaphorePermit,
    ) -> Self {
        Self {
            exchange: exchange.clone(),
            registered: Some(registered),
            peer: OnceLock::new(),
            deadline,
            awaited: AtomicUsize::new(0),
            sending: Mutex::default(),
            place: Some(place),
        }
    }

    /// A call that is answered.
    pub(crate) fn taken(
        exchange: &Arc<Shared>,
        registered: Registered,
        deadline: Instant,
        peer: Peer,
    ) -> Self {
        Self {
            exchange: exchange.clone(),
            registered: Some(registered),
            peer: OnceLock::from(peer),
            deadline,
            awaited: AtomicUsize::new(0),
            sending: Mutex::default(),
            place: None,
        }
    }

    /// Its inbox, while it lasts.
    pub(crate) fn inbox(&self) -> Option<&Registered> {
        self.registered.as_ref()
    }

    pub(crate) fn is_ours(&self) -> bool {
        self.peer.get().is_some_and(|peer| peer.window.is_some())
    }

    /// More that is waited for. Told to the server when the last is given up.
    pub(crate) fn awaits(&self, more: usize) {
        self.awaited.fetch_add(more, Ordering::Relaxed);
    }

    /// One less.
    pub(crate) fn has(&self) {
        let _ = self
            .awaited
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |count| count.checked_sub(1));
    }

    pub(crate) fn keep_sending(&self, task: AbortOnDropHandle<()>) {
        *self.sending.lock().unwrap_or_else(PoisonError::into_inner) = Some(task);
    }

    fn is_over(&self) -> bool {
        let sending = self.sending.lock().unwrap_or_else(PoisonError::into_inner);
        let sent = sending.as_ref().is_none_or(AbortOnDropHandle::is_finished);
        sent && self.awaited.load(Ordering::Relaxed) == 0
    }
}

/// Reads the server's answer to a handshake.
pub(crate) fn peer_of(message: &Message) -> Option<Peer> {
    let inbox = message.reply_to()?.into();
    Some(Peer { inbox, window: header::number(message, header::WINDOW) })
}

impl Drop for Call {
    fn drop(&mut self) {
        let Some(registered) = self.registered.take() else { return };
        if self.place.is_none() || self.is_over() {
            return;
        }
        // Given up: the server is told, as soon as it is known.
        let (exchange, peer, deadline) = (self.exchange.clone(), self.peer.take(), self.deadline);
        let runtime = exchange.runtime.clone();
        runtime.spawn(async move {
            let peer = match peer {
                Some(peer) => Some(peer),
                None => {
                    let said = registered.mailbox.wait(|state| state.control());
                    timeout_at(deadline, said).await.ok().and_then(|message| peer_of(&message))
                }
            };
            if let Some(Peer { inbox, window: Some(_) }) = peer {
                let gone = header::refusal(&Refusal::failed("nobody waits for it any more"));
                let _ = exchange.publish(&inbox, None, gone, Bytes::new()).await;
            }
        });
    }
}

/// A channel that is read.
#[derive(Debug)]
pub(crate) struct Inlet {
    pub(crate) path: Path,
    /// Bytes that came.
    pub(crate) at: u64,
}

/// What comes next of a channel.
#[derive(Debug)]
pub(crate) enum Came {
    Bytes(Bytes),
    /// No more comes, perhaps because of this.
    End(Option<Refusal>),
}

impl Inlet {
    /// Takes the next message.
    pub(crate) async fn next(&mut self, call: &Call) -> Result<Came, StreamError> {
        let Some(inbox) = call.inbox() else { return Ok(Came::End(None)) };
        let most = call.exchange.settings.waiting;
        let next = inbox.mailbox.wait(|state| state.next(&self.path, most));
        let next = timeout_at(call.deadline, next).await.map_err(|_| StreamError::Deadline)?;
        self.take(next, call.is_ours())
    }

    /// Looks at a message that was taken.
    pub(crate) fn take(&mut self, next: Next, ours: bool) -> Result<Came, StreamError> {
        let message = match next {
            Next::Message(message) => message,
            Next::Overflow(most) => return Err(StreamError::Overflow(most)),
            Next::GivenUp => {
                return Err(StreamError::Broken("the caller gave the call up".to_owned()));
            }
        };
        let found = match header::number(&message, header::AT) {
            None if !ours => self.at,
            said => said.unwrap_or(0),
        };
        let refusal = header::refused(&message);
        if found != self.at && refusal.is_none() {
            return Err(StreamError::Gap { expected: self.at, found });
        }
        let body = message.body().clone();
        self.at += body.len() as u64;
        Ok(if body.is_empty() { Came::End(refusal) } else { Came::Bytes(body) })
    }
}
