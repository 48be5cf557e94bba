//! An HTTP service for WASI 0.3: a page at `/`, JSON at `/api/hello?name=Ada`, and a stream that
//! arrives line by line at `/countdown`.

use wasip3::clocks::monotonic_clock;
use wasip3::http::types::{ErrorCode, Fields, HeaderError, Request, Response};
use wasip3::wit_bindgen::StreamWriter;
use wasip3::{wit_future, wit_stream};

struct Service;

wasip3::http::service::export!(Service);

impl wasip3::exports::http::handler::Guest for Service {
    async fn handle(request: Request) -> Result<Response, ErrorCode> {
        let target = request.get_path_with_query().unwrap_or_default();
        let (path, query) = target.split_once('?').unwrap_or((&target, ""));
        match path {
            "/" => answer(200, "text/html; charset=utf-8", include_str!("page.html").to_owned()),
            "/api/hello" => answer(200, "application/json", greeting(query)),
            "/countdown" => countdown(),
            _ => answer(404, "text/plain", format!("nothing at {path}\n")),
        }
    }
}

fn greeting(query: &str) -> String {
    let name = query.split('&').find_map(|pair| pair.strip_prefix("name=")).unwrap_or("world");
    // Only what is safe to put between JSON quotes.
    let name: String = name.chars().filter(|c| c.is_alphanumeric() || *c == '-').collect();
    format!("{{\"hello\":\"{name}\",\"wasi\":\"0.3\"}}\n")
}

/// Five lines, a tenth of a second apart. Other requests are answered in between.
fn countdown() -> Result<Response, ErrorCode> {
    let (response, mut body) = respond(200, "text/plain")?;
    wasip3::spawn_local(async move {
        for left in (1..=5).rev() {
            let line = format!("{left}\n").into_bytes();
            if !body.write_all(line).await.is_empty() {
                return; // the client has gone
            }
            monotonic_clock::wait_for(100_000_000).await;
        }
        let _unread = body.write_all(b"done\n".to_vec()).await;
    });
    Ok(response)
}

fn answer(status: u16, content_type: &str, text: String) -> Result<Response, ErrorCode> {
    let (response, mut body) = respond(status, content_type)?;
    wasip3::spawn_local(async move {
        let _unread = body.write_all(text.into_bytes()).await;
    });
    Ok(response)
}

/// The head of a response, and the writer of its body.
fn respond(status: u16, content_type: &str) -> Result<(Response, StreamWriter<u8>), ErrorCode> {
    let internal = |what: String| ErrorCode::InternalError(Some(what));
    let headers = Fields::new();
    headers
        .append("content-type", content_type.as_bytes())
        .map_err(|error: HeaderError| internal(error.to_string()))?;
    let (body, body_reader) = wit_stream::new();
    // Dropping the writer of the trailers sends the default: none.
    let (_, trailers) = wit_future::new(|| Ok(None));
    let (response, _sent) = Response::new(headers, Some(body_reader), trailers);
    response.set_status_code(status).map_err(|()| internal(format!("status {status}")))?;
    Ok((response, body))
}
