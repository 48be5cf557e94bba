//! Which trace an outgoing request belongs to.
//!
//! An instance of WASI 0.3 works for several requests at once. The one that a call out of it is made
//! for is told by the guest's task: the one at the root of the call, which the request began.

use std::collections::HashMap;

use http::HeaderMap;
use wasmtime::{
    AsContextMut as _, StoreContextMut,
    component::{Accessor, GuestTaskId, Linker, Resource},
};
use wasmtime_wasi_http::{
    WasiHttp, WasiHttpCtxView, WasiHttpView as _,
    p2::{
        bindings::http::{outgoing_handler, types as types02},
        types::{HostFutureIncomingResponse, HostOutgoingRequest},
    },
    p3::bindings::http::{
        client::HostWithStore,
        types::{ErrorCode, Request, Response},
    },
};

use crate::guest::ComponentGuest;

/// Tasks remembered. Their numbers are used again, so there are about as many as requests at once.
const MOST_TASKS: usize = 1024;

/// The traces that an instance works for.
#[derive(Default)]
pub(crate) struct Traces {
    /// Of an instance that works for one request at a time.
    only: HeaderMap,
    by_task: HashMap<GuestTaskId, HeaderMap>,
}

// === impl Traces ===

impl Traces {
    pub(crate) fn set(&mut self, trace: HeaderMap) {
        self.only = trace;
    }

    /// A task that begins. One without a trace may have the number of an earlier one that had.
    pub(crate) fn begin(&mut self, task: GuestTaskId, trace: HeaderMap) {
        if trace.is_empty() {
            if !self.by_task.is_empty() {
                self.by_task.remove(&task);
            }
            return;
        }
        if self.by_task.len() >= MOST_TASKS {
            // A request without a parent is better than one with a wrong one.
            self.by_task.clear();
        }
        self.by_task.insert(task, trace);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.only.is_empty() && self.by_task.is_empty()
    }

    /// The trace of a task, or none: that of another request would be a lie.
    pub(crate) fn of(&self, task: Option<GuestTaskId>) -> HeaderMap {
        task.and_then(|task| self.by_task.get(&task)).unwrap_or(&self.only).clone()
    }
}

/// What the guest sends from now on, until it is called again, belongs to whom it works for now.
fn follow_caller(store: &mut StoreContextMut<'_, ComponentGuest>) -> wasmtime::Result<()> {
    if store.data().is_traced() {
        let task = store.async_call_stack()?.last();
        store.data_mut().send_for(task);
    }
    Ok(())
}

/// Sends a request by one of the guest's two ways out.
pub(crate) async fn send(
    accessor: &Accessor<ComponentGuest>,
    way: fn(&mut ComponentGuest) -> WasiHttpCtxView<'_>,
    request: Resource<Request>,
) -> wasmtime::Result<(Result<Resource<Response>, ErrorCode>,)> {
    accessor.with(|mut access| follow_caller(&mut access.as_context_mut()))?;
    let http = accessor.with_getter::<WasiHttp>(way);
    Ok((match <WasiHttp as HostWithStore<_>>::send(&http, request).await {
        Ok(response) => Ok(response),
        Err(error) => Err(error.downcast()?),
    },))
}

/// Puts the look at the caller before what sends requests. What is sent is made before the first wait,
/// so no other task comes between.
pub(crate) fn follow_callers(linker: &mut Linker<ComponentGuest>) -> wasmtime::Result<()> {
    type Sent02 = Result<Resource<HostFutureIncomingResponse>, types02::ErrorCode>;
    type Asked02 = (Resource<HostOutgoingRequest>, Option<Resource<types02::RequestOptions>>);
    linker.allow_shadowing(true);
    linker.instance("wasi:http/outgoing-handler@0.2.12")?.func_wrap(
        "handle",
        |mut store: StoreContextMut<'_, ComponentGuest>, (request, options): Asked02| {
            follow_caller(&mut store)?;
            let mut view = store.data_mut().http();
            Ok((match outgoing_handler::Host::handle(&mut view, request, options) {
                Ok(response) => Sent02::Ok(response),
                Err(error) => Sent02::Err(error.downcast()?),
            },))
        },
    )?;
    linker.instance("wasi:http/client@0.3.0")?.func_wrap_concurrent(
        "send",
        |accessor: &Accessor<ComponentGuest>, (request,): (Resource<Request>,)| {
            Box::pin(send(accessor, ComponentGuest::http, request))
        },
    )?;
    linker.allow_shadowing(false);
    Ok(())
}
