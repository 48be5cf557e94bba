//! `spin:key-value@3.0.0`: asynchronous, keys as a stream.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use futures::{FutureExt as _, future::BoxFuture};
use reef_capability::{Caller, Failure};
use reef_key_value::{Bucket, Page};
use tokio::sync::oneshot;
use wasmtime::{
    AsContextMut as _, StoreContextMut,
    component::{
        Accessor, Destination, FutureReader, Resource, StreamProducer, StreamReader, StreamResult,
        VecBuffer,
    },
};

use self::spin::key_value::key_value::{Error, Host, HostStore, HostStoreWithStore};
use super::{Refusal, opened};
use crate::{Capable, OfInstance, View};

wasmtime::component::bindgen!({
    path: "wit/spin-key-value-3.0.0.wit",
    imports: { default: async | trappable },
    with: { "spin:key-value/key-value.store": reef_key_value::Bucket },
});

type Answer<T> = wasmtime::Result<Result<T, Error>>;

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        match failure.into() {
            Refusal::NoSuchStore => Self::NoSuchStore,
            Refusal::Denied => Self::AccessDenied,
            Refusal::Other(why) => Self::Other(why),
        }
    }
}

impl Host for View<'_> {}

impl HostStore for View<'_> {
    async fn drop(&mut self, store: Resource<Bucket>) -> wasmtime::Result<()> {
        self.table.delete(store)?;
        Ok(())
    }
}

impl<T: Capable> HostStoreWithStore<T> for OfInstance<T> {
    async fn open(accessor: &Accessor<T, Self>, label: String) -> Answer<Resource<Bucket>> {
        accessor.with(|mut access| {
            let view = access.get();
            let bucket = match view.open_bucket("spin:key-value/key-value@3.0.0", &label) {
                Ok(bucket) => bucket,
                Err(failure) => return Ok(Err(failure.into())),
            };
            Ok(view.table.push(bucket).map_err(|_| Error::StoreTableFull))
        })
    }

    async fn get(
        accessor: &Accessor<T, Self>,
        store: Resource<Bucket>,
        key: String,
    ) -> Answer<Option<Vec<u8>>> {
        let (bucket, caller) = opened(accessor, &store)?;
        let got = bucket.get(&caller, &key).await;
        Ok(got.map(|value| value.map(Into::into)).map_err(Into::into))
    }

    async fn set(
        accessor: &Accessor<T, Self>,
        store: Resource<Bucket>,
        key: String,
        value: Vec<u8>,
    ) -> Answer<()> {
        let (bucket, caller) = opened(accessor, &store)?;
        Ok(bucket.set(&caller, &key, value.into()).await.map_err(Into::into))
    }

    async fn delete(
        accessor: &Accessor<T, Self>,
        store: Resource<Bucket>,
        key: String,
    ) -> Answer<()> {
        let (bucket, caller) = opened(accessor, &store)?;
        Ok(bucket.delete(&caller, &key).await.map_err(Into::into))
    }

    async fn exists(
        accessor: &Accessor<T, Self>,
        store: Resource<Bucket>,
        key: String,
    ) -> Answer<bool> {
        let (bucket, caller) = opened(accessor, &store)?;
        Ok(bucket.exists(&caller, &key).await.map_err(Into::into))
    }

    async fn get_keys(
        accessor: &Accessor<T, Self>,
        store: Resource<Bucket>,
    ) -> wasmtime::Result<(StreamReader<String>, FutureReader<Result<(), Error>>)> {
        let (bucket, caller) = opened(accessor, &store)?;
        let (ended, end) = oneshot::channel();
        let keys = Keys { bucket, caller, cursor: None, reading: None, ended: Some(ended) };
        // A guest that wants no more keys is told of no failure.
        let end = async { Ok::<_, wasmtime::Error>(end.await.unwrap_or(Ok(()))) };
        accessor.with(|mut access| {
            let keys = StreamReader::new(access.as_context_mut(), keys)?;
            Ok((keys, FutureReader::new(access.as_context_mut(), end)?))
        })
    }
}

/// The keys of a store, page by page as they are read.
struct Keys {
    bucket: Bucket,
    caller: Caller,
    cursor: Option<String>,
    reading: Option<BoxFuture<'static, Result<Page, Failure>>>,
    ended: Option<oneshot::Sender<Result<(), Error>>>,
}

impl Keys {
    fn end(&mut self, how: Result<(), Error>) -> Poll<wasmtime::Result<StreamResult>> {
        if let Some(ended) = self.ended.take() {
            // The guest may not want to know.
            let _ = ended.send(how);
        }
        Poll::Ready(Ok(StreamResult::Dropped))
    }
}

impl<D> StreamProducer<D> for Keys {
    type Item = String;
    type Buffer = VecBuffer<String>;

    fn poll_produce<'a>(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut store: StoreContextMut<'a, D>,
        mut destination: Destination<'a, String, VecBuffer<String>>,
        finish: bool,
    ) -> Poll<wasmtime::Result<StreamResult>> {
        if destination.remaining(&mut store) == Some(0) {
            return Poll::Ready(Ok(StreamResult::Completed));
        }
        let this = &mut *self;
        loop {
            let (bucket, caller, cursor) = (&this.bucket, &this.caller, &this.cursor);
            let reading = this.reading.get_or_insert_with(|| {
                let (bucket, caller, cursor) = (bucket.clone(), caller.clone(), cursor.clone());
                async move { bucket.keys(&caller, "", cursor.as_deref()).await }.boxed()
            });
            let page = match reading.poll_unpin(cx) {
                // What is being read is for the next time.
                Poll::Pending if finish => return Poll::Ready(Ok(StreamResult::Cancelled)),
                Poll::Pending => return Poll::Pending,
                Poll::Ready(page) => page,
            };
            this.reading = None;
            let page = match page {
                Ok(page) => page,
                Err(failure) => return this.end(Err(failure.into())),
            };
            this.cursor = page.next;
            let empty = page.keys.is_empty();
            if !empty {
                destination.set_buffer(page.keys.into());
            }
            if this.cursor.is_none() {
                return this.end(Ok(()));
            }
            if !empty {
                return Poll::Ready(Ok(StreamResult::Completed));
            }
        }
    }
}
