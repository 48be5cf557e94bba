//! HTTP as Spin had it before WASI: whole requests and whole responses, `fermyon:spin/http` out and
//! `fermyon:spin/inbound-http` in.
//!
//! Source: Spin's `wit/deps/spin@unversioned` and `crates/{trigger-http,factor-outbound-http}/src/spin.rs`.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use wasmtime::{
    StoreContextMut,
    component::{ComponentType, Lift, Linker, Lower},
};
use wasmtime_wasi_http::{Error, WasiBody, WasiHttpView as _};

use crate::guest::ComponentGuest;

const OUT: &str = "fermyon:spin/http";

/// `fermyon:spin/http-types.method`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ComponentType, Lift, Lower)]
#[component(enum)]
#[repr(u8)]
pub enum SpinMethod {
    #[component(name = "get")]
    Get,
    #[component(name = "post")]
    Post,
    #[component(name = "put")]
    Put,
    #[component(name = "delete")]
    Delete,
    #[component(name = "patch")]
    Patch,
    #[component(name = "head")]
    Head,
    #[component(name = "options")]
    Options,
}

/// `fermyon:spin/http-types.request`.
#[derive(Clone, Debug, ComponentType, Lift, Lower)]
#[component(record)]
pub struct SpinRequest {
    method: SpinMethod,
    uri: String,
    headers: Vec<(String, String)>,
    /// Nothing ever: Spin keeps it for the sake of old guests.
    params: Vec<(String, String)>,
    body: Option<Vec<u8>>,
}

/// `fermyon:spin/http-types.response`.
#[derive(Clone, Debug, ComponentType, Lift, Lower)]
#[component(record)]
pub struct SpinResponse {
    status: u16,
    headers: Option<Vec<(String, String)>>,
    body: Option<Vec<u8>>,
}

/// `fermyon:spin/http-types.http-error`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ComponentType, Lift, Lower)]
#[component(enum)]
#[repr(u8)]
enum SpinHttpError {
    #[expect(dead_code, reason = "a part of the type that nobody means")]
    #[component(name = "success")]
    Success,
    #[component(name = "destination-not-allowed")]
    DestinationNotAllowed,
    #[component(name = "invalid-url")]
    InvalidUrl,
    #[component(name = "request-error")]
    RequestError,
    #[component(name = "runtime-error")]
    RuntimeError,
    #[component(name = "too-many-requests")]
    TooManyRequests,
}

/// A request or response that these records have no words for.
#[derive(Debug, thiserror::Error)]
pub enum SpinHttpFault {
    /// A method that is none of the seven.
    #[error("a component of Spin 1 has no requests of the method {0}")]
    Method(Method),
    /// The body is too large to be handed over whole, or broke off.
    #[error("its body cannot be taken whole: {0}")]
    Body(Box<dyn std::error::Error + Send + Sync>),
    /// What the guest answered is no response.
    #[error("the handler answered with {0}")]
    Response(String),
}

const METHODS: [(Method, SpinMethod); 7] = [
    (Method::GET, SpinMethod::Get),
    (Method::POST, SpinMethod::Post),
    (Method::PUT, SpinMethod::Put),
    (Method::DELETE, SpinMethod::Delete),
    (Method::PATCH, SpinMethod::Patch),
    (Method::HEAD, SpinMethod::Head),
    (Method::OPTIONS, SpinMethod::Options),
];

impl SpinRequest {
    /// A request as a handler is given it, with its body whole: `most` bytes. Headers whose values are not
    /// text are left out.
    ///
    /// # Errors
    /// When there is no word for its method, or its body is too large or breaks off.
    pub async fn of(request: Request<WasiBody>, most: usize) -> Result<Self, SpinHttpFault> {
        let (parts, body) = request.into_parts();
        let method = METHODS.iter().find(|(method, _)| *method == parts.method);
        let (_, method) = method.ok_or_else(|| SpinHttpFault::Method(parts.method.clone()))?;
        let uri = match parts.uri.path_and_query() {
            Some(path) => path.to_string(),
            None => parts.uri.to_string(),
        };
        let body = Limited::new(body, most).collect().await.map_err(SpinHttpFault::Body)?;
        let body = Some(body.to_bytes().into());
        let headers = texts(&parts.headers);
        Ok(Self { method: *method, uri, headers, params: Vec::new(), body })
    }
}

fn texts(headers: &HeaderMap) -> Vec<(String, String)> {
    let text = |value: &HeaderValue| std::str::from_utf8(value.as_bytes()).map(str::to_owned).ok();
    let all = headers.iter().filter_map(|(name, value)| Some((name.to_string(), text(value)?)));
    all.collect()
}

impl TryFrom<SpinResponse> for Response<WasiBody> {
    type Error = SpinHttpFault;

    fn try_from(response: SpinResponse) -> Result<Self, SpinHttpFault> {
        let wrong = |what: String| SpinHttpFault::Response(what);
        let status = StatusCode::from_u16(response.status)
            .map_err(|_| wrong(format!("the status {}", response.status)))?;
        let mut headers = HeaderMap::new();
        for (name, value) in response.headers.into_iter().flatten() {
            let (Ok(name), Ok(value)) =
                (HeaderName::try_from(&*name), HeaderValue::try_from(&*value))
            else {
                let name = name.escape_debug().take(100).collect::<String>();
                return Err(wrong(format!("a header `{name}` that there cannot be")));
            };
            headers.insert(name, value);
        }
        let mut whole = Response::new(body(response.body));
        *whole.status_mut() = status;
        *whole.headers_mut() = headers;
        Ok(whole)
    }
}

fn body(bytes: Option<Vec<u8>>) -> WasiBody {
    Full::new(Bytes::from(bytes.unwrap_or_default())).map_err(|never| match never {}).boxed_unsync()
}

fn outgoing(request: SpinRequest) -> Result<Request<WasiBody>, SpinHttpError> {
    let method = METHODS.iter().find(|(_, method)| *method == request.method);
    let (method, _) = method.ok_or(SpinHttpError::RuntimeError)?;
    let mut built = Request::new(body(request.body));
    *built.method_mut() = method.clone();
    *built.uri_mut() = request.uri.parse().map_err(|_| SpinHttpError::InvalidUrl)?;
    for (name, value) in request.headers {
        let name = HeaderName::try_from(&*name).map_err(|_| SpinHttpError::RuntimeError)?;
        let value = HeaderValue::try_from(&*value).map_err(|_| SpinHttpError::RuntimeError)?;
        built.headers_mut().append(name, value);
    }
    Ok(built)
}

fn spin_error(error: &Error) -> SpinHttpError {
    match error {
        Error::HttpRequestDenied => SpinHttpError::DestinationNotAllowed,
        Error::HttpRequestUriInvalid => SpinHttpError::InvalidUrl,
        Error::ConnectionLimitReached => SpinHttpError::TooManyRequests,
        _ => SpinHttpError::RequestError,
    }
}

type Store<'a> = StoreContextMut<'a, ComponentGuest>;

/// Offers the interface if its package is `wanted`. What is sent goes the way of `wasi:http`, by the same
/// grants.
pub(crate) fn add_to_linker(
    linker: &mut Linker<ComponentGuest>,
    wanted: impl Fn(&str) -> bool,
) -> wasmtime::Result<()> {
    if !wanted(OUT) {
        return Ok(());
    }
    linker.instance(OUT)?.func_wrap_async(
        "send-request",
        |mut store: Store<'_>, (request,): (SpinRequest,)| {
            let most = store.data().limits().limit().0;
            let sent = outgoing(request).map(|request| {
                let done = Box::new(async { Ok(()) });
                Box::into_pin(store.data_mut().http().hooks.send_request(request, None, done))
            });
            Box::new(async move { Ok((received(sent, most).await,)) })
        },
    )
}

type Sent = std::pin::Pin<
    Box<
        dyn Future<
                Output = Result<
                    (Response<WasiBody>, Box<dyn Future<Output = Result<(), Error>> + Send>),
                    Error,
                >,
            > + Send,
    >,
>;

async fn received(
    sent: Result<Sent, SpinHttpError>,
    most: u64,
) -> Result<SpinResponse, SpinHttpError> {
    let (response, _) = sent?.await.map_err(|error| spin_error(&error))?;
    let (parts, body) = response.into_parts();
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    let body = Limited::new(body, most).collect().await.map_err(|_| SpinHttpError::RequestError)?;
    Ok(SpinResponse {
        status: parts.status.as_u16(),
        headers: Some(texts(&parts.headers)),
        body: Some(body.to_bytes().into()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_response_is_one_or_a_fault() {
        let response = |status, name: &str| SpinResponse {
            status,
            headers: Some(vec![(name.to_owned(), "b".to_owned())]),
            body: Some(b"c".to_vec()),
        };
        let read = |response| Response::<WasiBody>::try_from(response);
        let good =
            read(response(404, "a")).map(|response| (response.status(), response.headers().len()));
        assert!(matches!(good, Ok((StatusCode::NOT_FOUND, 1))));
        for (wrong, said) in
            [(response(7, "a"), "status 7"), (response(200, "a b"), "header `a b`")]
        {
            let fault = read(wrong).err().map(|fault| fault.to_string());
            assert!(fault.as_ref().is_some_and(|fault| fault.contains(said)), "{fault:?}");
        }
    }
}
