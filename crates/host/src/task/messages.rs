//! Messages: each is handled by an instance of its own.
//!
//! A component that exports `wasmcloud:messaging/handler` is called with it. A command has its body as
//! standard input, its subject as the first argument and both subjects in its environment; what it
//! writes is the answer, where one is wanted.

use std::{sync::Arc, time::Instant};

use bytes::Bytes;
use reef_artifact::{Kind, visible};
use reef_bus::{Bus, Message, Subscription};
use reef_engine::{Paced, within};
use reef_http::Workers;
use reef_wasi::{BrokerMessage, Lines, Stdio};
use tokio::{sync::Semaphore, task::JoinSet};
use wasmtime_wasi::p2::pipe::MemoryInputPipe;

use super::Run;
use crate::{
    Failure, Workload,
    command::{self, Given},
    pipe::{Ending, Pipe, Reader},
    workload::Linked,
};

/// The export, but for its version.
const HANDLER: &str = "wasmcloud:messaging/handler";
const FUNCTION: &str = "handle-message";
/// Bytes of a command's answer: as many as the bus carries where nobody says otherwise.
const LARGEST_ANSWER: usize = 1 << 20;
/// Characters of an error of the guest's own.
const LONGEST_REASON: usize = 2000;

/// How a workload handles messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Handler {
    /// By this export.
    Export(String),
    Command,
}

impl Handler {
    /// How it does, if it can.
    pub(crate) fn of(workload: &Workload) -> Option<Self> {
        let kinds = workload.kinds().iter();
        let exports = kinds.clone().find_map(|kind| match kind {
            // A version of other types is another interface.
            Kind::MessageHandler { version: Some(version) }
                if (version.major, version.minor) == (0, 2) =>
            {
                Some(Self::Export(format!("{HANDLER}@{version}")))
            }
            _ => None,
        });
        exports.or_else(|| {
            let mut kinds = kinds;
            kinds.any(|kind| matches!(kind, Kind::Command(_))).then_some(Self::Command)
        })
    }
}

/// Takes messages, `most` at once, until it is stopped; then waits for those that are handled. Those
/// that wait are for whoever took the subscription over; if nobody did, they are handled first.
pub(super) async fn take(
    run: Run,
    subscription: Subscription,
    bus: Arc<dyn Bus>,
    most: usize,
    workers: &Workers,
) {
    let Some(handler) = Handler::of(&run.workload) else { return };
    let mut taking = Taking { run, handler, bus, subscription, open: JoinSet::new() };
    let places = Arc::new(Semaphore::new(most.max(1)));
    let mut at = super::quietest(workers);
    loop {
        let next = async {
            let place = places.clone().acquire_owned().await;
            (place, taking.subscription.next().await)
        };
        tokio::select! {
            // First: what comes after this is for the next revision.
            biased;
            () = taking.run.stopped() => break,
            Some(_) = taking.open.join_next() => {}
            (place, message) = next => {
                let Some(message) = message else { break };
                taking.begin(message, place.ok(), workers, at);
                at += 1;
            }
        }
    }
    if taking.subscription.is_last() {
        taking.subscription.unsubscribe();
        while let Some(message) = taking.subscription.try_next() {
            let place = places.clone().acquire_owned().await.ok();
            taking.begin(message, place, workers, at);
            at += 1;
        }
    }
    while taking.open.join_next().await.is_some() {}
}

/// Messages that wait, and those that are handled. What is left of them when it is dropped is lost, and
/// that is said.
struct Taking {
    run: Run,
    handler: Handler,
    bus: Arc<dyn Bus>,
    subscription: Subscription,
    open: JoinSet<()>,
}

impl Taking {
    fn begin(
        &mut self,
        message: Message,
        place: Option<tokio::sync::OwnedSemaphorePermit>,
        workers: &Workers,
        worker: usize,
    ) {
        let (run, bus, handler) = (self.run.clone(), self.bus.clone(), self.handler.clone());
        let handling = async move {
            handle(run, &*bus, &handler, message).await;
            drop(place);
        };
        self.open.spawn_on(handling, workers.handle(worker));
    }
}

impl Drop for Taking {
    fn drop(&mut self) {
        let waiting = if self.subscription.is_last() { self.subscription.waiting() } else { 0 };
        // Ended ones may not have been looked at.
        while self.open.try_join_next().is_some() {}
        if waiting > 0 || !self.open.is_empty() {
            let (workload, open) = (&**self.run.workload.name(), self.open.len());
            let subject = self.subscription.interest().subject.as_str();
            tracing::warn!(
                workload,
                subject,
                waiting,
                in_progress = open,
                "Messages were given up: there was no more time for them."
            );
        }
    }
}

async fn handle(run: Run, bus: &dyn Bus, handler: &Handler, message: Message) {
    let begun = run.book.begun();
    let ended = match handler {
        Handler::Export(export) => call(&run, export, &message).await,
        Handler::Command => execute(&run, bus, &message).await,
    };
    begun.ended(&ended);
    let (workload, subject) = (&**run.workload.name(), message.subject());
    let meter = run.workload.meter();
    match &ended {
        Ok(0) => tracing::debug!(workload, subject, "The message was handled."),
        Ok(status) => {
            tracing::warn!(workload, subject, status, "The handler exited with an error.")
        }
        Err(failure) => {
            match failure {
                Failure::Trapped { .. } => meter.trap(),
                Failure::Deadline { .. } => meter.deadline_exceeded(),
                _ => {}
            }
            tracing::warn!(workload, subject, "{failure}");
        }
    }
}

/// Calls the export with a message.
async fn call(run: &Run, export: &str, message: &Message) -> Result<i32, Failure> {
    let (start, workload) = (Instant::now(), &run.workload);
    let name = workload.name().clone();
    let not_callable =
        |reason: String| Failure::NotCallable { workload: workload.name().clone(), reason };
    let Linked::Component(pre) = &workload.linked else {
        return Err(not_callable(format!("only components export `{export}`")));
    };
    let function = pre
        .component()
        .get_export_index(None, export)
        .and_then(|instance| pre.component().get_export_index(Some(&instance), FUNCTION))
        .ok_or_else(|| not_callable(format!("`{export}` has no function `{FUNCTION}`")))?;
    let mut guest = workload.world.component(&[name.to_string()], Stdio::Log)?;
    guest.set_reply_to(message.reply_to().map(str::to_owned));
    let (mut store, activity) =
        workload.engine.store(workload.flavour, workload.world.share(), guest)?;
    workload.meter().instance_created();
    let (pre, message) = (pre.clone(), BrokerMessage::from(message));
    let running = Box::pin(async move {
        let called = async {
            let instance = pre.instantiate_async(&mut store).await?;
            let function = instance
                .get_typed_func::<(BrokerMessage,), (Result<(), String>,)>(&mut store, &function)?;
            function.call_async(&mut store, (message,)).await
        }
        .await;
        match called {
            Ok((Ok(()),)) => Ok(0),
            Ok((Err(reason),)) => {
                let reason = visible(&reason, LONGEST_REASON);
                Err(Failure::Refused { workload: name, reason })
            }
            Err(error) => Failure::ended(error, store.data().limits(), name),
        }
    });
    let paced = Paced::new(activity, Some(run.background.clone()), running);
    match within(run.deadline, start, paced).await {
        Ok(Some(ended)) => ended,
        Ok(None) => Err(Failure::Shutdown { workload: workload.name().clone() }),
        Err(passed) => Err(Failure::Deadline { workload: workload.name().clone(), passed }),
    }
}

/// Runs the command with a message, and publishes what it wrote if that is wanted.
async fn execute(run: &Run, bus: &dyn Bus, message: &Message) -> Result<i32, Failure> {
    let name = run.workload.name();
    let args = vec![name.to_string(), message.subject().to_owned()];
    let mut env = vec![("REEF_SUBJECT".to_owned(), message.subject().to_owned())];
    let stdin = Box::new(MemoryInputPipe::new(message.body().clone()));
    let Some(reply_to) = message.reply_to() else {
        let stdout = Box::new(Lines::new(name.clone(), "stdout"));
        return start(run, Given { args, env, stdio: Stdio::Piped { stdin, stdout } }).await;
    };
    env.push(("REEF_REPLY_TO".to_owned(), reply_to.to_owned()));
    let (pipe, reader) = Pipe::new();
    let stdio = Stdio::Piped { stdin, stdout: Box::new(pipe.clone()) };
    let running = async {
        // Told also when this is dropped.
        let _ending = Ending(pipe);
        start(run, Given { args, env, stdio }).await
    };
    let (status, written) = futures::future::join(running, written(reader)).await;
    let status = status?;
    if status != 0 {
        return Ok(status);
    }
    let cannot = |reason: String| Failure::Output {
        output: format!("the answer of {name} to `{reply_to}`"),
        reason,
    };
    let body = written.ok_or_else(|| cannot(format!("it is over {LARGEST_ANSWER} bytes")))?;
    let answer = Message::new(reply_to, body).map_err(|error| cannot(error.to_string()))?;
    bus.publish(answer).await.map_err(|error| cannot(error.to_string()))?;
    Ok(0)
}

async fn start(run: &Run, given: Given) -> Result<i32, Failure> {
    run.workload.meter().instance_created();
    let background = Some(run.background.clone());
    let ended = command::run_with(run.workload.clone(), given, run.deadline, background).await;
    ended.map(|ended| ended.status)
}

/// What a command wrote, unless that is too much.
async fn written(reader: Reader) -> Option<Bytes> {
    let mut written = Vec::new();
    while let Some(piece) = reader.next().await {
        if written.len() + piece.len() > LARGEST_ANSWER {
            return None;
        }
        written.extend_from_slice(&piece);
    }
    Some(written.into())
}
