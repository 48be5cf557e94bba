//! Responses of WASI 0.3 that take what the guest writes as soon as they are made.
//!
//! A response is made before its body is written, and the host takes it only when the handler has
//! returned it. Whatever the guest writes until then would find nobody reading: each write would be
//! parked, and the guest woken for it one by one. So the host begins to read when the response is
//! made. What it holds is bounded as ever: one piece.

use std::pin::Pin;

use tokio::sync::oneshot;
use wasmtime::{
    AsContextMut as _, StoreContextMut,
    component::{Access, FutureReader, Linker, Resource, StreamReader},
};
use wasmtime_wasi_http::{
    Error, FieldMap, WasiHttp, WasiHttpView as _,
    p3::{
        Response,
        bindings::http::types::{ErrorCode, HostResponseWithStore},
    },
};

use crate::guest::ComponentGuest;

type Trailers = FutureReader<Result<Option<Resource<FieldMap>>, ErrorCode>>;
type Made = (Resource<Response>, FutureReader<Result<(), ErrorCode>>);
type Sent = Pin<Box<dyn Future<Output = Result<(), Error>> + Send>>;

/// Puts `response.new` of `wasi:http/types` 0.3 on top of Wasmtime's own.
pub(crate) fn read_early(linker: &mut Linker<ComponentGuest>) -> wasmtime::Result<()> {
    linker.allow_shadowing(true);
    linker.instance("wasi:http/types@0.3.0")?.func_wrap(
        "[static]response.new",
        |store: StoreContextMut<'_, ComponentGuest>,
         (headers, contents, trailers): (
            Resource<FieldMap>,
            Option<StreamReader<u8>>,
            Trailers,
        )| make(store, headers, contents, trailers),
    )?;
    linker.allow_shadowing(false);
    Ok(())
}

fn make(
    mut store: StoreContextMut<'_, ComponentGuest>,
    headers: Resource<FieldMap>,
    contents: Option<StreamReader<u8>>,
    trailers: Trailers,
) -> wasmtime::Result<(Made,)> {
    let access = Access::<_, WasiHttp>::new(store.as_context_mut(), ComponentGuest::http);
    let (response, guest_sent) =
        <WasiHttp as HostResponseWithStore<_>>::new(access, headers, contents, trailers)?;
    let response = store.data_mut().http().table.delete(response)?;
    let (tell, told) = oneshot::channel::<Sent>();
    let response = response.into_http(&mut store, async move {
        match told.await {
            Ok(sent) => sent.await,
            // Never sent: the guest itself let go of it.
            Err(_) => Ok(()),
        }
    })?;
    let view = store.data_mut().http();
    let (response, sent) = Response::from_http(view.hooks, response);
    let _ = tell.send(Box::pin(sent));
    Ok(((view.table.push(response)?, guest_sent),))
}
