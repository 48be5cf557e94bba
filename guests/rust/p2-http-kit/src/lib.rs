//! One WASI 0.2 HTTP component with a route for each behaviour that a server must cope with: good
//! ones (echo, headers, trailers, streaming) and bad ones (loops, memory bombs, traps, silence).
//! `p3-http-kit` has the same routes for WASI 0.3.

mod outbound;
mod query;
mod reply;
mod trouble;

use std::sync::atomic::{AtomicU64, Ordering};

use wasip2::clocks::monotonic_clock;
use wasip2::http::types::{Fields, IncomingBody, IncomingRequest, Method, ResponseOutparam};

use query::Query;
use reply::Reply;

struct Kit;

wasip2::http::proxy::export!(Kit);

/// Requests that this instance has had: above one, the instance was reused.
static SERVED: AtomicU64 = AtomicU64::new(0);

impl wasip2::exports::http::incoming_handler::Guest for Kit {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        let served = SERVED.fetch_add(1, Ordering::Relaxed) + 1;
        let target = request.path_with_query().unwrap_or_else(|| "/".to_owned());
        let (path, query) = target.split_once('?').unwrap_or((&target, ""));
        let query = Query::parse(query);
        // Wherever it is mounted.
        let path = path.rfind('/').map_or(path, |slash| &path[slash..]);

        match path {
            "/" => Reply::new(out).text("http kit, WASI 0.2\n"),
            "/count" => Reply::new(out).text(&format!("{served}\n")),
            "/status" => {
                Reply::new(out).status(query.number("code", 200) as u16).text("as asked\n")
            }
            "/headers" => Reply::new(out).text(&describe(&request)),
            "/env" => Reply::new(out).text(&environment()),
            "/stdout" => {
                println!("a line on standard output");
                eprintln!("a line on standard error");
                Reply::new(out).text("printed\n");
            }
            "/echo" => echo(&request, out),
            "/trailers" => trailers(&request, out),
            "/big" => big(out, query.number("mb", 1)),
            "/sleep" => {
                monotonic_clock::subscribe_duration(query.number("ms", 100) * 1_000_000).block();
                Reply::new(out).text("awake\n");
            }
            "/outbound" => match query.get("url") {
                Some(url) => outbound::fetch(url, out),
                None => Reply::new(out).status(400).text("say which: ?url=http://host/\n"),
            },
            "/upload" => match query.get("url") {
                Some(url) => outbound::upload(url, query.get("then").unwrap_or_default(), out),
                None => Reply::new(out).status(400).text("say which: ?url=http://host/\n"),
            },
            "/burn" => {
                trouble::burn(query.number("ms", 100));
                Reply::new(out).text("burnt\n");
            }
            "/spin" => trouble::spin(),
            "/alloc" => {
                let got = trouble::take_memory(query.number("mb", 16));
                Reply::new(out).text(&format!("{got} MiB\n"));
            }
            "/stack" => {
                let depth = trouble::descend(served);
                Reply::new(out).text(&format!("{depth}\n"));
            }
            "/trap" => core::arch::wasm32::unreachable(),
            "/panic" => panic!("asked to panic"),
            "/trap-mid-body" => {
                let stream = Reply::new(out).start();
                stream.write_all(b"the first half\n");
                stream.flush();
                // Time for the first half to leave.
                monotonic_clock::subscribe_duration(50_000_000).block();
                core::arch::wasm32::unreachable();
            }
            "/never" => loop {
                // Holds the outparam, so that the host can only wait.
                let _held = &out;
                monotonic_clock::subscribe_duration(3_600_000_000_000).block();
            },
            "/no-response" => drop(out),
            _ => Reply::new(out).status(404).text("no such route\n"),
        }
    }
}

/// The request line and headers as the host handed them over, one a line.
fn describe(request: &IncomingRequest) -> String {
    let mut text = format!(
        "method: {}\npath: {}\nscheme: {:?}\nauthority: {}\n",
        method_name(&request.method()),
        request.path_with_query().unwrap_or_default(),
        request.scheme(),
        request.authority().unwrap_or_default(),
    );
    for (name, value) in request.headers().entries() {
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

/// Streams the request body back as it arrives, in constant memory.
fn echo(request: &IncomingRequest, out: ResponseOutparam) {
    let kind = request.headers().get("content-type").into_iter().next();
    let incoming = request.consume().expect("the body is taken once");
    let input = incoming.stream().expect("the stream is taken once");
    let kind = kind.unwrap_or_else(|| b"application/octet-stream".to_vec());
    let output = Reply::new(out).header("content-type", &kind).start();
    while let Ok(chunk) = input.blocking_read(64 << 10) {
        if !output.write_all(&chunk) {
            return;
        }
        output.flush();
    }
    drop(input);
    drop(IncomingBody::finish(incoming));
    output.finish(None);
}

/// Answers with the request's trailers in the body, and with trailers of its own.
fn trailers(request: &IncomingRequest, out: ResponseOutparam) {
    let incoming = request.consume().expect("the body is taken once");
    let input = incoming.stream().expect("the stream is taken once");
    let mut bytes = 0;
    while let Ok(chunk) = input.blocking_read(64 << 10) {
        bytes += chunk.len();
    }
    drop(input);
    let future = IncomingBody::finish(incoming);
    future.subscribe().block();
    let mut text = format!("body: {bytes} bytes\n");
    if let Some(Ok(Ok(Some(fields)))) = future.get() {
        for (name, value) in fields.entries() {
            text.push_str(&format!("trailer {name}: {}\n", String::from_utf8_lossy(&value)));
        }
    }
    let output = Reply::new(out).header("trailer", b"x-checksum").start();
    output.write_all(text.as_bytes());
    let fields = Fields::new();
    fields.append("x-checksum", format!("{bytes}").as_bytes()).expect("a well formed trailer");
    output.finish(Some(fields));
}

/// Streams this many MiB of the letter `x`.
fn big(out: ResponseOutparam, mebibytes: u64) {
    let output = Reply::new(out).start();
    let block = [b'x'; 64 << 10];
    for _ in 0..mebibytes * 16 {
        if !output.write_all(&block) {
            return;
        }
    }
    output.finish(None);
}
