//! A GET to another server through `wasi:http/outgoing-handler`, its answer passed on; and what is sent to one in part
//! only.

use wasip2::http::outgoing_handler;
use wasip2::http::types::{
    ErrorCode, Fields, IncomingResponse, Method, OutgoingBody, OutgoingRequest, ResponseOutparam,
    Scheme,
};

use crate::{reply::Reply, trouble};

/// Answers with the other server's status and body, or with 502 and the error's name.
pub fn fetch(url: &str, out: ResponseOutparam) {
    match send(url) {
        Ok(response) => forward(&response, out),
        Err(problem) => Reply::new(out).status(502).text(&format!("outbound failed: {problem}\n")),
    }
}

/// Sends half of a body; traps or computes once it is answered all the same.
pub fn upload(url: &str, then: &str, out: ResponseOutparam) {
    let request = match request(url) {
        Ok(request) => request,
        Err(problem) => return Reply::new(out).status(400).text(&format!("{problem}\n")),
    };
    request.set_method(&Method::Post).expect("POST is a method");
    let body = request.body().expect("the body is taken once");
    let output = body.write().expect("the stream is taken once");
    let answer = outgoing_handler::handle(request, None).expect("it is sent");
    output.blocking_write_and_flush(b"half of it").expect("it is taken");
    answer.subscribe().block();
    match then {
        "trap" => core::arch::wasm32::unreachable(),
        "spin" => trouble::spin(),
        _ => Reply::new(out).text("answered\n"),
    }
}

fn send(url: &str) -> Result<IncomingResponse, String> {
    let request = request(url)?;
    let body = request.body().map_err(|()| "no request body")?;
    let name = |code: ErrorCode| format!("{code:?}");
    let future = outgoing_handler::handle(request, None).map_err(name)?;
    OutgoingBody::finish(body, None).map_err(name)?;
    future.subscribe().block();
    match future.get() {
        Some(Ok(answer)) => answer.map_err(name),
        _ => Err("the answer was taken already".to_owned()),
    }
}

fn request(url: &str) -> Result<OutgoingRequest, String> {
    let (scheme, rest) = match url.split_once("://") {
        Some(("http", rest)) => (Scheme::Http, rest),
        Some(("https", rest)) => (Scheme::Https, rest),
        _ => return Err(format!("not an http or https URL: {url}")),
    };
    let (authority, path) = match rest.find('/') {
        Some(slash) => rest.split_at(slash),
        None => (rest, "/"),
    };
    let request = OutgoingRequest::new(Fields::new());
    request.set_scheme(Some(&scheme)).map_err(|()| "scheme refused")?;
    request.set_authority(Some(authority)).map_err(|()| "authority refused")?;
    request.set_path_with_query(Some(path)).map_err(|()| "path refused")?;
    Ok(request)
}

fn forward(response: &IncomingResponse, out: ResponseOutparam) {
    let body = response.consume().expect("the body is taken once");
    let input = body.stream().expect("the stream is taken once");
    let output = Reply::new(out).status(response.status()).start();
    while let Ok(chunk) = input.blocking_read(64 << 10) {
        if !output.write_all(&chunk) {
            return;
        }
    }
    output.finish(None);
}
