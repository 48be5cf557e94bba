//! An HTTP service: an asynchronous component of WASI 0.3. One instance serves several requests at
//! once.

use wasip3::http::types::{ErrorCode, Fields, Request, Response};
use wasip3::{wit_future, wit_stream};

struct Service;

wasip3::http::service::export!(Service);

impl wasip3::exports::http::handler::Guest for Service {
    async fn handle(request: Request) -> Result<Response, ErrorCode> {
        let target = request.get_path_with_query().unwrap_or_else(|| "/".to_owned());
        let (path, query) = target.split_once('?').unwrap_or((&target, ""));
        Ok(match path {
            "/" => {
                let name = query.strip_prefix("name=").unwrap_or("world");
                answer(200, format!("Hello, {name}!\n"))
            }
            _ => answer(404, "There is nothing here.\n".to_owned()),
        })
    }
}

/// An answer whose body is written when its head has gone.
fn answer(status: u16, text: String) -> Response {
    let headers = Fields::new();
    headers.append("content-type", b"text/plain; charset=utf-8").expect("a header that is allowed");
    let (mut body, reader) = wit_stream::new();
    // Without another value, there are no trailers.
    let (_, trailers) = wit_future::new(|| Ok(None));
    let (response, _sent) = Response::new(headers, Some(reader), trailers);
    response.set_status_code(status).expect("a status that exists");
    wasip3::spawn_local(async move {
        // The client may have gone.
        let _unread = body.write_all(text.into_bytes()).await;
    });
    response
}
