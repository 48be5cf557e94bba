//! The same as `p1-scratch`, as a handler of WASI 0.2.

#[path = "../../p1-scratch/src/steps.rs"]
mod steps;

use wasip2::http::types::{
    Fields, IncomingRequest, OutgoingBody, OutgoingResponse, ResponseOutparam,
};

struct Scratch;

wasip2::http::proxy::export!(Scratch);

impl wasip2::exports::http::incoming_handler::Guest for Scratch {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        let target = request.path_with_query().unwrap_or_default();
        let text = steps::all(target.split_once('?').map_or("", |(_, query)| query));
        let response = OutgoingResponse::new(Fields::new());
        let body = response.body().expect("the body is taken once");
        ResponseOutparam::set(out, Ok(response));
        let stream = body.write().expect("the stream is taken once");
        let _ = stream.blocking_write_and_flush(text.as_bytes());
        drop(stream);
        let _ = OutgoingBody::finish(body, None);
    }
}
