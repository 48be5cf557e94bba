//! A handler that leaves its work to a library: `/add/2/40` answers 42, and `/variable/NAME`,
//! `/read/PATH` and `/connect/ADDRESS` say what the library can reach.

use wasip2::http::types::{
    Fields, IncomingRequest, OutgoingBody, OutgoingResponse, ResponseOutparam,
};

wit_bindgen::generate!({ world: "handler", path: "wit" });

use acme::math::{add, reach};

struct Handler;

wasip2::http::proxy::export!(Handler);

impl wasip2::exports::http::incoming_handler::Guest for Handler {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        let path = request.path_with_query().unwrap_or_default();
        let (status, text) = match answer(&path) {
            Ok(text) => (200, text),
            Err(problem) => (400, problem),
        };
        let response = OutgoingResponse::new(Fields::new());
        response.set_status_code(status).expect("a status");
        let body = response.body().expect("the body is taken once");
        ResponseOutparam::set(out, Ok(response));
        let stream = body.write().expect("the stream is taken once");
        // A client that has gone is no fault of ours.
        let _ = stream.blocking_write_and_flush(format!("{text}\n").as_bytes());
        drop(stream);
        let _ = OutgoingBody::finish(body, None);
    }
}

fn answer(path: &str) -> Result<String, String> {
    let (what, rest) = path.trim_start_matches('/').split_once('/').unwrap_or_default();
    match what {
        "add" => {
            let (a, b) = rest.split_once('/').ok_or("/add/A/B")?;
            let number = |text: &str| match text.parse() {
                Ok(value) => Ok(add::Number { value }),
                Err(error) => Err(format!("{text}: {error}")),
            };
            add::add(number(a)?, number(b)?).map(|sum| sum.value.to_string())
        }
        "variable" => Ok(reach::variable(rest).unwrap_or_else(|| "no such variable".to_owned())),
        "read" => reach::read(rest),
        "connect" => reach::connect(rest),
        _ => Err("/add/A/B, /variable/NAME, /read/PATH or /connect/ADDRESS".to_owned()),
    }
}
