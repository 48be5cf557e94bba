//! What stands behind a middleware: its import `wasi:http/handler` is the next handler.
//!
//! The import has the shape of `wasi:http/client`'s `send`, so the same code serves it; only where the
//! request goes is different.

use std::{fmt, pin::Pin, sync::Arc};

use http::{HeaderName, Request, Response, uri::Scheme};
use wasmtime::component::{Accessor, Linker, Resource};
use wasmtime_wasi_http::{
    Error, RequestOptions, WasiBody, WasiHttpHooks,
    p3::bindings::http::types::Request as GuestRequest,
};

use crate::{
    guest::ComponentGuest,
    outbound::is_forbidden,
    trace::{Traced, send},
    unfinished::Begun,
};

/// The response that the next handler is going to give.
pub type Handled = Pin<Box<dyn Future<Output = Result<Response<WasiBody>, Error>> + Send>>;

/// The handler behind a middleware.
pub trait Next: Send + Sync {
    /// Answers a request that the middleware let through.
    fn handle(&self, request: Request<WasiBody>) -> Handled;
}

/// The way from one instance to the next handler.
pub(crate) struct Onward {
    pub(crate) next: Option<Arc<dyn Next>>,
    pub(crate) trace: Traced,
    pub(crate) begun: Begun,
}

type Io = Box<dyn Future<Output = Result<(), Error>> + Send>;

impl WasiHttpHooks for Onward {
    fn is_forbidden_header(&mut self, name: &HeaderName) -> bool {
        is_forbidden(name)
    }

    fn send_request(
        &mut self,
        request: Request<WasiBody>,
        _: Option<RequestOptions>,
        _result: Io,
    ) -> Box<dyn Future<Output = Result<(Response<WasiBody>, Io), Error>> + Send> {
        let mut request = request.map(|body| self.begun.body(body));
        self.trace.name_in(request.headers_mut());
        let handled = self.next.as_ref().map(|next| next.handle(request));
        Box::new(async move {
            let response = handled.ok_or(Error::DestinationNotFound)?.await?;
            let done: Io = Box::new(async { Ok(()) });
            Ok((response, done))
        })
    }

    fn default_scheme(&mut self) -> Option<Scheme> {
        Some(Scheme::HTTP)
    }
}

impl fmt::Debug for Onward {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Onward").field("next", &self.next.is_some()).finish_non_exhaustive()
    }
}

/// Offers `wasi:http/handler` 0.3 as an import.
pub(crate) fn add_to_linker(linker: &mut Linker<ComponentGuest>) -> wasmtime::Result<()> {
    linker.instance("wasi:http/handler@0.3.0")?.func_wrap_concurrent(
        "handle",
        |accessor: &Accessor<ComponentGuest>, (request,): (Resource<GuestRequest>,)| {
            Box::pin(send(accessor, ComponentGuest::onward, request))
        },
    )
}
