//! A GET to another server through `wasi:http/client`, its answer passed on.

use wasip3::http::client;
use wasip3::http::types::{ErrorCode, Fields, Request, Response, Scheme};
use wasip3::wit_future;

use crate::reply::{Reply, done};

/// The other server's status and body, or 502 and the error's name.
pub async fn fetch(url: &str) -> Response {
    match send(url).await {
        Ok(response) => forward(response),
        Err(problem) => Reply::new().status(502).text(&format!("outbound failed: {problem}\n")),
    }
}

async fn send(url: &str) -> Result<Response, String> {
    let (scheme, rest) = match url.split_once("://") {
        Some(("http", rest)) => (Scheme::Http, rest),
        Some(("https", rest)) => (Scheme::Https, rest),
        _ => return Err(format!("not an http or https URL: {url}")),
    };
    let (authority, path) = match rest.find('/') {
        Some(slash) => rest.split_at(slash),
        None => (rest, "/"),
    };
    let (_, trailers) = wit_future::new(|| Ok(None));
    let (request, _sent) = Request::new(Fields::new(), None, trailers, None);
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
