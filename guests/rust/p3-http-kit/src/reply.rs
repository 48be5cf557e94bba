//! Building a response: status, headers, then a body in one piece or as a stream.

use wasip3::http::types::{ErrorCode, Fields, Response, Trailers};
use wasip3::wit_bindgen::{FutureReader, StreamWriter};
use wasip3::{wit_future, wit_stream};

/// Bytes read or written at a time.
pub const CHUNK: usize = 64 << 10;

/// A response in the making.
pub struct Reply {
    status: u16,
    headers: Fields,
}

impl Reply {
    pub fn new() -> Self {
        Self { status: 200, headers: Fields::new() }
    }

    pub fn status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    pub fn header(self, name: &str, value: &[u8]) -> Self {
        self.headers.append(name, value).expect("a well formed header");
        self
    }

    /// The whole body at once.
    pub fn text(self, text: &str) -> Response {
        let (response, mut output) = self.header("content-type", b"text/plain").stream();
        let text = text.as_bytes().to_vec();
        wasip3::spawn_local(async move {
            let _unread = output.write_all(text).await;
        });
        response
    }

    /// The whole body at once, with trailers after it.
    pub fn text_with_trailers(
        self,
        text: String,
        trailers: impl FnOnce() -> Trailers + 'static,
    ) -> Response {
        let (mut output, reader) = wit_stream::new();
        let (after, trailers_reader) = wit_future::new(|| Ok(None));
        let response = self.build(reader, trailers_reader);
        wasip3::spawn_local(async move {
            let _unread = output.write_all(text.into_bytes()).await;
            drop(output);
            // Fails when the client has gone.
            let _ = after.write(Ok(Some(trailers()))).await;
        });
        response
    }

    /// The head, and the writer of a body that follows.
    pub fn stream(self) -> (Response, StreamWriter<u8>) {
        let (output, reader) = wit_stream::new();
        // Dropping the writer sends the default: no trailers.
        let (_, trailers) = wit_future::new(|| Ok(None));
        (self.build(reader, trailers), output)
    }

    fn build(
        self,
        body: wasip3::wit_bindgen::StreamReader<u8>,
        trailers: FutureReader<Result<Option<Trailers>, ErrorCode>>,
    ) -> Response {
        let (response, _sent) = Response::new(self.headers, Some(body), trailers);
        if response.set_status_code(self.status).is_err() {
            response.set_status_code(500).expect("500 is a status");
        }
        response
    }
}

/// A future that says the request body was handled well.
pub fn done() -> FutureReader<Result<(), ErrorCode>> {
    let (_, reader) = wit_future::new(|| Ok(()));
    reader
}
