//! One WASI 0.3 HTTP component with a route for each behaviour that a server must cope with: good
//! ones (echo, headers, trailers, streaming) and bad ones (loops, memory bombs, traps, silence).
//! `p2-http-kit` has the same routes for WASI 0.2.

mod outbound;
mod query;
mod reply;
mod trouble;

use std::sync::atomic::{AtomicU64, Ordering};

use wasip3::clocks::monotonic_clock;
use wasip3::http::types::{ErrorCode, Fields, Method, Request, Response};
use wasip3::wit_bindgen::StreamResult;

use query::Query;
use reply::{CHUNK, Reply, done};

struct Kit;

wasip3::http::service::export!(Kit);

/// Requests that this instance has had: above one, the instance was reused.
static SERVED: AtomicU64 = AtomicU64::new(0);

impl wasip3::exports::http::handler::Guest for Kit {
    async fn handle(request: Request) -> Result<Response, ErrorCode> {
        let served = SERVED.fetch_add(1, Ordering::Relaxed) + 1;
        let target = request.get_path_with_query().unwrap_or_else(|| "/".to_owned());
        let (path, query) = target.split_once('?').unwrap_or((&target, ""));
        let query = Query::parse(query);

        Ok(match path {
            "/" => Reply::new().text("http kit, WASI 0.3\n"),
            "/count" => Reply::new().text(&format!("{served}\n")),
            "/status" => Reply::new().status(query.number("code", 200) as u16).text("as asked\n"),
            "/headers" => Reply::new().text(&describe(&request)),
            "/env" => Reply::new().text(&environment()),
            "/stdout" => {
                println!("a line on standard output");
                eprintln!("a line on standard error");
                Reply::new().text("printed\n")
            }
            "/echo" => echo(request),
            "/pipe" => pipe(request),
            "/trailers" => trailers(request).await,
            "/big" => big(query.number("mb", 1)),
            "/written-first" => written_first().await,
            "/second-thoughts" => second_thoughts().await,
            "/sleep" => {
                monotonic_clock::wait_for(query.number("ms", 100) * 1_000_000).await;
                Reply::new().text("awake\n")
            }
            "/outbound" => match query.get("url") {
                Some(url) => {
                    // Time for others to come meanwhile.
                    monotonic_clock::wait_for(query.number("ms", 0) * 1_000_000).await;
                    outbound::fetch(url).await
                }
                None => Reply::new().status(400).text("say which: ?url=http://host/\n"),
            },
            "/upload" => match query.get("url") {
                Some(url) => outbound::upload(url, query.get("then").unwrap_or_default()).await,
                None => Reply::new().status(400).text("say which: ?url=http://host/\n"),
            },
            "/burn" => {
                trouble::burn(query.number("ms", 100));
                Reply::new().text("burnt\n")
            }
            "/spin" => trouble::spin(),
            "/alloc" => {
                let got = trouble::take_memory(query.number("mb", 16));
                Reply::new().text(&format!("{got} MiB\n"))
            }
            "/stack" => {
                let depth = trouble::descend(served);
                Reply::new().text(&format!("{depth}\n"))
            }
            "/trap" => core::arch::wasm32::unreachable(),
            "/panic" => panic!("asked to panic"),
            "/trap-mid-body" => trap_mid_body(),
            "/error" => return Err(ErrorCode::InternalError(Some("asked to fail".to_owned()))),
            "/never" => loop {
                monotonic_clock::wait_for(3_600_000_000_000).await;
            },
            _ => Reply::new().status(404).text("no such route\n"),
        })
    }
}

/// The request line and headers as the host handed them over, one a line.
fn describe(request: &Request) -> String {
    let mut text = format!(
        "method: {}\npath: {}\nscheme: {:?}\nauthority: {}\n",
        method_name(&request.get_method()),
        request.get_path_with_query().unwrap_or_default(),
        request.get_scheme(),
        request.get_authority().unwrap_or_default(),
    );
    for (name, value) in request.get_headers().copy_all() {
        text.push_str(&format!("header {name}: {}\n", String::from_utf8_lossy(&value)));
    }
    text
}

fn method_name(method: &Method) -> String {
    match method {
        Method::Get => "GET",
        Method::Head => "HEAD",
        Method::Post => "POST",
        Method::Put => "PUT",
        Method::Delete => "DELETE",
        Method::Connect => "CONNECT",
        Method::Options => "OPTIONS",
        Method::Trace => "TRACE",
        Method::Patch => "PATCH",
        Method::Other(name) => name,
    }
    .to_owned()
}

fn environment() -> String {
    let mut variables: Vec<_> = std::env::vars().collect();
    variables.sort();
    variables.iter().map(|(key, value)| format!("env {key}={value}\n")).collect()
}

fn content_type(request: &Request) -> Vec<u8> {
    let kinds = request.get_headers().get("content-type");
    kinds.into_iter().next().unwrap_or_else(|| b"application/octet-stream".to_vec())
}

/// Copies the request body back through this component's memory as it arrives.
fn echo(request: Request) -> Response {
    let kind = content_type(&request);
    let (mut input, _trailers) = Request::consume_body(request, done());
    let (response, mut output) = Reply::new().header("content-type", &kind).stream();
    wasip3::spawn_local(async move {
        let mut buffer = Vec::with_capacity(CHUNK);
        loop {
            let (result, chunk) = input.read(buffer).await;
            let ended = !matches!(result, StreamResult::Complete(_));
            buffer = output.write_all(chunk).await;
            // What is left is what the client did not want any more.
            if ended || !buffer.is_empty() {
                return;
            }
            buffer.reserve_exact(CHUNK);
        }
    });
    response
}

/// Writes its whole body before it hands the response over.
async fn written_first() -> Response {
    let (response, mut output) = Reply::new().stream();
    let _unread = output.write_all(b"written first\n".to_vec()).await;
    response
}

/// Lets go of a response whose body it has begun, and says what became of the rest of it.
async fn second_thoughts() -> Response {
    let (response, mut output) = Reply::new().stream();
    let begun = output.write_all(b"begun".to_vec()).await.is_empty();
    drop(response);
    let rest = output.write_all(vec![b'.'; 2 * CHUNK]).await;
    Reply::new().text(&format!("begun: {begun}, refused: {}\n", rest.len()))
}

/// Hands the request body back as the response body: the bytes never enter this component.
fn pipe(request: Request) -> Response {
    let kind = content_type(&request);
    let (input, trailers) = Request::consume_body(request, done());
    let headers = Fields::new();
    headers.append("content-type", &kind).expect("a well formed header");
    Response::new(headers, Some(input), trailers).0
}

/// Answers with the request's trailers in the body, and with trailers of its own.
async fn trailers(request: Request) -> Response {
    let (input, trailers) = Request::consume_body(request, done());
    let bytes = input.collect().await.len();
    let mut text = format!("body: {bytes} bytes\n");
    if let Ok(Some(fields)) = trailers.await {
        for (name, value) in fields.copy_all() {
            text.push_str(&format!("trailer {name}: {}\n", String::from_utf8_lossy(&value)));
        }
    }
    Reply::new().header("trailer", b"x-checksum").text_with_trailers(text, move || {
        let fields = Fields::new();
        fields.append("x-checksum", format!("{bytes}").as_bytes()).expect("a well formed trailer");
        fields
    })
}

/// Streams this many MiB of the letter `x`.
fn big(mebibytes: u64) -> Response {
    let (response, mut output) = Reply::new().stream();
    wasip3::spawn_local(async move {
        for _ in 0..mebibytes * 16 {
            if !output.write_all(vec![b'x'; CHUNK]).await.is_empty() {
                return; // the client has gone
            }
        }
    });
    response
}

/// Sends half a body, lets it leave, then traps.
fn trap_mid_body() -> Response {
    let (response, mut output) = Reply::new().stream();
    wasip3::spawn_local(async move {
        let _unread = output.write_all(b"the first half\n".to_vec()).await;
        monotonic_clock::wait_for(50_000_000).await;
        core::arch::wasm32::unreachable();
    });
    response
}
