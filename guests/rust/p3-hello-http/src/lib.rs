//! The smallest useful WASI 0.3 HTTP service, and the one benchmarks measure.

use wasip3::http::types::{ErrorCode, Fields, Request, Response};
use wasip3::{wit_future, wit_stream};

struct Hello;

wasip3::http::service::export!(Hello);

impl wasip3::exports::http::handler::Guest for Hello {
    async fn handle(_request: Request) -> Result<Response, ErrorCode> {
        let headers = Fields::from_list(&[("content-type".to_owned(), b"text/plain".to_vec())])
            .expect("the header is well formed");
        let (mut body, body_reader) = wit_stream::new();
        // Dropping the writer sends the default: no trailers.
        let (_, trailers) = wit_future::new(|| Ok(None));
        let (response, _sent) = Response::new(headers, Some(body_reader), trailers);
        wasip3::spawn_local(async move {
            let _unread = body.write_all(b"hello\n".to_vec()).await;
        });
        Ok(response)
    }
}
