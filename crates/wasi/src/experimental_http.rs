//! The import module `wasi_experimental_http`: requests of CGI-style guests, as WAGI had them. What the
//! functions mean is written down in [`reef_wagi::experimental_http`].

use std::{fmt, sync::Arc};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, Method, Request};
use http_body_util::{BodyExt as _, Full};
use reef_egress::{Body, Client, SendError, Timeouts};
use reef_wagi::experimental_http::{
    HttpError, MAX_OPEN, Responses, check_url, decode_headers, encode_headers,
};
use wasmtime::{Caller, Extern, Linker, Memory};

use crate::guest::ModuleGuest;

pub(crate) use reef_wagi::experimental_http::MODULE;

/// Bytes of a URL, a method or a header's name.
const LONGEST: usize = 64 << 10;
/// Bytes of a request's body: it is copied out of the guest at once.
const LARGEST: usize = 64 << 20;

/// What a guest has asked for, and may ask for.
pub(crate) struct Requests {
    workload: Arc<str>,
    /// `None`: it may not send any.
    client: Option<Client>,
    open: Responses<Open>,
}

/// A response whose body is read by and by.
struct Open {
    headers: HeaderMap,
    body: Option<Body>,
    /// What of the body's last piece has not been read yet.
    left: Bytes,
}

impl Requests {
    pub(crate) fn new(workload: Arc<str>, client: Client, most: Option<u32>) -> Self {
        Self { workload, client: Some(client), open: Responses::new(most.unwrap_or(MAX_OPEN)) }
    }

    /// None may be sent.
    pub(crate) fn none(workload: Arc<str>) -> Self {
        Self { workload, client: None, open: Responses::new(0) }
    }
}

impl fmt::Debug for Requests {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Requests").field("workload", &self.workload).finish_non_exhaustive()
    }
}

type Guest<'a> = Caller<'a, ModuleGuest>;

/// Defines one of the functions, if it is one.
pub(crate) fn define(linker: &mut Linker<ModuleGuest>, name: &str) -> wasmtime::Result<()> {
    match name {
        "req" => linker.func_wrap_async(
            MODULE,
            name,
            |mut guest: Guest<'_>,
             (
                url,
                url_len,
                method,
                method_len,
                headers,
                headers_len,
                body,
                body_len,
                status,
                handle,
            ): (u32, u32, u32, u32, u32, u32, u32, u32, u32, u32)| {
                Box::new(async move {
                    let asked = Asked {
                        url: (url, url_len),
                        method: (method, method_len),
                        headers: (headers, headers_len),
                        body: (body, body_len),
                        status,
                        handle,
                    };
                    number(send(&mut guest, &asked).await)
                })
            },
        ),
        "body_read" => linker.func_wrap_async(
            MODULE,
            name,
            |mut guest: Guest<'_>, (handle, buffer, length, written): (u32, u32, u32, u32)| {
                Box::new(async move {
                    number(read(&mut guest, handle, (buffer, length), written).await)
                })
            },
        ),
        "header_get" => linker.func_wrap(
            MODULE,
            name,
            |mut guest: Guest<'_>,
             handle: u32,
             name: u32,
             name_len: u32,
             buffer: u32,
             length: u32,
             written: u32| {
                let value = memory(&mut guest).and_then(|memory| {
                    let name = text(&guest, memory, (name, name_len))?;
                    let name: HeaderName = name.parse().map_err(|_| HttpError::HeaderNotFound)?;
                    let open = guest.data_mut().requests.open.get(handle)?;
                    let value = open.headers.get(name).ok_or(HttpError::HeaderNotFound)?;
                    Ok((memory, value.as_bytes().to_vec()))
                });
                number(value.and_then(|(memory, value)| {
                    give(&mut guest, memory, &value, (buffer, length), written)
                }))
            },
        ),
        "headers_get_all" => linker.func_wrap(
            MODULE,
            name,
            |mut guest: Guest<'_>, handle: u32, buffer: u32, length: u32, written: u32| {
                let all = memory(&mut guest).and_then(|memory| {
                    let open = guest.data_mut().requests.open.get(handle)?;
                    Ok((memory, encode_headers(&open.headers)))
                });
                number(all.and_then(|(memory, all)| {
                    give(&mut guest, memory, all.as_bytes(), (buffer, length), written)
                }))
            },
        ),
        "close" => linker.func_wrap(MODULE, name, |mut guest: Guest<'_>, handle: u32| {
            guest.data_mut().requests.open.close(handle);
            0_u32
        }),
        // What else it imports is explained like every other missing import.
        _ => return Ok(()),
    }?;
    Ok(())
}

/// A place and a length in the guest's memory.
type Span = (u32, u32);

struct Asked {
    url: Span,
    method: Span,
    headers: Span,
    body: Span,
    status: u32,
    handle: u32,
}

async fn send(guest: &mut Guest<'_>, asked: &Asked) -> Result<(), HttpError> {
    let memory = memory(guest)?;
    guest.data().requests.open.room()?;
    let url = text(guest, memory, asked.url)?;
    let client = guest.data().requests.client.clone().ok_or(HttpError::DestinationNotAllowed)?;
    let uri = match check_url(&url, client.egress().destinations()) {
        Err(HttpError::DestinationNotAllowed) => {
            refused(guest, &client, &url);
            return Err(HttpError::DestinationNotAllowed);
        }
        checked => checked?,
    };
    let method = text(guest, memory, asked.method)?;
    let method: Method = method.parse().map_err(|_| HttpError::InvalidMethod)?;
    let body = bytes(guest, memory, asked.body, LARGEST)?;
    let headers = text(guest, memory, asked.headers)?;
    let mut request = Request::new(Full::new(body));
    *request.uri_mut() = uri;
    *request.method_mut() = method;
    *request.headers_mut() = decode_headers(&headers)?;
    let response = client.send(request, Timeouts::default()).await.map_err(|error| {
        let workload = &*guest.data().requests.workload;
        match error {
            SendError::Refused(refusal) => {
                let grant = refusal.grant().map(|grant| grant.to_string());
                tracing::warn!(workload, denied = "egress", grant, "{refusal}");
                HttpError::DestinationNotAllowed
            }
            other => {
                tracing::debug!(workload, "{other}");
                HttpError::RequestError
            }
        }
    })?;
    let (head, body) = response.into_parts();
    let open = Open { headers: head.headers, body: Some(body), left: Bytes::new() };
    let handle = guest.data_mut().requests.open.open(open)?;
    let status = head.status.as_u16().to_le_bytes();
    let told = write(guest, memory, asked.status, &status)
        .and_then(|()| write(guest, memory, asked.handle, &handle.to_le_bytes()));
    if told.is_err() {
        // The guest does not know of it.
        guest.data_mut().requests.open.close(handle);
    }
    told
}

/// Says why, as every other refusal does.
fn refused(guest: &Guest<'_>, client: &Client, url: &str) {
    let workload = &*guest.data().requests.workload;
    let Ok(uri) = url.parse::<http::Uri>() else { return };
    let default = if uri.scheme_str() == Some("https") { 443 } else { 80 };
    let host = uri.host().unwrap_or_default();
    let refusal = client.egress().refusal(workload, host, uri.port_u16().unwrap_or(default));
    let grant = refusal.grant().map(|grant| grant.to_string());
    tracing::warn!(workload, denied = "egress", grant, "{refusal}");
}

async fn read(
    guest: &mut Guest<'_>,
    handle: u32,
    buffer: Span,
    written: u32,
) -> Result<(), HttpError> {
    let memory = memory(guest)?;
    let open = guest.data_mut().requests.open.get(handle)?;
    while open.left.is_empty() {
        let Some(body) = &mut open.body else { break };
        match body.frame().await {
            None => open.body = None,
            Some(Ok(frame)) => open.left = frame.into_data().unwrap_or_default(),
            Some(Err(_)) => {
                open.body = None;
                return Err(HttpError::RequestError);
            }
        }
    }
    let piece = open.left.split_to(open.left.len().min(buffer.1 as usize));
    give(guest, memory, &piece, buffer, written)
}

/// Writes bytes into the guest's buffer, and how many they are beside it.
fn give(
    guest: &mut Guest<'_>,
    memory: Memory,
    bytes: &[u8],
    buffer: Span,
    written: u32,
) -> Result<(), HttpError> {
    let length = u32::try_from(bytes.len()).map_err(|_| HttpError::BufferTooSmall)?;
    if length > buffer.1 {
        return Err(HttpError::BufferTooSmall);
    }
    write(guest, memory, buffer.0, bytes)?;
    write(guest, memory, written, &length.to_le_bytes())
}

fn memory(guest: &mut Guest<'_>) -> Result<Memory, HttpError> {
    guest.get_export("memory").and_then(Extern::into_memory).ok_or(HttpError::MemoryNotFound)
}

fn write(guest: &mut Guest<'_>, memory: Memory, at: u32, bytes: &[u8]) -> Result<(), HttpError> {
    memory.write(guest, at as usize, bytes).map_err(|_| HttpError::MemoryAccessError)
}

fn bytes(
    guest: &Guest<'_>,
    memory: Memory,
    (at, length): Span,
    most: usize,
) -> Result<Bytes, HttpError> {
    let (at, length) = (at as usize, length as usize);
    if length > most {
        return Err(HttpError::BufferTooSmall);
    }
    let end = at.checked_add(length).ok_or(HttpError::BufferTooSmall)?;
    let slice = memory.data(guest).get(at..end).ok_or(HttpError::BufferTooSmall)?;
    Ok(Bytes::copy_from_slice(slice))
}

fn text(guest: &Guest<'_>, memory: Memory, span: Span) -> Result<String, HttpError> {
    let bytes = bytes(guest, memory, span, LONGEST)?;
    String::from_utf8(bytes.to_vec()).map_err(|_| HttpError::Utf8Error)
}

fn number(done: Result<(), HttpError>) -> u32 {
    done.map_or_else(HttpError::number, |()| 0)
}
