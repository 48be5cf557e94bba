//! A server of S3's protocol that keeps objects in a folder.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    time::Duration,
};

use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use s3s::{auth::SimpleAuth, service::S3ServiceBuilder};
use tempfile::TempDir;
use tokio::{net::TcpSocket, runtime::Runtime};

const BUCKET: &str = "reef";
const KEY: &str = "reef-access";
pub(super) const SECRET: &str = "open-sesame";

/// A server with one bucket.
pub(super) struct S3 {
    /// Bound and never listening: nobody else is given its port while the server is away.
    held: TcpSocket,
    folder: TempDir,
    /// Whatever it does ends with this.
    runtime: Option<Runtime>,
}

impl S3 {
    pub(super) fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join(BUCKET)).unwrap();
        let held = bound((Ipv4Addr::LOCALHOST, 0).into());
        let runtime = Some(serve(held.local_addr().unwrap(), folder.path()));
        Self { held, folder, runtime }
    }

    /// What a link to it says.
    pub(super) fn settings(&self) -> String {
        format!(
            "backend = 's3', endpoint = 'http://{}', s3-bucket = '{BUCKET}', access-key = '{KEY}', \
             secret-key = '{SECRET}', part-size = '5MiB', timeout = '20s'",
            self.addr()
        )
    }

    fn addr(&self) -> SocketAddr {
        self.held.local_addr().unwrap()
    }

    /// Ends it in the middle of whatever it does, connections and all.
    pub(super) fn kill(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_timeout(Duration::from_secs(10));
        }
    }

    /// It is there again, at the same address and with the same folder.
    pub(super) fn start_again(&mut self) {
        self.runtime = Some(serve(self.addr(), self.folder.path()));
    }
}

/// A socket at an address that others may be bound to as well, as long as none of them listens.
fn bound(addr: SocketAddr) -> TcpSocket {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_reuseaddr(true).unwrap();
    socket.bind(addr).unwrap();
    socket
}

fn serve(addr: SocketAddr, folder: &Path) -> Runtime {
    let runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = { runtime }.worker_threads(2).enable_all().build().unwrap();
    let mut service = S3ServiceBuilder::new(s3s_fs::FileSystem::new(folder).unwrap());
    service.set_auth(SimpleAuth::from_single(KEY, SECRET));
    let service = service.build();
    let listener = runtime.block_on(async { bound(addr).listen(128).unwrap() });
    runtime.spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let service = service.clone();
            tokio::spawn(async move {
                let server = http1::Builder::new();
                let _ = server.serve_connection(TokioIo::new(stream), service).await;
            });
        }
    });
    runtime
}
