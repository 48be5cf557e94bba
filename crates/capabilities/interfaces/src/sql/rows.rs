//! Rows as a stream of the component model, and how they ended as a future.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use reef_sql::{Row, Rows, SqlError};
use tokio::sync::oneshot;
use wasmtime::{
    StoreContextMut,
    component::{Destination, StreamProducer, StreamResult, VecBuffer},
};

type Next = (Rows, Option<Result<Vec<Row>, SqlError>>);

/// Gives rows to a guest as it reads them.
pub(super) struct Producer<R> {
    next: Option<Pin<Box<dyn Future<Output = Next> + Send>>>,
    convert: Box<dyn Fn(Row) -> R + Send + Sync>,
    end: Option<oneshot::Sender<Result<(), SqlError>>>,
}

/// A producer of the rows, and how they ended: well, if the guest did not want them all.
pub(super) fn stream<R, E: From<SqlError>>(
    rows: Rows,
    convert: impl Fn(Row) -> R + Send + Sync + 'static,
) -> (Producer<R>, impl Future<Output = wasmtime::Result<Result<(), E>>> + Send + 'static) {
    let (end, ended) = oneshot::channel();
    let producer = Producer { next: Some(next(rows)), convert: Box::new(convert), end: Some(end) };
    let ended = async move { Ok(ended.await.unwrap_or(Ok(())).map_err(E::from)) };
    (producer, ended)
}

fn next(mut rows: Rows) -> Pin<Box<dyn Future<Output = Next> + Send>> {
    Box::pin(async move {
        let next = rows.next().await;
        (rows, next)
    })
}

impl<D, R: Send + Sync + 'static> StreamProducer<D> for Producer<R> {
    type Item = R;
    type Buffer = VecBuffer<R>;

    fn poll_produce<'a>(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut store: StoreContextMut<'a, D>,
        mut destination: Destination<'a, R, VecBuffer<R>>,
        finish: bool,
    ) -> Poll<wasmtime::Result<StreamResult>> {
        // A guest that reads nothing asks whether there is something: it will see when it reads.
        if destination.remaining(&mut store) == Some(0) {
            return Poll::Ready(Ok(StreamResult::Completed));
        }
        let this = &mut *self;
        let Some(waiting) = this.next.as_mut() else {
            return Poll::Ready(Ok(StreamResult::Dropped));
        };
        let polled = waiting.as_mut().poll(cx);
        if polled.is_pending() && finish {
            return Poll::Ready(Ok(StreamResult::Cancelled));
        }
        let (rows, batch) = ready!(polled);
        let (result, end) = match batch {
            Some(Ok(batch)) => {
                this.next = Some(next(rows));
                let items: Vec<R> = batch.into_iter().map(&this.convert).collect();
                destination.set_buffer(items.into());
                return Poll::Ready(Ok(StreamResult::Completed));
            }
            Some(Err(error)) => (StreamResult::Dropped, Err(error)),
            None => (StreamResult::Dropped, Ok(())),
        };
        this.next = None;
        if let Some(tell) = this.end.take() {
            let _ = tell.send(end);
        }
        Poll::Ready(Ok(result))
    }
}
