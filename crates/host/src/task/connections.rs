//! Connections: each has a run of its own, whose standard input and output it is.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::{Duration, Instant},
};

use reef_http::Workers;
use reef_wasi::Stdio;
use tokio::{
    io::{AsyncRead, AsyncWriteExt as _, ReadBuf},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::Semaphore,
    task::JoinSet,
};
use wasmtime_wasi::cli::AsyncStdinStream;

use super::Run;
use crate::pipe::{Ending, Pipe, Reader};

/// A pause when the system gives no connection: too many open files, for example.
const PAUSE: Duration = Duration::from_millis(100);

/// Takes connections, `most` at once, until it is stopped, and none from then on; then waits for those
/// that are open.
pub(super) async fn take(
    run: Run,
    listener: std::net::TcpListener,
    idle: Duration,
    most: usize,
    workers: &Workers,
) {
    let workload = run.workload.name().clone();
    let listener = match TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => {
            tracing::error!(workload = &*workload, %error, "Connections cannot be taken.");
            return;
        }
    };
    let places = Arc::new(Semaphore::new(most));
    let mut open = JoinSet::new();
    loop {
        // Those who come when there is no place wait in the system's queue.
        let accepted = async {
            let place = places.clone().acquire_owned().await;
            (place, listener.accept().await)
        };
        tokio::select! {
            // Once it is stopped, who comes is for the one that follows at the same listener.
            biased;
            () = run.stopped() => break,
            Some(_) = open.join_next() => {}
            (place, accepted) = accepted => match accepted {
                Ok((stream, peer)) => {
                    let run = run.clone();
                    let serving = async move {
                        serve(run, stream, peer, idle).await;
                        drop(place);
                    };
                    open.spawn_on(serving, workers.handle(super::quietest(workers)));
                }
                Err(error) => {
                    tracing::warn!(workload = &*workload, %error, "A connection could not be taken.");
                    tokio::time::sleep(PAUSE).await;
                }
            },
        }
    }
    drop(listener);
    while open.join_next().await.is_some() {}
}

async fn serve(run: Run, stream: TcpStream, peer: SocketAddr, idle: Duration) {
    let name = run.workload.name().clone();
    tracing::debug!(workload = &*name, %peer, "Connected.");
    // A person types, and waits for each answer.
    let _ = stream.set_nodelay(true);
    // Accepted elsewhere: it belongs to the runtime that serves it from here on.
    let stream = match stream.into_std().and_then(TcpStream::from_std) {
        Ok(stream) => stream,
        Err(error) => {
            return tracing::warn!(workload = &*name, %peer, %error, "The connection failed.");
        }
    };
    let (read, write) = stream.into_split();
    let active = Arc::new(Active::new());
    let (pipe, reader) = Pipe::new();
    let stdin = AsyncStdinStream::new(Watched { read, active: active.clone() });
    let stdio = Stdio::Piped { stdin: Box::new(stdin), stdout: Box::new(pipe.clone()) };
    let guest = async move {
        // Told also when this is dropped.
        let _ending = Ending(pipe);
        run.once(stdio).await
    };
    let out = send(reader, write, active.clone());
    let both = futures::future::join(guest, out);
    tokio::select! {
        _ = both => {}
        () = silent(active, idle) => {
            tracing::info!(workload = &*name, %peer, idle = idle.as_secs_f64(), "The connection was silent and is closed.");
        }
    }
    tracing::debug!(workload = &*name, %peer, "Disconnected.");
}

async fn send(reader: Reader, mut write: OwnedWriteHalf, active: Arc<Active>) {
    while let Some(piece) = reader.next().await {
        if write.write_all(&piece).await.is_err() {
            // Nobody reads: whatever the guest still writes is not wanted.
            return;
        }
        active.touch();
    }
    let _ = write.shutdown().await;
}

/// When something last went over a connection.
struct Active {
    start: Instant,
    millis: AtomicU64,
}

impl Active {
    fn new() -> Self {
        Self { start: Instant::now(), millis: AtomicU64::new(0) }
    }

    fn touch(&self) {
        let millis = u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.millis.store(millis, Ordering::Relaxed);
    }
}

/// Resolves when nothing went over a connection for so long.
async fn silent(active: Arc<Active>, idle: Duration) {
    loop {
        let last = active.start + Duration::from_millis(active.millis.load(Ordering::Relaxed));
        let left = idle.saturating_sub(last.elapsed());
        if left.is_zero() {
            return;
        }
        tokio::time::sleep(left).await;
    }
}

/// What a client sends, and when.
struct Watched {
    read: OwnedReadHalf,
    active: Arc<Active>,
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.read).poll_read(cx, buffer);
        if read.is_ready() {
            self.active.touch();
        }
        read
    }
}
