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
    addr: SocketAddr,
    folder: TempDir,
    /// Whatever it does ends with this.
    runtime: Option<Runtime>,
}

impl S3 {
    pub(super) fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join(BUCKET)).unwrap();
        let (addr, runtime) = serve((Ipv4Addr::LOCALHOST, 0).into(), folder.path());
        Self { addr, folder, runtime: Some(runtime) }
    }

    /// What a link to it says.
    pub(super) fn settings(&self) -> String {
        format!(
            "backend = 's3', endpoint = 'http://{}', s3-bucket = '{BUCKET}', access-key = '{KEY}', \
             secret-key = '{SECRET}', part-size = '5MiB', timeout = '2s'",
            self.addr
        )
    }

    /// Ends it in the middle of whatever it does, connections and all.
    pub(super) fn kill(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_timeout(Duration::from_secs(10));
        }
    }

    /// It is there again, at the same address and with the same folder.
    pub(super) fn start_again(&mut self) {
        self.runtime = Some(serve(self.addr, self.folder.path()).1);
    }
}

fn serve(addr: SocketAddr, folder: &Path) -> (SocketAddr, Runtime) {
    let runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = { runtime }.worker_threads(2).enable_all().build().unwrap();
    let mut service = S3ServiceBuilder::new(s3s_fs::FileSystem::new(folder).unwrap());
    service.set_auth(SimpleAuth::from_single(KEY, SECRET));
    let service = service.build();
    let listener = runtime.block_on(async {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_reuseaddr(true).unwrap();
        socket.bind(addr).unwrap();
        socket.listen(128).unwrap()
    });
    let addr = listener.local_addr().unwrap();
    runtime.spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let service = service.clone();
            tokio::spawn(async move {
                let server = http1::Builder::new();
                let _ = server.serve_connection(TokioIo::new(stream), service).await;
            });
        }
    });
    (addr, runtime)
}
