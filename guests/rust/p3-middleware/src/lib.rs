//! World `wasi:http/middleware`: sits between the server and another handler, adds a header to the
//! request on its way in and one to the response on its way out, and leaves both bodies alone. The
//! headers say what the variable `NAME` does.

wit_bindgen::generate!({
    // The WIT of the `wasip3` crate, found by `cargo xtask guests`.
    path: env!("REEF_WASI_03_WIT"),
    world: "wasi:http/middleware@0.3.2",
    generate_all,
});

use exports::wasi::http::handler::Guest;
use wasi::http::handler as next;
use wasi::http::types::{ErrorCode, Fields, Headers, Request, Response};

struct Middleware;

export!(Middleware);

impl Guest for Middleware {
    async fn handle(request: Request) -> Result<Response, ErrorCode> {
        let headers = with(&request.get_headers(), "x-seen-by", &name())?;
        let method = request.get_method();
        let (scheme, authority) = (request.get_scheme(), request.get_authority());
        let path = request.get_path_with_query();
        let options = request.get_options();
        let (body, trailers) = Request::consume_body(request, done());
        let (onwards, _sent) = Request::new(headers, Some(body), trailers, options);
        let refused = |()| ErrorCode::HttpProtocolError;
        onwards.set_method(&method).map_err(refused)?;
        onwards.set_scheme(scheme.as_ref()).map_err(refused)?;
        onwards.set_authority(authority.as_deref()).map_err(refused)?;
        onwards.set_path_with_query(path.as_deref()).map_err(refused)?;

        let response = next::handle(onwards).await?;

        let headers = with(&response.get_headers(), "x-passed-through", &name())?;
        let status = response.get_status_code();
        let (body, trailers) = Response::consume_body(response, done());
        let (answer, _sent) = Response::new(headers, Some(body), trailers);
        answer.set_status_code(status).map_err(refused)?;
        Ok(answer)
    }
}

fn name() -> String {
    std::env::var("NAME").unwrap_or_else(|_| "middleware".to_owned())
}

/// A copy of the headers with one more.
fn with(headers: &Headers, name: &str, value: &str) -> Result<Headers, ErrorCode> {
    let copy: Fields = headers.clone();
    let refused = |error| ErrorCode::InternalError(Some(format!("{name}: {error:?}")));
    copy.append(name, value.as_bytes()).map_err(refused)?;
    Ok(copy)
}

/// A future that says the body was handled well.
fn done() -> wit_bindgen::FutureReader<Result<(), ErrorCode>> {
    let (_, reader) = wit_future::new(|| Ok(()));
    reader
}
