//! Workers of Wasm Workers Server: a request as JSON on standard input, a response as JSON on standard
//! output, in a fresh instance each.

use std::{io, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use reef_engine::{Background, within};
use reef_http::{Peer, RequestBody, ResponseBody, request_host};
use reef_workers::{Request as Json, Site, Worker};
use wasmtime::InstancePre;
use wasmtime_wasi::cli::AsyncStdinStream;

use reef_wasi::ModuleGuest;

use super::{answer::Exchange, entries::SharedEntries, wagi::launch};
use crate::{Failure, Workload, pipe::Reader};

/// Bytes of a request's body: all of it goes into one piece of JSON.
const LARGEST_REQUEST: usize = 16 << 20;
/// Bytes of a worker's output.
const LARGEST_RESPONSE: usize = 64 << 20;

/// A workload that answers as a worker does.
pub(super) struct Workers {
    workload: Arc<Workload>,
    pre: InstancePre<ModuleGuest>,
    /// Knows the parameters of its paths.
    worker: Option<Worker>,
    /// Arguments of a runtime that evaluates the script with each request.
    args: Vec<String>,
    entries: Option<SharedEntries>,
    background: Arc<Background>,
}

impl Workers {
    /// `file`: the worker's, from its site on.
    pub(super) fn new(
        workload: Arc<Workload>,
        pre: InstancePre<ModuleGuest>,
        file: Option<&str>,
        args: Vec<String>,
        entries: Option<SharedEntries>,
        background: Arc<Background>,
    ) -> Self {
        let worker = Site::of(file).workers.pop();
        Self { workload, pre, worker, args, entries, background }
    }

    pub(super) async fn answer(
        &self,
        request: Request<RequestBody>,
        peer: Peer,
        deadline: Option<Duration>,
        mut exchange: Exchange,
    ) -> Result<Response<ResponseBody>, Box<(Failure, Exchange)>> {
        let name = self.workload.name().clone();
        let start = exchange.start;
        let asked = match within(deadline, start, self.ask(request, peer)).await {
            Ok(Ok(asked)) => asked,
            Ok(Err(failed)) => return Err(Box::new((failed, exchange))),
            Err(passed) => {
                return Err(Box::new((Failure::Deadline { workload: name, passed }, exchange)));
            }
        };
        let response = match asked {
            Asked::Answered(response) => response,
            Asked::Refused(status) => {
                exchange.status = status;
                let mut response = Response::new(ResponseBody::empty());
                *response.status_mut() = status;
                return Ok(response);
            }
        };
        if let Some(dropped) = response.dropped.first() {
            tracing::debug!(workload = &*name, %dropped, "A header of the worker is the host's to set.");
        }
        exchange.status = response.status;
        let mut answer = Response::new(ResponseBody::full(response.body));
        *answer.status_mut() = response.status;
        *answer.headers_mut() = response.headers;
        Ok(answer)
    }

    async fn ask(&self, request: Request<RequestBody>, peer: Peer) -> Result<Asked, Failure> {
        let (head, body) = request.into_parts();
        let path = Site::normal(head.uri.path());
        let parameters = match &self.worker {
            None => Some(Default::default()),
            Some(worker) => worker.parameters(&path),
        };
        let Some(parameters) = parameters else {
            return Ok(Asked::Refused(http::StatusCode::NOT_FOUND));
        };
        let head = Request::from_parts(head, ());
        let body = match Limited::new(body, LARGEST_REQUEST).collect().await {
            Ok(body) => body.to_bytes(),
            Err(error) if error.is::<LengthLimitError>() => {
                return Ok(Asked::Refused(http::StatusCode::PAYLOAD_TOO_LARGE));
            }
            Err(_) => return Ok(Asked::Refused(http::StatusCode::BAD_REQUEST)),
        };
        let scheme = if peer.tls { "https" } else { "http" };
        let local = peer.local.to_string();
        let host = request_host(&head).unwrap_or(&local);
        let target = head.uri().path_and_query().map_or("/", |target| target.as_str());
        let url = format!("{scheme}://{host}{target}");
        let mut json = Json::new(url, head.method(), head.headers(), body.into());
        json.parameters = parameters;
        let no_answer =
            |reason: String| Failure::NoAnswer { workload: self.workload.name().clone(), reason };
        if let Some(entries) = &self.entries {
            json.entries =
                entries.load().await.map_err(|failure| no_answer(failure.to_string()))?;
        }
        let before = json.entries.clone();
        let stdin = AsyncStdinStream::new(io::Cursor::new(json.to_json()));
        let (workload, pre) = (&self.workload, &self.pre);
        let entrypoint = "_start".into();
        let mut running = launch(
            workload,
            pre,
            &self.background,
            entrypoint,
            (&self.args, &[]),
            Box::new(stdin),
        )?;
        let reader = running.reader();
        let output = read(&reader).await;
        // It has said all that it has to say.
        running.done();
        if let Some(failure) = reader.failure() {
            return Err(failure);
        }
        let output = output.ok_or_else(|| no_answer("its answer is too large".to_owned()))?;
        let response = reef_workers::Response::from_json(&output)
            .map_err(|error| no_answer(error.to_string()))?;
        if let (Some(entries), Some(after)) = (&self.entries, &response.entries) {
            let stored = entries.store(&before, after).await;
            stored.map_err(|failure| no_answer(failure.to_string()))?;
        }
        Ok(Asked::Answered(response))
    }
}

enum Asked {
    Answered(reef_workers::Response),
    Refused(http::StatusCode),
}

/// All that comes; `None` if that is too much.
async fn read(reader: &Reader) -> Option<Vec<u8>> {
    let mut output = Vec::new();
    while let Some(piece) = reader.next().await {
        let piece: Bytes = piece;
        if output.len() + piece.len() > LARGEST_RESPONSE {
            return None;
        }
        output.extend_from_slice(&piece);
    }
    Some(output)
}
