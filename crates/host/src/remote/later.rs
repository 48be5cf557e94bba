//! Streams and futures: from a guest to the bus, and back.

use std::{
    collections::VecDeque,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
};

use futures::future::BoxFuture;
use reef_rpc::{Arriving, Chunk, Piece, Refusal, Source, StreamError};
use reef_wrpc::Value;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::{CancellationToken, DropGuard, PollSender};
use wasmtime::{
    AsContextMut, StoreContextMut, bail,
    component::{
        Destination, FutureAny, FutureConsumer, FutureReader, Lift, Lower, StreamAny,
        StreamConsumer, StreamProducer, StreamReader, StreamResult, Type, VecBuffer,
    },
    format_err,
};

/// Pieces of a guest's stream that wait to be sent.
const AHEAD: usize = 2;
/// Bytes that elements of one piece take in memory, about.
const PIECE: usize = 64 << 10;

/// What a guest sends of one call: whether it is whole, and when all of it is sent.
#[derive(Clone, Debug, Default)]
pub(super) struct Sending(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    /// The guest ended: until then the end of a stream is the stream's.
    broken: AtomicBool,
    /// Each stream's and future's: cancelled when one of its ends is gone.
    open: Mutex<Vec<CancellationToken>>,
}

impl Sending {
    /// What ends from now on does so because the guest did.
    pub(super) fn break_off(&self) {
        self.0.broken.store(true, Ordering::SeqCst);
    }

    /// Resolves when all that was begun is handed on, or nobody wants it any more.
    pub(super) async fn done(&self) {
        let open = std::mem::take(&mut *self.0.open.lock().unwrap_or_else(PoisonError::into_inner));
        for one in open {
            one.cancelled().await;
        }
    }

    /// Two ends of one stream or future.
    fn ends(&self) -> (DropGuard, DropGuard) {
        let one = CancellationToken::new();
        let ends = (one.clone().drop_guard(), one.clone().drop_guard());
        self.0.open.lock().unwrap_or_else(PoisonError::into_inner).push(one);
        ends
    }

    fn whole(&self) -> Result<(), Refusal> {
        match self.0.broken.load(Ordering::SeqCst) {
            true => Err(Refusal::failed("the component that sends it ended")),
            false => Ok(()),
        }
    }
}

/// Where a stream or future of another host's comes from.
#[allow(clippy::large_enum_variant, reason = "one for each stream of a call, and moved on at once")]
pub(super) enum From {
    There(Value),
    Later(Arriving),
}

/// Elements that Wasmtime reads and writes by their type.
trait Element: Lift + Lower + Send + Sync + Sized + Unpin + 'static {
    fn pack(self) -> Value;
    fn unpack(value: Value) -> Option<Self>;

    fn pack_all(elements: Vec<Self>) -> Value {
        Value::List(elements.into_iter().map(Self::pack).collect())
    }

    fn unpack_all(value: Value) -> Option<Vec<Self>> {
        match value {
            Value::List(elements) => elements.into_iter().map(Self::unpack).collect(),
            _ => None,
        }
    }
}

macro_rules! elements {
    ($($ty:ty: $case:ident),*) => {$(
        impl Element for $ty {
            fn pack(self) -> Value {
                Value::$case(self)
            }

            fn unpack(value: Value) -> Option<Self> {
                match value {
                    Value::$case(value) => Some(value),
                    _ => None,
                }
            }
        }
    )*};
}

elements!(bool: Bool, i8: S8, i16: S16, u16: U16, i32: S32, u32: U32, i64: S64, u64: U64, f32: F32, f64: F64, char: Char, String: String);

impl Element for u8 {
    fn pack(self) -> Value {
        Value::U8(self)
    }

    fn unpack(value: Value) -> Option<Self> {
        match value {
            Value::U8(value) => Some(value),
            _ => None,
        }
    }

    fn pack_all(elements: Vec<Self>) -> Value {
        Value::Bytes(elements.into())
    }

    fn unpack_all(value: Value) -> Option<Vec<Self>> {
        match value {
            Value::Bytes(bytes) => Some(bytes.into()),
            _ => None,
        }
    }
}

/// Calls a function by the type of the elements.
macro_rules! by_type {
    ($ty:expr, $function:ident($($argument:expr),*)) => {
        match $ty {
            Some(Type::Bool) => $function::<bool>($($argument),*),
            Some(Type::S8) => $function::<i8>($($argument),*),
            Some(Type::U8) => $function::<u8>($($argument),*),
            Some(Type::S16) => $function::<i16>($($argument),*),
            Some(Type::U16) => $function::<u16>($($argument),*),
            Some(Type::S32) => $function::<i32>($($argument),*),
            Some(Type::U32) => $function::<u32>($($argument),*),
            Some(Type::S64) => $function::<i64>($($argument),*),
            Some(Type::U64) => $function::<u64>($($argument),*),
            Some(Type::Float32) => $function::<f32>($($argument),*),
            Some(Type::Float64) => $function::<f64>($($argument),*),
            Some(Type::Char) => $function::<char>($($argument),*),
            Some(Type::String) => $function::<String>($($argument),*),
            // Refused beforehand.
            _ => bail!("a stream or future has elements that cannot be carried"),
        }
    };
}

/// A guest's stream, to be sent.
pub(super) fn stream(
    store: impl AsContextMut<Data: Send>,
    stream: StreamAny,
    ty: Option<Type>,
    sending: &Sending,
) -> wasmtime::Result<Source> {
    fn of<T: Element>(
        store: impl AsContextMut<Data: Send>,
        stream: StreamAny,
        sending: Sending,
    ) -> wasmtime::Result<Source> {
        let (to, pieces) = mpsc::channel::<Vec<T>>(AHEAD);
        let (here, there) = sending.ends();
        let taking = Taking { to: PollSender::new(to), _end: here };
        stream.try_into_stream_reader::<T>()?.pipe(store, taking)?;
        let from = (pieces, sending, there);
        let pieces = futures::stream::unfold(from, |(mut pieces, sending, there)| async {
            let piece = match pieces.recv().await {
                Some(elements) => Ok(Piece::from(T::pack_all(elements))),
                None => Err(sending.whole().err()?),
            };
            Some((piece, (pieces, sending, there)))
        });
        Ok(Source::Stream(Box::pin(pieces)))
    }
    by_type!(ty, of(store, stream, sending.clone()))
}

/// A guest's future, to be sent.
pub(super) fn future(
    store: impl AsContextMut<Data: Send>,
    future: FutureAny,
    ty: Option<Type>,
    sending: &Sending,
) -> wasmtime::Result<Source> {
    fn of<T: Element>(
        store: impl AsContextMut<Data: Send>,
        future: FutureAny,
        sending: Sending,
    ) -> wasmtime::Result<Source> {
        let (to, value) = oneshot::channel::<T>();
        let (here, there) = sending.ends();
        let awaiting = Awaiting { to: Some(to), _end: here };
        future.try_into_future_reader::<T>()?.pipe(store, awaiting)?;
        Ok(Source::Future(Box::pin(async move {
            let _end = there;
            match value.await {
                Ok(value) => Ok(Piece::from(value.pack())),
                Err(_) => {
                    sending.whole()?;
                    Err(Refusal::failed("the component gave the future up"))
                }
            }
        })))
    }
    by_type!(ty, of(store, future, sending.clone()))
}

/// A stream for a guest.
pub(super) fn stream_of(
    store: impl AsContextMut<Data: Send>,
    from: From,
    ty: Option<Type>,
) -> wasmtime::Result<StreamAny> {
    fn of<T: Element>(
        mut store: impl AsContextMut<Data: Send>,
        from: From,
    ) -> wasmtime::Result<StreamAny> {
        let coming = match from {
            From::Later(arriving) => {
                Coming { state: State::Idle(arriving), ready: VecDeque::new() }
            }
            From::There(value) => {
                let elements = T::unpack_all(value).ok_or_else(not_of_its_type)?;
                Coming { state: State::Ended, ready: VecDeque::from([elements]) }
            }
        };
        let reader = StreamReader::<T>::new(&mut store, coming)?;
        StreamAny::try_from_stream_reader(store, reader)
    }
    by_type!(ty, of(store, from))
}

/// A future for a guest.
pub(super) fn future_of(
    store: impl AsContextMut<Data: Send>,
    from: From,
    ty: Option<Type>,
) -> wasmtime::Result<FutureAny> {
    fn of<T: Element>(
        mut store: impl AsContextMut<Data: Send>,
        from: From,
    ) -> wasmtime::Result<FutureAny> {
        let becoming = async move {
            let value = match from {
                From::There(value) => value,
                From::Later(mut arriving) => match arriving.next().await? {
                    Some(chunk) => chunk.value,
                    None => return Err(not_of_its_type()),
                },
            };
            T::unpack(value).ok_or_else(not_of_its_type)
        };
        let reader = FutureReader::<T>::new(&mut store, becoming)?;
        FutureAny::try_from_future_reader(store, reader)
    }
    by_type!(ty, of(store, from))
}

fn not_of_its_type() -> wasmtime::Error {
    format_err!("what came is not of the type of its stream or future")
}

/// Takes a guest's elements, a piece at a time, as fast as they are sent.
struct Taking<T> {
    to: PollSender<Vec<T>>,
    _end: DropGuard,
}

impl<D, T: Element> StreamConsumer<D> for Taking<T> {
    type Item = T;

    fn poll_consume(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        store: StoreContextMut<'_, D>,
        mut source: wasmtime::component::Source<'_, T>,
        finish: bool,
    ) -> Poll<wasmtime::Result<StreamResult>> {
        match self.to.poll_reserve(cx) {
            Poll::Pending if finish => return Poll::Ready(Ok(StreamResult::Cancelled)),
            Poll::Pending => return Poll::Pending,
            // Nobody wants more.
            Poll::Ready(Err(_)) => return Poll::Ready(Ok(StreamResult::Dropped)),
            Poll::Ready(Ok(())) => {}
        }
        let mut piece = Vec::with_capacity(PIECE / size_of::<T>().max(1));
        source.read(store, &mut piece)?;
        // The place stays reserved for what comes next.
        let sent = piece.is_empty() || self.to.send_item(piece).is_ok();
        Poll::Ready(Ok(if sent { StreamResult::Completed } else { StreamResult::Dropped }))
    }
}

/// Takes what a guest's future becomes.
struct Awaiting<T> {
    to: Option<oneshot::Sender<T>>,
    _end: DropGuard,
}

impl<D, T: Element> FutureConsumer<D> for Awaiting<T> {
    type Item = T;

    fn poll_consume(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        store: StoreContextMut<'_, D>,
        mut source: wasmtime::component::Source<'_, T>,
        _: bool,
    ) -> Poll<wasmtime::Result<()>> {
        let mut value = None;
        source.read(store, &mut value)?;
        if let (Some(value), Some(to)) = (value, self.to.take()) {
            // Nobody wants it otherwise.
            let _ = to.send(value);
        }
        Poll::Ready(Ok(()))
    }
}

/// Hands another host's elements to a guest, when it asks for them.
struct Coming<T> {
    state: State,
    ready: VecDeque<Vec<T>>,
}

type Read = (Arriving, Result<Option<Chunk>, StreamError>);

#[allow(clippy::large_enum_variant, reason = "one for each stream, where it stays")]
enum State {
    Idle(Arriving),
    Reading(BoxFuture<'static, Read>),
    Ended,
}

impl<T: Element> Coming<T> {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<wasmtime::Result<Option<Vec<T>>>> {
        loop {
            if let Some(elements) = self.ready.pop_front() {
                return Poll::Ready(Ok(Some(elements)));
            }
            let mut reading = match std::mem::replace(&mut self.state, State::Ended) {
                State::Ended => return Poll::Ready(Ok(None)),
                State::Reading(reading) => reading,
                State::Idle(mut arriving) => Box::pin(async move {
                    let next = arriving.next().await;
                    (arriving, next)
                }),
            };
            let Poll::Ready((arriving, next)) = reading.as_mut().poll(cx) else {
                self.state = State::Reading(reading);
                return Poll::Pending;
            };
            // What is not whole is not ended as if it were.
            if let Some(chunk) = next? {
                self.ready.push_back(T::unpack_all(chunk.value).ok_or_else(not_of_its_type)?);
                self.state = State::Idle(arriving);
            }
        }
    }
}

impl<D, T: Element> StreamProducer<D> for Coming<T> {
    type Item = T;
    type Buffer = VecBuffer<T>;

    fn poll_produce<'a>(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut store: StoreContextMut<'a, D>,
        mut destination: Destination<'a, T, VecBuffer<T>>,
        finish: bool,
    ) -> Poll<wasmtime::Result<StreamResult>> {
        let elements = match self.poll_next(cx) {
            Poll::Pending if finish => return Poll::Ready(Ok(StreamResult::Cancelled)),
            polled => ready!(polled)?,
        };
        let Some(elements) = elements else { return Poll::Ready(Ok(StreamResult::Dropped)) };
        // A guest that reads nothing asks whether there is something to read.
        if destination.remaining(&mut store) == Some(0) {
            self.ready.push_front(elements);
        } else {
            destination.set_buffer(elements.into());
        }
        Poll::Ready(Ok(StreamResult::Completed))
    }
}
