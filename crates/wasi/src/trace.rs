//! Which trace an outgoing request, or a use of a link, belongs to.
//!
//! An instance of WASI 0.3 works for several requests at once. The one that a call out of it is made
//! for is told by the guest's task: the one at the root of the call, which the request began.

use std::{collections::HashMap, fmt, sync::Arc};

use http::{HeaderMap, HeaderName, Method, Uri};
use opentelemetry::trace::SpanContext;
use opentelemetry_sdk::trace::SpanData;
use reef_capability::{Caller, Span, Trace};
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

/// What of a trace a guest works for.
#[derive(Clone, Default)]
pub struct Traced {
    /// What goes onto requests that leave (W3C Trace Context), if they belong to a trace at all.
    pub headers: HeaderMap,
    /// Records what the guest asks of others, if anything does.
    pub spans: Option<Arc<dyn GuestTrace>>,
}

/// Records spans below that of the request which a guest works for.
pub trait GuestTrace: Trace {
    /// Begins the span of a request that leaves, and names it in its headers as the parent.
    fn http(&self, method: &Method, url: &Uri, headers: &mut HeaderMap) -> Box<dyn HttpSpan>;

    /// The context of the request's span.
    fn context(&self) -> SpanContext;

    /// Exports a span that the guest made itself, if the request may have one more.
    fn pass_on(&self, span: SpanData);
}

/// The span of a request that left. It ends when it is dropped.
pub trait HttpSpan: Span {
    /// The head of its response is there.
    fn answered(&mut self, status: u16);
}

/// The traces that an instance works for.
#[derive(Default)]
pub(crate) struct Traces {
    /// Of an instance that works for one request at a time.
    only: Traced,
    by_task: HashMap<GuestTaskId, Traced>,
    /// Those that have no answer yet.
    at_work: Vec<GuestTaskId>,
}

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

// === impl Traced ===

impl Traced {
    pub(crate) fn is_empty(&self) -> bool {
        self.headers.is_empty() && self.spans.is_none()
    }

    /// The request's span, where it is recorded.
    pub(crate) fn context(&self) -> Option<SpanContext> {
        self.spans.as_ref().map(|spans| spans.context())
    }

    pub(crate) fn caller(&self) -> Caller {
        Caller { trace: self.spans.clone().map(|spans| spans as Arc<dyn Trace>) }
    }

    /// The trace's id, for logs.
    pub(crate) fn trace_id(&self) -> Option<String> {
        let id = self.headers.get(TRACEPARENT)?.to_str().ok()?.get(3..35)?;
        Some(id.to_owned())
    }

    /// Names the trace in the headers of a request. One of the guest's own stays, if it is of this trace: then
    /// the guest has a span of its own in between.
    pub(crate) fn name_in(&self, headers: &mut HeaderMap) {
        // `version-traceid-parentid-flags`: the first two.
        let id =
            |headers: &HeaderMap| Some(headers.get(TRACEPARENT)?.as_bytes().get(..35)?.to_vec());
        if self.headers.is_empty() || id(headers).is_some_and(|own| id(&self.headers) == Some(own))
        {
            return;
        }
        for (name, value) in &self.headers {
            headers.insert(name.clone(), value.clone());
        }
    }
}

impl fmt::Debug for Traced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Traced").field("recorded", &self.spans.is_some()).finish_non_exhaustive()
    }
}

// === impl Traces ===

impl Traces {
    pub(crate) fn set(&mut self, trace: Traced) {
        self.only = trace;
    }

    /// A task that begins. One without a trace may have the number of an earlier one that had.
    pub(crate) fn begin(&mut self, task: GuestTaskId, trace: Traced) {
        self.at_work.push(task);
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

    pub(crate) fn end(&mut self, task: GuestTaskId) {
        if let Some(at) = self.at_work.iter().position(|one| *one == task) {
            self.at_work.swap_remove(at);
        }
    }

    /// For whom a use of a link is made where it cannot be known by which task. While there are several, for nobody: a use
    /// without a span is better than one in another request's trace.
    pub(crate) fn caller(&self) -> Caller {
        match *self.at_work {
            [] => self.only.caller(),
            [task] => self.of(Some(task)).caller(),
            _ => Caller::default(),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.only.is_empty() && self.by_task.is_empty()
    }

    /// The trace of a task, or none: that of another request would be a lie.
    pub(crate) fn of(&self, task: Option<GuestTaskId>) -> &Traced {
        task.and_then(|task| self.by_task.get(&task)).unwrap_or(&self.only)
    }

    /// Whether it takes a look at the guest's tasks to tell whom it works for.
    fn are_several(&self) -> bool {
        !self.by_task.is_empty()
    }
}

/// On whose behalf a guest makes the call that it is in: what a use of one of its links is recorded below. Where that
/// cannot be known, on nobody's.
///
/// The guest's tasks are looked at only while it works for several requests of which one is traced.
pub(crate) fn caller(store: &mut StoreContextMut<'_, ComponentGuest>) -> Caller {
    let data = store.data();
    if data.traces().at_work.len() < 2 || !data.traces().are_several() {
        return data.instance.caller.clone();
    }
    let task = store.async_call_stack().ok().and_then(Iterator::last);
    store.data().traces().of(task).caller()
}

/// What of a trace the call belongs to that a guest is in.
pub(crate) fn traced<'a>(
    store: &'a mut StoreContextMut<'_, ComponentGuest>,
) -> wasmtime::Result<Option<&'a Traced>> {
    if store.data().traces().is_empty() {
        return Ok(None);
    }
    let several = store.data().traces().are_several();
    let task = if several { store.async_call_stack()?.last() } else { None };
    Ok(Some(store.data().traces().of(task)))
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
