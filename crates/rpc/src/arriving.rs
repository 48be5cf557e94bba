//! What the other side sends.

use std::{fmt, sync::Arc};

use bytes::Bytes;
use reef_wrpc::{Decoder, Later, Type, Value};

use crate::{
    StreamError,
    call::{Call, Came, Inlet, Peer},
    sending::below,
};

/// The parameters or the results of a call.
#[derive(Debug)]
pub struct Received {
    /// All of them, in order.
    pub values: Vec<Value>,
    /// What of them comes later, by the numbers in their [`Value::Later`].
    pub later: Vec<Arriving>,
}

/// The next elements of a stream, or what a future became.
#[derive(Debug)]
pub struct Chunk {
    /// [`Value::List`] or [`Value::Bytes`] of a stream; what a future became; [`Value::Ready`] of
    /// nothing when that is nothing.
    pub value: Value,
    /// What of it comes later, by the numbers in its [`Value::Later`].
    pub later: Vec<Arriving>,
}

/// A stream or a future that comes later. When it is dropped, the sender is told to stop, and when
/// all of a call's results are, its server is told that nobody waits.
pub struct Arriving {
    call: Arc<Call>,
    later: Later,
    inlet: Inlet,
    /// Elements that came.
    elements: u32,
    decoder: Option<Decoder>,
    /// What came and was not read yet.
    input: Bytes,
    /// Bytes that the sender knows were taken.
    told: u64,
    ended: bool,
}

impl Arriving {
    pub(crate) fn all(call: &Arc<Call>, later: Vec<Later>) -> Vec<Self> {
        call.awaits(later.len());
        let arriving = later.into_iter().map(|later| Self {
            call: call.clone(),
            inlet: Inlet { path: later.path.clone(), at: 0 },
            later,
            elements: 0,
            decoder: None,
            input: Bytes::new(),
            told: 0,
            ended: false,
        });
        arriving.collect()
    }

    /// Its type: a [`Type::Stream`] or a [`Type::Future`].
    pub fn ty(&self) -> &Type {
        &self.later.ty
    }

    /// The next elements of a stream, `None` after the last; what a future became, and `None` after
    /// that. Dropped before it is ready, it has taken nothing.
    ///
    /// # Errors
    /// When what comes makes no sense or is not whole, the sender gave up, or the time of the call is
    /// over. Nothing comes after that.
    pub async fn next(&mut self) -> Result<Option<Chunk>, StreamError> {
        if self.ended {
            return Ok(None);
        }
        let next = self.read().await;
        if !matches!(&next, Ok(Some(_))) || matches!(self.later.ty, Type::Future(_)) {
            self.end();
        }
        next
    }

    async fn read(&mut self) -> Result<Option<Chunk>, StreamError> {
        loop {
            let limits = self.call.exchange.settings.limits;
            if self.decoder.is_none() {
                self.decoder = Decoder::of(&self.later, self.elements, limits);
            }
            if let Some(decoder) = &mut self.decoder
                && let Some(value) = decoder.feed(&mut self.input)?
            {
                let later = decoder.take_later();
                self.decoder = None;
                return self.whole(value, later);
            }
            self.tell().await;
            match self.inlet.next(&self.call).await? {
                Came::Bytes(bytes) => self.input = bytes,
                Came::End(Some(refusal)) => return Err(StreamError::Broken(refusal.why)),
                Came::End(None) => {
                    return match &self.decoder {
                        // A future of nothing becomes that by its end.
                        None => self.whole(Value::Ready(None), Vec::new()),
                        Some(decoder) => Err(decoder.ended().into()),
                    };
                }
            }
        }
    }

    fn whole(&mut self, value: Value, later: Vec<Later>) -> Result<Option<Chunk>, StreamError> {
        if let Type::Stream(_) = self.later.ty {
            let elements = match &value {
                Value::List(elements) => elements.len(),
                Value::Bytes(bytes) => bytes.len(),
                _ => 0,
            };
            if elements == 0 {
                return Ok(None);
            }
            let elements = u32::try_from(elements).ok();
            // Bytes have no places of their own, so they may be any number.
            self.elements = match elements.and_then(|more| self.elements.checked_add(more)) {
                Some(elements) => elements,
                None if matches!(value, Value::Bytes(_)) => 0,
                None => return Err(reef_wrpc::DecodeError::TooLong.into()),
            };
        }
        Ok(Some(Chunk { value, later: Self::all(&self.call, later) }))
    }

    /// Says how much was taken, when that is worth a message.
    async fn tell(&mut self) {
        let Some(Peer { inbox, window: Some(_) }) = self.call.peer.get() else { return };
        // It knows our window, which may be another than its own.
        let worth = self.call.exchange.settings.window as u64 / 2;
        if self.inlet.at - self.told < worth.max(1) {
            return;
        }
        let (subject, taken) = (credit(inbox, &self.later), self.inlet.at);
        if self
            .call
            .exchange
            .publish(&subject, None, Vec::new(), taken.to_string().into())
            .await
            .is_ok()
        {
            self.told = taken;
        }
    }

    fn end(&mut self) {
        if !std::mem::replace(&mut self.ended, true) {
            self.call.has();
        }
    }
}

fn credit(inbox: &str, later: &Later) -> String {
    below(&format!("{inbox}.credit"), &later.path)
}

impl Drop for Arriving {
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        // A caller that gives up the last of a call says so for the whole call.
        let Some(Peer { inbox, window: Some(_) }) = self.call.peer.get() else { return };
        let (exchange, subject) = (self.call.exchange.clone(), credit(inbox, &self.later));
        let runtime = exchange.runtime.clone();
        runtime.spawn(async move {
            let _ = exchange.publish(&subject, None, Vec::new(), "stop".into()).await;
        });
    }
}

impl fmt::Debug for Arriving {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Arriving")
            .field("path", &self.later.path)
            .field("ty", &self.later.ty)
            .field("bytes", &self.inlet.at)
            .field("ended", &self.ended)
            .finish_non_exhaustive()
    }
}
