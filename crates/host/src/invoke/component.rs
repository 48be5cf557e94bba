//! Functions of components.

use std::{future::poll_fn, sync::Arc};

use reef_engine::{Activity, Flavour};
use reef_wasi::{ComponentGuest, Stdio};
use wasmtime::{
    Store,
    component::{Component, Func, InstancePre, StreamAny, StreamReader, Type, Val},
};

use super::{
    Call, Ended, Running,
    answer::{self, Answer, Single, is_byte_stream, is_bytes},
    call::{Argument, Source},
    function::{self, Function},
    sink::{Sink, Writing},
    source::{self, Fault, Input},
    wave,
};
use crate::{Failure, Workload};

/// Most bytes of a `list<u8>` that has to be handed over a value at a time: each takes some thirty
/// bytes of the host's memory then.
const BY_VALUE: u64 = 4 << 20;

/// A function, and what it is to be called with.
pub(super) struct Prepared {
    function: Function,
    arguments: Vec<Given>,
    pub(super) fault: Fault,
}

impl Prepared {
    pub(super) fn has_result(&self) -> bool {
        self.function.ty.results().len() > 0
    }
}

enum Given {
    Value(Val),
    Bytes(Vec<u8>),
    Stream(Input),
}

/// How a call went that neither trapped nor exited.
pub(super) enum Done {
    /// The function returned an error of its own: its text.
    Failed(String),
    /// The result was written, or could not be.
    Delivered(Result<Ended, Failure>, Writing),
}

/// Finds the function, reads the arguments and opens what they name.
///
/// # Errors
/// When they do not fit each other, or a source cannot be opened.
pub(super) async fn prepare(
    workload: &Workload,
    component: &Component,
    call: &Call,
) -> Result<Prepared, Failure> {
    let refused = |reason| Failure::NotCallable { workload: workload.name().clone(), reason };
    let function = function::find(function::all(component), call.name()).map_err(refused)?;
    if let Some(ty) = function.ty.results().next()
        && !answer::can_be_taken(&ty)
    {
        return Err(refused(format!(
            "the result of this function is pending: --invoke takes a stream of bytes by itself or \
             as the value of a result, and everything else that WAVE can write\n  {function}"
        )));
    }

    let params: Vec<Type> = function.ty.params().map(|(_, ty)| ty).collect();
    let given = call.arguments();
    let left_out = params.get(given.len()..).unwrap_or_default();
    let optional = left_out.iter().all(|ty| matches!(ty, Type::Option(_)));
    if given.len() > params.len() || !optional {
        let signature = function.to_string();
        return Err(refused(super::wrong_count(given.len(), params.len(), &signature)));
    }
    let mut stdins = given.iter().filter(|argument| argument.source == Some(Source::Stdin));
    if let Some(second) = stdins.nth(1) {
        let at = call.point_at(second.span.clone());
        return Err(refused(format!("standard input can be given to one argument only{at}")));
    }

    let single = params.len() == 1 && answer::is_fast(function.ty.results().next().as_ref());
    let fault = Fault::default();
    let mut arguments = Vec::with_capacity(params.len());
    for (index, (argument, (name, ty))) in given.iter().zip(function.ty.params()).enumerate() {
        let about = format!("argument {} (`{name}`)", index + 1);
        let read = Reading { workload, call, argument, about, ty: &ty, single };
        arguments.push(read.read(&fault).await?);
    }
    arguments.extend(left_out.iter().map(|_| Given::Value(Val::Option(None))));
    Ok(Prepared { function, arguments, fault })
}

/// One argument, being read.
struct Reading<'a> {
    workload: &'a Workload,
    call: &'a Call,
    argument: &'a Argument,
    about: String,
    ty: &'a Type,
    /// Whether it is alone and can be handed over in one piece.
    single: bool,
}

impl Reading<'_> {
    async fn read(&self, fault: &Fault) -> Result<Given, Failure> {
        let Some(source) = &self.argument.source else {
            let text = self.call.text(self.argument);
            return wave::read(text, self.ty).map(Given::Value).map_err(|wrong| {
                let start = self.argument.span.start;
                self.refused(&wrong.reason, start + wrong.span.start..start + wrong.span.end)
            });
        };
        let (stream, bytes) = (is_byte_stream(self.ty), is_bytes(self.ty));
        if !stream && !bytes && *self.ty != Type::String {
            let reason = format!(
                "expected {}; an @source can be given for a stream<u8>, a list<u8> or a string",
                wave::name(self.ty)
            );
            return Err(self.refused(&reason, self.argument.span.clone()));
        }
        let client = self.workload.world.client();
        let input = source::open(source.clone(), client, fault.clone()).await?;
        if stream {
            return Ok(Given::Stream(input));
        }
        let memory = self.workload.world.limits().memory;
        let by_value = bytes && !self.single && BY_VALUE < memory.0;
        let limit = if by_value { BY_VALUE } else { memory.0 };
        let Some(whole) = input.whole(limit).await? else {
            let reason = if by_value {
                format!(
                    "{source} is larger than 4MiB, the most that --invoke hands over in a list \
                     among other arguments; take a stream<u8> for more"
                )
            } else {
                format!(
                    "{source} does not fit into the memory limit of {memory}; raise it with \
                     --memory, or take a stream<u8>"
                )
            };
            return Err(self.refused(&reason, self.argument.span.clone()));
        };
        if bytes {
            return Ok(Given::Bytes(whole));
        }
        String::from_utf8(whole).map(|text| Given::Value(Val::String(text))).map_err(|error| {
            let at = error.utf8_error().valid_up_to();
            let reason = format!("{source} is not UTF-8 text, from byte {at} on");
            self.refused(&reason, self.argument.span.clone())
        })
    }

    fn refused(&self, reason: &str, span: std::ops::Range<usize>) -> Failure {
        Failure::NotCallable {
            workload: self.workload.name().clone(),
            reason: format!("{}: {reason}{}", self.about, self.call.point_at(span)),
        }
    }
}

/// The call itself, ready to run.
///
/// # Errors
/// When there is no world for it.
pub(super) fn run(
    workload: &Workload,
    pre: &InstancePre<ComponentGuest>,
    prepared: Prepared,
    (sink, writing): (Sink, Writing),
) -> Result<(Arc<Activity>, Running<Done>), Failure> {
    let guest = workload.world.component(&[], Stdio::Inherit)?;
    let (mut store, activity) =
        workload.engine.store(workload.flavour, workload.world.share(), guest)?;
    // Results that are copied out count against the guest's own limit, not a smaller one.
    let memory = usize::try_from(workload.world.limits().memory.0).unwrap_or(usize::MAX);
    store.set_hostcall_fuel(store.hostcall_fuel().max(memory));
    let concurrent = workload.flavour == Flavour::Concurrent;
    let (pre, workload) = (pre.clone(), workload.name().clone());
    let running = Box::pin(async move {
        let called = async {
            let instance = pre.instantiate_async(&mut store).await?;
            let function = prepared
                .function
                .index(pre.component())
                .and_then(|index| instance.get_func(&mut store, index))
                .ok_or_else(|| wasmtime::format_err!("the function is gone"))?;
            let answer = call(function, &mut store, prepared).await?;
            finish(&mut store, concurrent, answer, sink, writing).await
        }
        .await;
        match called {
            Ok(done) => Ok(Ok(done)),
            Err(error) => Failure::ended(error, store.data().limits(), workload).map(Err),
        }
    });
    Ok((activity, running))
}

async fn call(
    function: Func,
    store: &mut Store<ComponentGuest>,
    prepared: Prepared,
) -> wasmtime::Result<Answer> {
    let result = prepared.function.ty.results().next();
    let mut arguments = prepared.arguments;
    if arguments.len() <= 1 {
        let single = match arguments.pop() {
            None => Single::Nothing,
            Some(Given::Bytes(bytes)) => Single::Bytes(bytes),
            Some(Given::Stream(input)) => Single::Stream(StreamReader::new(&mut *store, input)?),
            Some(Given::Value(Val::String(text))) => Single::Text(text),
            Some(Given::Value(value)) => Single::Value(value),
        };
        return answer::call(function, store, single, result.as_ref()).await;
    }
    let mut params = Vec::with_capacity(arguments.len());
    for argument in arguments {
        params.push(match argument {
            Given::Value(value) => value,
            Given::Bytes(bytes) => Val::List(bytes.into_iter().map(Val::U8).collect()),
            Given::Stream(input) => {
                let reader = StreamReader::new(&mut *store, input)?;
                Val::Stream(StreamAny::try_from_stream_reader(&mut *store, reader)?)
            }
        });
    }
    answer::call_by_value(function, store, &params, result.as_ref()).await
}

/// Delivers the answer, and lets the guest finish what it has begun: the stream that it returned, and
/// its work after the answer.
async fn finish(
    store: &mut Store<ComponentGuest>,
    concurrent: bool,
    answer: Answer,
    sink: Sink,
    mut writing: Writing,
) -> wasmtime::Result<Done> {
    let (stream, bytes) = match answer {
        Answer::Stream(reader) => (Some(reader), Vec::new()),
        Answer::Failed(error) => return Ok(Done::Failed(wave::write(&error))),
        Answer::Bytes(bytes) | Answer::OkBytes(bytes) if writing.to_file() => (None, bytes),
        other => {
            let line = other.text().map_or_else(String::new, |text| text + "\n");
            (None, line.into_bytes())
        }
    };
    if !concurrent {
        sink.put(bytes).await;
        return Ok(Done::Delivered(writing.ended().await, writing));
    }
    let ended = store
        .run_concurrent(async |accessor| {
            match stream {
                Some(reader) => accessor.with(|access| reader.pipe(access, sink))?,
                None => sink.put(bytes).await,
            }
            let ended = writing.ended().await;
            // Nobody is left to work for when nobody reads.
            if let Ok(Ended::Whole) = ended {
                poll_fn(|cx| accessor.poll_no_interesting_tasks(cx)).await;
            }
            wasmtime::error::Ok(ended)
        })
        .await??;
    Ok(Done::Delivered(ended, writing))
}
