//! Requests to others, through the import module `wasi_experimental_http` (deislabs/wasi-experimental-http
//! 0.10): the host decides which are allowed.

use rquickjs::{Ctx, Object, Result, TypedArray};

use crate::host::copied;

/// What the module calls a success.
const SUCCESS: u32 = 0;
/// A buffer that was too small.
const TOO_SMALL: u32 = 4;
/// Bytes read at once.
const PIECE: usize = 64 * 1024;
/// Most bytes of the headers of a response.
const MAX_HEADERS: usize = 1 << 20;

#[link(wasm_import_module = "wasi_experimental_http")]
unsafe extern "C" {
    fn req(
        url: *const u8,
        url_length: usize,
        method: *const u8,
        method_length: usize,
        headers: *const u8,
        headers_length: usize,
        body: *const u8,
        body_length: usize,
        status: *mut u16,
        handle: *mut u32,
    ) -> u32;
    fn close(handle: u32) -> u32;
    fn headers_get_all(handle: u32, buffer: *mut u8, length: usize, written: *mut usize) -> u32;
    fn body_read(handle: u32, buffer: *mut u8, length: usize, written: *mut usize) -> u32;
}

/// A response that is open.
struct Handle(u32);

impl Drop for Handle {
    fn drop(&mut self) {
        // SAFETY: plain numbers. That it was closed already is no harm.
        let _ = unsafe { close(self.0) };
    }
}

/// Sends a request and reads its response whole: `{ status, headers, body }`, or `{ error }`.
pub(crate) fn fetch<'js>(
    ctx: Ctx<'js>,
    url: String,
    method: String,
    headers: String,
    body: TypedArray<'js, u8>,
) -> Result<Object<'js>> {
    let answer = Object::new(ctx.clone())?;
    match send(&url, &method, &headers, &copied(&body)) {
        Ok((status, headers, body)) => {
            answer.set("status", status)?;
            answer.set("headers", headers)?;
            answer.set("body", TypedArray::new(ctx, body)?)?;
        }
        Err(code) => answer.set("error", meaning(code))?,
    }
    Ok(answer)
}

fn send(
    url: &str,
    method: &str,
    headers: &str,
    body: &[u8],
) -> std::result::Result<(u16, String, Vec<u8>), u32> {
    let (mut status, mut handle) = (0, 0);
    // SAFETY: each pointer has the length beside it, and both results are there to be written.
    let code = unsafe {
        req(
            url.as_ptr(),
            url.len(),
            method.as_ptr(),
            method.len(),
            headers.as_ptr(),
            headers.len(),
            body.as_ptr(),
            body.len(),
            &mut status,
            &mut handle,
        )
    };
    succeeded(code)?;
    let handle = Handle(handle);

    let mut length = PIECE;
    let headers = loop {
        let mut buffer = vec![0; length];
        let mut written = 0;
        // SAFETY: the buffer has that length.
        let code = unsafe { headers_get_all(handle.0, buffer.as_mut_ptr(), length, &mut written) };
        if code == TOO_SMALL && length < MAX_HEADERS {
            length *= 2;
            continue;
        }
        succeeded(code)?;
        buffer.truncate(written);
        break String::from_utf8_lossy(&buffer).into_owned();
    };

    let mut body = Vec::new();
    let mut piece = vec![0; PIECE];
    loop {
        let mut written = 0;
        // SAFETY: the buffer has that length.
        succeeded(unsafe { body_read(handle.0, piece.as_mut_ptr(), PIECE, &mut written) })?;
        match piece.get(..written) {
            Some([]) | None => return Ok((status, headers, body)),
            Some(bytes) => body.extend_from_slice(bytes),
        }
    }
}

fn succeeded(code: u32) -> std::result::Result<(), u32> {
    if code == SUCCESS { Ok(()) } else { Err(code) }
}

fn meaning(code: u32) -> String {
    let text = match code {
        7 => "this worker may not send requests there",
        8 => "its method is not one of HTTP",
        9 => "its headers are not those of HTTP",
        10 => "its URL is none",
        11 => "it could not be sent, or was not answered",
        13 => "too many responses are open",
        _ => return format!("the host says {code}"),
    };
    text.to_owned()
}
