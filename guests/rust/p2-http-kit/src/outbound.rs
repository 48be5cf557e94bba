//! A GET to another server through `wasi:http/outgoing-handler`, its answer passed on.

use wasip2::http::outgoing_handler;
use wasip2::http::types::{
    ErrorCode, Fields, IncomingResponse, OutgoingBody, OutgoingRequest, ResponseOutparam, Scheme,
};

use crate::reply::Reply;

/// Answers with the other server's status and body, or with 502 and the error's name.
pub fn fetch(url: &str, out: ResponseOutparam) {
    match send(url) {
        Ok(response) => forward(&response, out),
        Err(problem) => Reply::new(out).status(502).text(&format!("outbound failed: {problem}\n")),
    }
}

fn send(url: &str) -> Result<IncomingResponse, String> {
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
