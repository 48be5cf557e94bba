//! "hello" from this crate and from hyper alone, to compare what the server front costs.
//!
//! `bare reef [ADDR] [WORKERS]`, `bare hyper [ADDR] [WORKERS]` (a thread per core, like ours), or
//! `bare hyper-pool [ADDR] [WORKERS]` (tokio's work-stealing threads). Then
//! `wrk -t2 -c32 -d5 http://ADDR/`.
#![allow(clippy::unwrap_used, reason = "a benchmark ends when anything fails")]

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::Response;
use http_body_util::Full;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use reef_http::{HandlerFn, ResponseBody, Server, ServerConfig, Workers};

const HELLO: &[u8] = b"Hello, world!\n";

fn main() {
    let mut args = std::env::args().skip(1);
    let mode = args.next().unwrap_or_else(|| "reef".into());
    let addr: SocketAddr = args.next().as_deref().unwrap_or("127.0.0.1:8080").parse().unwrap();
    let workers: usize = args.next().as_deref().unwrap_or("2").parse().unwrap();
    match mode.as_str() {
        "reef" => reef(addr, workers),
        "hyper" => hyper_per_core(addr, workers),
        "hyper-pool" => hyper_pool(addr, workers),
        other => eprintln!("reef, hyper or hyper-pool, not {other}"),
    }
}

fn reef(addr: SocketAddr, workers: usize) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let workers = Workers::start(workers, "worker").unwrap();
    let server = Server::bind(ServerConfig::new(addr), &workers).unwrap();
    let handler = HandlerFn(|_request, _peer| async {
        Response::new(ResponseBody::full(Bytes::from_static(HELLO)))
    });
    let ended = runtime.block_on(async {
        server.serve(Arc::new(handler), async { tokio::signal::ctrl_c().await.unwrap() }).await
    });
    println!("{:?}", ended.unwrap());
}

async fn hello<B>(_request: http::Request<B>) -> Result<Response<Full<Bytes>>, Infallible> {
    Ok(Response::new(Full::new(Bytes::from_static(HELLO))))
}

async fn connection(stream: tokio::net::TcpStream) {
    stream.set_nodelay(true).unwrap();
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(hello)).await;
}

fn hyper_per_core(addr: SocketAddr, workers: usize) {
    let workers = Workers::start(workers, "worker").unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind(addr).await.unwrap();
        for next in 0.. {
            let stream = listener.accept().await.unwrap().0.into_std().unwrap();
            workers.spawn_on(next, async move {
                connection(tokio::net::TcpStream::from_std(stream).unwrap()).await;
            });
        }
    });
}

fn hyper_pool(addr: SocketAddr, workers: usize) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(workers)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind(addr).await.unwrap();
        loop {
            tokio::spawn(connection(listener.accept().await.unwrap().0));
        }
    });
}
