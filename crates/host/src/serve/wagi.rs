//! A WASI 0.1 command as a CGI-style handler: one fresh instance a request, the body on standard
//! input, the answer from standard output.

use std::{sync::Arc, time::Duration};

use http::{Method, Request, Response};
use http_body::Body as _;
use http_body_util::BodyExt as _;
use reef_app::HttpTrigger;
use reef_engine::{Background, Paced, within};
use reef_http::{Peer, RequestBody, ResponseBody};
use reef_wagi::{Progress, RequestFacts, ResponseParser};
use reef_wasi::{ModuleGuest, Stdio};
use tokio::task::AbortHandle;
use tokio_util::io::StreamReader;
use wasmtime::{InstancePre, Store};
use wasmtime_wasi::cli::{AsyncStdinStream, StdinStream};

use super::{
    answer::{Announced, Exchange, Source, Streamed},
    dispatch::{Named, finish},
};
use crate::{
    Failure, Workload,
    failure::Trap,
    pipe::{Pipe, PipeBody, Reader},
};

/// A workload that answers as a CGI script does.
pub(super) struct Wagi {
    workload: Arc<Workload>,
    pre: InstancePre<ModuleGuest>,
    route: String,
    /// The function that is called.
    entrypoint: Arc<str>,
    argv: Option<String>,
    background: Arc<Background>,
}

/// The guest's task; ends with whoever waits for it.
pub(super) struct Running {
    task: AbortHandle,
    reader: Arc<Reader>,
    wanted: bool,
}

// === impl Wagi ===

impl Wagi {
    pub(super) fn new(
        workload: Arc<Workload>,
        pre: InstancePre<ModuleGuest>,
        trigger: &HttpTrigger,
        background: Arc<Background>,
    ) -> Self {
        let entrypoint = trigger.entrypoint.as_deref().unwrap_or("_start").into();
        let (route, argv) = (trigger.route.path(), trigger.argv.clone());
        Self { workload, pre, route, entrypoint, argv, background }
    }

    pub(super) async fn answer(
        &self,
        request: Request<RequestBody>,
        rest: usize,
        peer: Peer,
        deadline: Option<Duration>,
        mut exchange: Exchange,
    ) -> Result<Response<ResponseBody>, Box<(Failure, Exchange)>> {
        let name = self.workload.name().clone();
        let is_head = request.method() == Method::HEAD;
        let running = match self.start(request, rest, peer) {
            Ok(running) => running,
            Err(failure) => return Err(Box::new((failure, exchange))),
        };
        let reader = running.reader.clone();
        let head = match within(deadline, exchange.start, read_head(&reader)).await {
            Ok(Ok(head)) => head,
            Ok(Err(error)) => {
                let no_answer = || Failure::NoAnswer { workload: name, reason: error.to_string() };
                let failure = reader.failure().unwrap_or_else(no_answer);
                return Err(Box::new((failure, exchange)));
            }
            Err(passed) => {
                return Err(Box::new((Failure::Deadline { workload: name, passed }, exchange)));
            }
        };
        exchange.status = head.status;
        let (mut parts, ()) = Response::new(()).into_parts();
        parts.status = head.status;
        parts.headers = head.headers;
        let announced = Announced::of(&parts, is_head);
        let body = Streamed::new(PipeBody(reader), announced, running, deadline, exchange);
        finish(self, parts, body).await
    }

    fn start(
        &self,
        request: Request<RequestBody>,
        rest: usize,
        peer: Peer,
    ) -> Result<Running, Failure> {
        let (head, body) = request.into_parts();
        let host = peer.local.to_string();
        let path = head.uri.path();
        let facts = RequestFacts {
            method: &head.method,
            uri: &head.uri,
            version: head.version,
            headers: &head.headers,
            content_length: body.size_hint().exact(),
            client: peer.remote.ip(),
            route: &self.route,
            path_info: path.get(path.len().saturating_sub(rest)..).unwrap_or_default(),
            default_host: &host,
            tls: peer.tls,
        };
        let env = reef_wagi::environment(&facts);
        let args = reef_wagi::arguments(self.argv.as_deref(), &facts);
        let stdin =
            StreamReader::new(Box::pin(body.map_err(std::io::Error::other).into_data_stream()));
        let entrypoint = self.entrypoint.clone();
        let stdin = Box::new(AsyncStdinStream::new(stdin));
        launch(&self.workload, &self.pre, &self.background, entrypoint, (&args, &env), stdin)
    }
}

/// Starts a module's function in an instance of its own; what it prints is read from what is returned.
pub(super) fn launch(
    workload: &Arc<Workload>,
    pre: &InstancePre<ModuleGuest>,
    background: &Arc<Background>,
    entrypoint: Arc<str>,
    (args, env): (&[String], &[(String, String)]),
    stdin: Box<dyn StdinStream>,
) -> Result<Running, Failure> {
    let (pipe, reader) = Pipe::new();
    let stdio = Stdio::Piped { stdin, stdout: Box::new(pipe.clone()) };
    let world = &workload.world;
    let guest = world.module(args, env, stdio)?;
    let (store, activity) = workload.engine.store(workload.flavour, world.share(), guest)?;
    workload.meter().instance_created();
    let run = run(pre.clone(), store, pipe, workload.clone(), entrypoint);
    let task = tokio::spawn(Paced::new(activity, Some(background.clone()), run));
    Ok(Running { task: task.abort_handle(), reader: Arc::new(reader), wanted: true })
}

impl Named for Wagi {
    fn name(&self) -> &Arc<str> {
        self.workload.name()
    }
}

async fn run(
    pre: InstancePre<ModuleGuest>,
    mut store: Store<ModuleGuest>,
    pipe: Pipe,
    workload: Arc<Workload>,
    entrypoint: Arc<str>,
) {
    // Told before the store is dropped; also when this task is cut off.
    let ending = Ending(pipe);
    let mut started = false;
    let called = async {
        let instance = pre.instantiate_async(&mut store).await?;
        let start = instance.get_typed_func::<(), ()>(&mut store, &entrypoint)?;
        started = true;
        start.call_async(&mut store, ()).await
    }
    .await;
    let Err(error) = called else { return ending.0.end(true) };
    if let Some(status) = Trap::exit_status(&error) {
        if status != 0 {
            let workload = &**workload.name();
            tracing::warn!(workload, status, "The handler exited with an error.");
        }
        return ending.0.end(true);
    }
    let cause = Trap::new(error, Some(store.data().limits()));
    let name = workload.name().clone();
    if started {
        workload.meter().trap();
        let failure = Failure::Trapped { workload: name, cause };
        tracing::warn!("{failure}");
        ending.0.fail(failure);
    } else {
        ending.0.fail(Failure::Instantiate { workload: name, cause });
    }
}

async fn read_head(reader: &Reader) -> Result<reef_wagi::ResponseHead, reef_wagi::Error> {
    let mut parser = ResponseParser::new();
    while let Some(mut piece) = reader.next().await {
        match parser.feed(&piece)? {
            Progress::NeedMore => {}
            Progress::Head { head, body_start } => {
                reader.unread(piece.split_off(body_start));
                return Ok(head);
            }
        }
    }
    parser.finish()?;
    Err(reef_wagi::Error::Empty)
}

struct Ending(Pipe);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.end(false);
    }
}

// === impl Running ===

impl Running {
    /// Where what it prints is read.
    pub(super) fn reader(&self) -> Arc<Reader> {
        self.reader.clone()
    }

    /// Whatever it still does is its own affair.
    pub(super) fn done(&mut self) {
        self.wanted = false;
    }
}

impl Source for Running {
    fn failed(&self) -> bool {
        self.reader.failed()
    }

    fn complete(&mut self) {
        self.wanted = false;
    }

    fn announced(&mut self) {
        // Nothing but its request limits how long it goes on.
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.wanted {
            self.task.abort();
        }
    }
}
