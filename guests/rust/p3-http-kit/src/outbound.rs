//! A GET to another server through `wasi:http/client`, its answer passed on; and what is sent to one in part only.

use wasip3::clocks::monotonic_clock;
use wasip3::http::client;
use wasip3::http::types::{ErrorCode, Fields, Method, Request, Response, Scheme};
use wasip3::wit_bindgen::StreamReader;
use wasip3::{wit_future, wit_stream};

use crate::reply::{Reply, done};
use crate::trouble;

/// The other server's status and body, or 502 and the error's name.
pub async fn fetch(url: &str) -> Response {
    match send(url, None).await {
        Ok(response) => forward(response),
        Err(problem) => Reply::new().status(502).text(&format!("outbound failed: {problem}\n")),
    }
}

/// Sends half of a body; traps or computes once it is answered all the same.
pub async fn upload(url: &str, then: &str) -> Response {
    let (mut output, reader) = wit_stream::new();
    wasip3::spawn_local(async move {
        let _unread = output.write_all(b"half of it".to_vec()).await;
        loop {
            monotonic_clock::wait_for(3_600_000_000_000).await;
        }
    });
    let sent = send(url, Some(reader)).await;
    match then {
        "trap" => core::arch::wasm32::unreachable(),
        "spin" => trouble::spin(),
        _ => Reply::new().text(&format!("answered: {}\n", sent.is_ok())),
    }
}

async fn send(url: &str, body: Option<StreamReader<u8>>) -> Result<Response, String> {
    let (scheme, rest) = match url.split_once("://") {
        Some(("http", rest)) => (Scheme::Http, rest),
        Some(("https", rest)) => (Scheme::Https, rest),
        _ => return Err(format!("not an http or https URL: {url}")),
    };
    let (authority, path) = match rest.find('/') {
        Some(slash) => rest.split_at(slash),
        None => (rest, "/"),
    };
    let with_body = body.is_some();
    let (_, trailers) = wit_future::new(|| Ok(None));
    let (request, _sent) = Request::new(Fields::new(), body, trailers, None);
    if with_body {
        request.set_method(&Method::Post).map_err(|()| "method refused")?;
    }
    request.set_scheme(Some(&scheme)).map_err(|()| "scheme refused")?;
    request.set_authority(Some(authority)).map_err(|()| "authority refused")?;
    request.set_path_with_query(Some(path)).map_err(|()| "path refused")?;
    client::send(request).await.map_err(|code: ErrorCode| format!("{code:?}"))
}

fn forward(response: Response) -> Response {
    let status = response.get_status_code();
    let (body, trailers) = Response::consume_body(response, done());
    let (answer, _sent) = Response::new(Fields::new(), Some(body), trailers);
    answer.set_status_code(status).expect("the other server's status is a status");
    answer
}
