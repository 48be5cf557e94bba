//! An HTTP handler: a component of WASI 0.2.

use wasip2::http::types::{
    Fields, IncomingRequest, OutgoingBody, OutgoingResponse, ResponseOutparam,
};

struct Handler;

wasip2::http::proxy::export!(Handler);

impl wasip2::exports::http::incoming_handler::Guest for Handler {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        let target = request.path_with_query().unwrap_or_else(|| "/".to_owned());
        let (path, query) = target.split_once('?').unwrap_or((&target, ""));
        match path {
            "/" => {
                let name = query.strip_prefix("name=").unwrap_or("world");
                answer(out, 200, &format!("Hello, {name}!\n"));
            }
            _ => answer(out, 404, "There is nothing here.\n"),
        }
    }
}

/// Sends a whole answer.
fn answer(out: ResponseOutparam, status: u16, text: &str) {
    let headers = Fields::new();
    headers.append("content-type", b"text/plain; charset=utf-8").expect("a header that is allowed");
    let response = OutgoingResponse::new(headers);
    response.set_status_code(status).expect("a status that exists");
    let body = response.body().expect("the body is taken once");
    ResponseOutparam::set(out, Ok(response));
    let stream = body.write().expect("the stream is taken once");
    // A stream takes up to 4096 bytes at once.
    for piece in text.as_bytes().chunks(4096) {
        // The client may have gone.
        if stream.blocking_write_and_flush(piece).is_err() {
            return;
        }
    }
    drop(stream);
    let _ = OutgoingBody::finish(body, None);
}
