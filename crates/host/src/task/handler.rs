//! Handling what comes in: each message and each event by an instance of its own.
//!
//! A component is called by the export of one of these contracts: `wasmcloud:messaging/handler` 0.2, for
//! messages of every sort; Spin's for the sort that each is made for. A command has a message's body as
//! standard input, its subject as the first argument and both subjects in its environment; what it
//! writes is the answer, where one is wanted.

mod watcher;

use std::{future::poll_fn, time::Instant};

use bytes::Bytes;
use futures::{FutureExt as _, future::BoxFuture};
use reef_artifact::{Event, Kind, visible};
use reef_capability::Caller;
use reef_engine::{Paced, within};
use reef_messaging::{Answering, Message, Publisher};
use reef_wasi::{
    BrokerMessage, ComponentGuest, CronError, CronMetadata, Letter, MqttError, MqttMetadata,
    Redis1Error, Redis3Error, Stdio, StreamedMessage, Unhandled, WasiError,
};
use wasmtime::{
    Store,
    component::{
        ComponentExportIndex, ComponentNamedList, Instance, Lift, Lower, Resource, StreamReader,
    },
};
use wasmtime_wasi::{WasiView as _, p2::pipe::MemoryInputPipe};

pub(super) use self::watcher::handle_change;
use super::Run;
use crate::{
    Failure, Workload,
    command::{self, Given},
    pipe::{Ending, Pipe, Reader},
    workload::Linked,
};

/// Exports, but for their versions.
const MESSAGING: &str = "wasmcloud:messaging/handler";
const WASI: &str = "wasi:messaging/incoming-handler@0.2.0-draft";
const REDIS_1: &str = "fermyon:spin/inbound-redis";
const REDIS_3: &str = "spin:redis/inbound-redis@3.0.0";
/// Functions.
const MESSAGE: &str = "handle-message";
const CRON: &str = "handle-cron-event";
/// Bytes of a command's answer: as many as the bus carries where nobody says otherwise.
const LARGEST_ANSWER: usize = 1 << 20;
/// Characters of an error of the guest's own.
const LONGEST_REASON: usize = 2000;

/// What is to be handled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sort {
    /// A message of the bus.
    Message,
    /// A message of a Redis channel.
    Redis,
    /// A message of an MQTT topic.
    Mqtt,
    /// A time of the calendar.
    Cron,
    /// A change of a key-value store.
    Change,
}

/// How a workload handles it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Handler {
    /// By `wasmcloud:messaging/handler` 0.2, of this name.
    Messaging(String),
    /// The same of 0.3.
    Streamed(String),
    /// By `wasi:messaging/incoming-handler`.
    Wasi,
    /// By Spin's exports.
    Redis1,
    Redis3,
    Mqtt,
    Cron,
    /// By `wasi:keyvalue/watcher`, of this name.
    Watcher(&'static str),
    Command,
}

/// A message, wherever it is from.
#[derive(Clone, Debug)]
pub(super) struct Delivery {
    pub(super) subject: String,
    pub(super) body: Bytes,
    /// Names and values beside it.
    pub(super) headers: Vec<(String, String)>,
    /// Where it is answered, if that is wanted.
    pub(super) answers: Option<Answering>,
}

// === impl Sort ===

impl Sort {
    /// What can handle it, for people.
    pub(crate) fn wanted(self) -> &'static str {
        match self {
            Self::Message => {
                "messages go to a component that exports `wasmcloud:messaging/handler` 0.2 or to a \
                 command"
            }
            Self::Redis => {
                "messages of Redis go to a component that exports `fermyon:spin/inbound-redis`, \
                 `spin:redis/inbound-redis` 3.0.0 or `wasmcloud:messaging/handler` 0.2, or to a command"
            }
            Self::Mqtt => {
                "messages of MQTT go to a component that exports `handle-message` of Spin's world \
                 `spin-mqtt` or `wasmcloud:messaging/handler` 0.2, or to a command"
            }
            Self::Cron => {
                "times go to a command or to a component that exports `handle-cron-event` of Spin's \
                 world `spin-cron`"
            }
            Self::Change => {
                "changes of a store go to a component that exports `wasi:keyvalue/watcher` of 0.2.0-draft2 or 0.2.0-draft"
            }
        }
    }
}

// === impl Handler ===

impl Handler {
    /// How it does, if it can: by the contract that is made for the sort before others.
    pub(crate) fn of(workload: &Workload, sort: Sort) -> Option<Self> {
        if sort == Sort::Change {
            let Linked::Component(pre) = &workload.linked else { return None };
            let exports = |name: &&str| pre.component().get_export_index(None, name).is_some();
            return watcher::EXPORTS.into_iter().find(exports).map(Self::Watcher);
        }
        let kinds = || workload.kinds().iter();
        let handles = |event: Event| kinds().any(|kind| *kind == Kind::EventHandler(event));
        let own = match sort {
            Sort::Message => None,
            Sort::Redis if handles(Event::Redis) => redis(workload),
            Sort::Mqtt if handles(Event::Mqtt) => Some(Self::Mqtt),
            Sort::Cron if handles(Event::Cron) => Some(Self::Cron),
            _ => None,
        };
        let messaging = kinds().find_map(|kind| match kind {
            // A version of other types is another interface.
            Kind::MessageHandler { version: Some(version) } => {
                let name = format!("{MESSAGING}@{version}");
                match (version.major, version.minor) {
                    (0, 2) => Some(Self::Messaging(name)),
                    (0, 3) => Some(Self::Streamed(name)),
                    _ => None,
                }
            }
            _ => None,
        });
        let messaging = messaging.or_else(|| wasi(workload).then_some(Self::Wasi));
        own.or(messaging.filter(|_| sort != Sort::Cron)).or_else(|| {
            kinds().any(|kind| matches!(kind, Kind::Command(_))).then_some(Self::Command)
        })
    }
}

/// Whether it handles messages as WASI's draft has it.
fn wasi(workload: &Workload) -> bool {
    let Linked::Component(pre) = &workload.linked else { return false };
    pre.component().get_export_index(None, WASI).is_some()
}

/// Which of the two it exports: the newer one, if both.
fn redis(workload: &Workload) -> Option<Handler> {
    let Linked::Component(pre) = &workload.linked else { return None };
    let exports = |name: &str| pre.component().get_export_index(None, name).is_some();
    let all = [(REDIS_3, Handler::Redis3), (REDIS_1, Handler::Redis1)];
    all.into_iter().find_map(|(name, handler)| exports(name).then_some(handler))
}

/// Handles a message; what went wrong is in the book and in the log.
pub(super) async fn handle(
    run: &Run,
    handler: &Handler,
    message: Delivery,
) -> Result<i32, Failure> {
    let begun = run.book.begun();
    let subject = visible(&message.subject, 200);
    let ended = match handler {
        Handler::Messaging(export) => by_messaging(run, export, message).await,
        Handler::Streamed(export) => by_streamed(run, export, message).await,
        Handler::Wasi => by_wasi(run, message).await,
        Handler::Redis1 | Handler::Redis3 => by_redis(run, handler, message).await,
        Handler::Mqtt => by_mqtt(run, message).await,
        // No message is handled so.
        Handler::Cron | Handler::Watcher(_) => Ok(0),
        Handler::Command => execute(run, &message).await,
    };
    begun.ended(&ended);
    told(run, &ended, &subject, "The message was handled.");
    ended
}

/// Handles a time of the calendar, as [`handle`] does a message.
pub(super) async fn handle_time(run: &Run, timestamp: u64) {
    let begun = run.book.begun();
    let ended = async {
        let function = function(run, None, CRON)?;
        let params = (CronMetadata { timestamp },);
        let said = |(result,): (Result<(), CronError>,)| result.map_err(|error| error.to_string());
        call(run, function, params, None, said).await
    }
    .await;
    begun.ended(&ended);
    told(run, &ended, "", "The time was handled.");
}

fn told(run: &Run, ended: &Result<i32, Failure>, subject: &str, well: &str) {
    let (workload, meter) = (&**run.workload.name(), run.workload.meter());
    let subject = (!subject.is_empty()).then_some(subject);
    match ended {
        Ok(0) => tracing::debug!(workload, subject, "{well}"),
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

async fn by_messaging(run: &Run, export: &str, message: Delivery) -> Result<i32, Failure> {
    let function = function(run, Some(export), MESSAGE)?;
    let Delivery { subject, body, answers, .. } = message;
    let reply_to = answers.as_ref().map(|answers| answers.subject.clone());
    let message = BrokerMessage { subject, body: body.into(), reply_to };
    call(run, function, (message,), answers, |(result,): (Result<(), String>,)| result).await
}

async fn by_streamed(run: &Run, export: &str, message: Delivery) -> Result<i32, Failure> {
    let function = function(run, Some(export), MESSAGE)?;
    let Delivery { subject, body, answers, .. } = message;
    let reply_to = answers.as_ref().map(|answers| answers.subject.clone());
    let calling = move |mut store: Store<ComponentGuest>, instance: Instance| {
        async move {
            let called = async {
                let function = instance
                    .get_typed_func::<(StreamedMessage,), (Result<(), Unhandled>,)>(
                        &mut store, &function,
                    )?;
                let body = StreamReader::new(&mut store, Vec::from(body))?;
                let message = StreamedMessage { subject, body, reply_to };
                store
                    .run_concurrent(async |accessor| {
                        let (result,) = function.call_concurrent(accessor, (message,)).await?;
                        // What it does after its answer is a part of it.
                        poll_fn(|cx| accessor.poll_no_interesting_tasks(cx)).await;
                        wasmtime::error::Ok(result)
                    })
                    .await?
            };
            let called = called.await;
            let said = called.map(|result| {
                result.map_err(|unhandled| match unhandled {
                    Unhandled::Retry => Said::again("it asked for another try"),
                    Unhandled::Reject => Said::never("it rejected the message"),
                    Unhandled::Other(why) => Said::never(why),
                })
            });
            (store, said)
        }
        .boxed()
    };
    call_with(run, answers, calling).await
}

async fn by_wasi(run: &Run, message: Delivery) -> Result<i32, Failure> {
    let function = function(run, Some(WASI), "handle")?;
    let Delivery { subject, body, headers, answers } = message;
    let reply_to = answers.as_ref().map(|answers| answers.subject.clone());
    let calling = move |mut store: Store<ComponentGuest>, instance: Instance| {
        async move {
            let called = async {
                let function = instance
                    .get_typed_func::<(Resource<Letter>,), (Result<(), WasiError>,)>(
                        &mut store, &function,
                    )?;
                let message = Message { subject, body, reply_to, headers };
                let message = store.data_mut().ctx().table.push(Letter { message })?;
                let (result,) = function.call_async(&mut store, (message,)).await?;
                wasmtime::error::Ok(result)
            };
            let called = called.await;
            let said = called.map(|result| {
                result.map_err(|error| match error {
                    WasiError::Timeout => Said::again("it timed out"),
                    WasiError::Connection(why)
                    | WasiError::PermissionDenied(why)
                    | WasiError::Other(why) => Said::again(why),
                })
            });
            (store, said)
        }
        .boxed()
    };
    call_with(run, answers, calling).await
}

async fn by_redis(run: &Run, handler: &Handler, message: Delivery) -> Result<i32, Failure> {
    let params = (Vec::from(message.body),);
    if *handler == Handler::Redis1 {
        let function = function(run, Some(REDIS_1), MESSAGE)?;
        let said =
            |(result,): (Result<(), Redis1Error>,)| result.map_err(|error| error.to_string());
        return call(run, function, params, None, said).await;
    }
    let function = function(run, Some(REDIS_3), MESSAGE)?;
    let said = |(result,): (Result<(), Redis3Error>,)| result.map_err(|error| error.to_string());
    call(run, function, params, None, said).await
}

async fn by_mqtt(run: &Run, message: Delivery) -> Result<i32, Failure> {
    let function = function(run, None, MESSAGE)?;
    let params = (Vec::from(message.body), MqttMetadata { topic: message.subject });
    let said = |(result,): (Result<(), MqttError>,)| result.map_err(|error| error.to_string());
    call(run, function, params, None, said).await
}

/// A function that the component exports, by itself or in an interface.
fn function(
    run: &Run,
    interface: Option<&str>,
    name: &str,
) -> Result<ComponentExportIndex, Failure> {
    let found = match &run.workload.linked {
        Linked::Component(pre) => match interface {
            None => pre.component().get_export_index(None, name),
            Some(interface) => pre
                .component()
                .get_export_index(None, interface)
                .and_then(|inside| pre.component().get_export_index(Some(&inside), name)),
        },
        Linked::Module(_) => None,
    };
    found.ok_or_else(|| Failure::NotCallable {
        workload: run.workload.name().clone(),
        reason: format!(
            "it exports no function `{name}`{}",
            match interface {
                Some(interface) => format!(" in `{interface}`"),
                None => String::new(),
            }
        ),
    })
}

/// Calls a function in an instance of its own. `said` has what the guest says of how it went.
async fn call<P, R>(
    run: &Run,
    function: ComponentExportIndex,
    params: P,
    answers: Option<Answering>,
    said: fn(R) -> Result<(), String>,
) -> Result<i32, Failure>
where
    P: ComponentNamedList + Lower + Send + Sync + 'static,
    R: ComponentNamedList + Lift + Send + Sync + 'static,
{
    let calling = move |mut store: Store<ComponentGuest>, instance: Instance| {
        async move {
            let called = async {
                let function = instance.get_typed_func::<P, R>(&mut store, &function)?;
                function.call_async(&mut store, params).await
            };
            let called = called.await;
            (store, called.map(|result| said(result).map_err(Said::again)))
        }
        .boxed()
    };
    call_with(run, answers, calling).await
}

/// What became of a call: the store that it was in, and what the guest says of how it went.
type Called = (Store<ComponentGuest>, wasmtime::Result<Result<(), Said>>);

/// What a guest says of a message that it did not handle.
struct Said {
    why: String,
    /// Whether another time may go better.
    again: bool,
}

impl Said {
    fn again(why: impl Into<String>) -> Self {
        Self { why: why.into(), again: true }
    }

    fn never(why: impl Into<String>) -> Self {
        Self { why: why.into(), again: false }
    }
}

/// Has something called in an instance of its own.
async fn call_with(
    run: &Run,
    answers: Option<Answering>,
    calling: impl FnOnce(Store<ComponentGuest>, Instance) -> BoxFuture<'static, Called> + Send + 'static,
) -> Result<i32, Failure> {
    let (start, workload) = (Instant::now(), &run.workload);
    let name = workload.name().clone();
    let Linked::Component(pre) = &workload.linked else {
        let reason = "only components export such a function".to_owned();
        return Err(Failure::NotCallable { workload: name, reason });
    };
    let mut guest = workload.world.component(&[name.to_string()], Stdio::Log)?;
    // One that is linked to nothing publishes nothing, not even answers.
    let linked = !workload.world.capabilities().messaging.is_empty();
    guest.set_answering(answers.filter(|_| linked));
    let (mut store, activity) =
        workload.engine.store(workload.flavour, workload.world.share(), guest)?;
    workload.meter().instance_created();
    let pre = pre.clone();
    let running = Box::pin(async move {
        let (store, called) = match pre.instantiate_async(&mut store).await {
            Ok(instance) => calling(store, instance).await,
            Err(error) => (store, Err(error)),
        };
        match called {
            Ok(Ok(())) => Ok(0),
            Ok(Err(Said { why, again })) => {
                let reason = visible(&why, LONGEST_REASON);
                Err(Failure::Refused { workload: name, reason, again })
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
async fn execute(run: &Run, message: &Delivery) -> Result<i32, Failure> {
    let name = run.workload.name();
    // An argument that a guest is given cannot have a zero in it.
    let subject = message.subject.replace('\0', "");
    let args = vec![name.to_string(), subject.clone()];
    let mut env = vec![("REEF_SUBJECT".to_owned(), subject)];
    let stdin = Box::new(MemoryInputPipe::new(message.body.clone()));
    let Some(answers) = &message.answers else {
        let stdout = Box::new(run.workload.world.lines("stdout"));
        return start(run, Given { args, env, stdio: Stdio::Piped { stdin, stdout } }).await;
    };
    let reply_to = &answers.subject;
    env.push(("REEF_REPLY_TO".to_owned(), reply_to.clone()));
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
    let publisher = Publisher::new(answers.link.clone());
    let answer = Message::new(reply_to, body);
    let published = publisher.publish(&Caller::default(), answer, Some(answers)).await;
    published.map_err(|failure| cannot(failure.to_string()))?;
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
