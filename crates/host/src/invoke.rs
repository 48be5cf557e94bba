//! A function of a guest, called by name: `reef run --invoke`.
//!
//! Reactors and bare modules have no command to run; their functions are called with numbers, those of
//! components with any value that WAVE can write. Bytes go in and out as streams: the caller opens
//! the file and the guest needs no grant for it, and however long it is, only a few pieces of it are in
//! memory.

mod answer;
mod call;
mod component;
mod function;
mod module;
mod sink;
mod source;
mod wave;

use std::{fmt, io::Write as _, path::PathBuf, pin::Pin, sync::Arc, time::Instant};

use reef_engine::{Activity, Background, Paced, within};

pub use self::call::{Call, ParseCallError, Pointer};
use self::{
    component::Done,
    sink::{Ended, Sink, Writing},
};
use crate::{Failure, Workload, workload::Linked};

/// Where the result of a call goes.
///
/// A stream of bytes is written as it is. A list of bytes is, to a file; printed it is WAVE, as every
/// other result is in either case. An error that a function returns is printed to standard error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// To standard output.
    Print,
    /// To a file, which is written beside its place and moved there when the call has succeeded.
    File(PathBuf),
}

/// A guest's future: what it is called for, or the status that it exited with.
type Running<T> = Pin<Box<dyn Future<Output = Result<Result<T, i32>, Failure>> + Send>>;

/// Calls a function and delivers its result; returns the exit status: 1 when the function returned an
/// error, otherwise 0 or what the guest exited with.
///
/// The guest has the caller's standard streams. With a background, a share of the processor can be
/// enforced.
///
/// # Errors
/// When there is no such function, its arguments do not fit, a source or the output fails, or the
/// guest traps or passes its deadline.
pub async fn invoke(
    workload: Arc<Workload>,
    call: Call,
    output: Output,
    background: Option<Arc<Background>>,
) -> Result<i32, Failure> {
    let start = Instant::now();
    let deadline = workload.world.limits().deadline;
    let name = workload.name().clone();
    let called = async {
        match &workload.linked {
            Linked::Module(pre) => {
                let (activity, running) = module::prepare(&workload, pre, &call)?;
                let (sink, writing) = sink::open(&output).await?;
                match paced(&workload, activity, background, running).await? {
                    Ok(lines) => {
                        let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
                        deliver(text.into_bytes(), sink, writing).await
                    }
                    Err(status) => Ok(status),
                }
            }
            Linked::Component(pre) => {
                let prepared = component::prepare(&workload, pre.component(), &call).await?;
                let fault = prepared.fault.clone();
                let has_result = prepared.has_result();
                let opened = sink::open(&output).await?;
                let (activity, running) = component::run(&workload, pre, prepared, opened)?;
                let done = paced(&workload, activity, background, running).await;
                // An input that broke is why whatever came after went wrong.
                if let Some(failure) = fault.failure() {
                    return Err(failure);
                }
                match done? {
                    Ok(Done::Delivered(ended, writing)) => settle(ended, writing),
                    Ok(Done::Failed(error)) => {
                        // With standard error gone there is nobody to tell.
                        let _ = writeln!(std::io::stderr(), "{error}");
                        Ok(1)
                    }
                    Err(0) if has_result => Err(Failure::NoAnswer {
                        workload: name.clone(),
                        reason: "it exited before its result was there".to_owned(),
                    }),
                    Err(status) => Ok(status),
                }
            }
        }
    };
    match within(deadline, start, called).await {
        Ok(result) => result,
        Err(passed) => Err(Failure::Deadline { workload: name.clone(), passed }),
    }
}

async fn paced<T: Send + 'static>(
    workload: &Workload,
    activity: Arc<Activity>,
    background: Option<Arc<Background>>,
    running: Running<T>,
) -> Result<Result<T, i32>, Failure> {
    match Paced::new(activity, background, running).await {
        Some(result) => result,
        None => Err(Failure::Shutdown { workload: workload.name().clone() }),
    }
}

async fn deliver(bytes: Vec<u8>, sink: Sink, mut writing: Writing) -> Result<i32, Failure> {
    sink.put(bytes).await;
    let ended = writing.ended().await;
    settle(ended, writing)
}

/// A file whose writing has ended well takes its place.
fn settle(ended: Result<Ended, Failure>, writing: Writing) -> Result<i32, Failure> {
    match ended? {
        Ended::Whole => writing.keep()?,
        Ended::Unread => {}
    }
    Ok(0)
}

fn wrong_count(given: usize, wanted: usize, signature: &str) -> String {
    let plural = if wanted == 1 { "" } else { "s" };
    format!("{wanted} argument{plural} expected, {given} given\n  {signature}")
}

impl fmt::Display for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Print => f.write_str("standard output"),
            Self::File(path) => write!(f, "{}", path.display()),
        }
    }
}
