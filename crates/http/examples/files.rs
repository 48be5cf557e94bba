//! A folder's files alone, to compare with other servers.
//!
//! `files FOLDER [ADDR] [WORKERS] [ACCESS-LOG]`, then `wrk -t2 -c32 -d5 http://ADDR/NAME`.
#![allow(clippy::unwrap_used, reason = "a benchmark ends when anything fails")]

use std::net::SocketAddr;
use std::sync::Arc;

use reef_http::{
    AccessLog, FileOptions, HandlerFn, LogFormat, LogTarget, Server, ServerConfig, StaticFiles,
    Workers,
};

fn main() {
    let mut args = std::env::args().skip(1);
    let folder = args.next().unwrap_or_else(|| ".".into());
    let addr: SocketAddr = args.next().as_deref().unwrap_or("127.0.0.1:8080").parse().unwrap();
    let workers: usize = args.next().as_deref().unwrap_or("2").parse().unwrap();
    let files = StaticFiles::open(folder, FileOptions::default()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let workers = Workers::start(workers, "worker").unwrap();
    let mut server = Server::bind(ServerConfig::new(addr), &workers).unwrap();
    if let Some(path) = args.next() {
        let log = AccessLog::open(LogTarget::File(path.into()), LogFormat::Json).unwrap();
        server = server.with_access_log(log);
    }
    let handler = HandlerFn(move |request: http::Request<_>, _peer| {
        let path = request.uri().path().to_owned();
        files.answer(&request, &path)
    });
    let ended = runtime.block_on(async {
        server.serve(Arc::new(handler), async { tokio::signal::ctrl_c().await.unwrap() }).await
    });
    println!("{:?}", ended.unwrap());
}
