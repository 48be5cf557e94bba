//! How a guest can fail, and what that means outside: the one place where causes become exit
//! statuses and HTTP statuses.

use std::{fmt, sync::Arc};

use http::StatusCode;
use reef_artifact::visible;
use reef_engine::{DeadlinePassed, EngineError, Limiter};
use reef_grants::ByteSize;
use reef_wasi::{MOST_RESOURCES, WorldError};
use wasmtime_wasi::{I32Exit, ResourceTableError::Full};

/// Why a guest did not do what it was called for.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// No instance.
    #[error("{workload} cannot be instantiated: {cause}")]
    Instantiate {
        /// Which workload.
        workload: Arc<str>,
        /// Why.
        cause: Trap,
    },
    /// Guest code trapped.
    #[error("{workload} trapped: {cause}")]
    Trapped {
        /// Which workload.
        workload: Arc<str>,
        /// Where and why.
        cause: Trap,
    },
    /// Out of time.
    #[error(
        "{workload} was stopped: {passed}; allow more with --deadline, in a manifest limits.deadline"
    )]
    Deadline {
        /// Which workload.
        workload: Arc<str>,
        /// Which deadline.
        passed: DeadlinePassed,
    },
    /// Stopped because of what else went on in the same instance.
    #[error(
        "{workload} was stopped while it answered this: another request to the same instance passed its deadline or trapped"
    )]
    Neighbour {
        /// Which workload.
        workload: Arc<str>,
    },
    /// The guest ended without an answer.
    #[error("{workload} gave no answer: {reason}")]
    NoAnswer {
        /// Which workload.
        workload: Arc<str>,
        /// What it did instead.
        reason: String,
    },
    /// The guest answered with an error of its own.
    #[error("{workload} failed: {reason}")]
    Refused {
        /// Which workload.
        workload: Arc<str>,
        /// In its own words.
        reason: String,
        /// Whether another time may go better, as far as it says.
        again: bool,
    },
    /// The export that was called for is not there or not of the right type.
    #[error("{workload}: {reason}")]
    NotCallable {
        /// Which workload.
        workload: Arc<str>,
        /// What is wrong and what there is.
        reason: String,
    },
    /// What an argument names cannot be read, or not to its end.
    #[error("cannot read {input}: {reason}")]
    Input {
        /// A file, a URL or standard input.
        input: String,
        /// Why not.
        reason: String,
    },
    /// A result cannot be written.
    #[error("cannot write {output}: {reason}")]
    Output {
        /// A file or standard output.
        output: String,
        /// Why not.
        reason: String,
    },
    /// No engine.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// A grant can no longer be honoured.
    #[error(transparent)]
    World(#[from] WorldError),
    /// The host is shutting down.
    #[error("{workload} was stopped because the host is shutting down")]
    Shutdown {
        /// Which workload.
        workload: Arc<str>,
    },
}

/// An error out of guest code: the reason, the frames, and what was refused before.
pub struct Trap {
    error: wasmtime::Error,
    refused_memory: Option<(u64, ByteSize)>,
    /// Elements asked for, elements allowed.
    refused_table: Option<(usize, usize)>,
}

/// So many calls of one function, one inside the other, are recursion without an end.
const RECURSION: usize = 10;

/// Names are the guest's, as long as it likes and with whatever is in them.
const LONGEST_NAME: usize = 300;
const LONGEST_CAUSE: usize = 2000;

// === impl Failure ===

impl Failure {
    /// The exit status of a guest that ended with an error: an exit is an error inside the engine and
    /// none outside.
    pub(crate) fn ended(
        error: wasmtime::Error,
        limiter: &Limiter,
        workload: Arc<str>,
    ) -> Result<i32, Failure> {
        if let Some(status) = Trap::exit_status(&error) {
            return Ok(status);
        }
        // What comes without a frame of the guest's was no fault of its code, which never ran.
        let ran = error.is::<wasmtime::Trap>() || error.is::<wasmtime::WasmBacktrace>();
        let cause = Trap::new(error, Some(limiter));
        Err(if ran {
            Failure::Trapped { workload, cause }
        } else {
            Failure::Instantiate { workload, cause }
        })
    }

    /// What an HTTP client is told.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Deadline { .. } => StatusCode::GATEWAY_TIMEOUT,
            Self::Instantiate { .. }
            | Self::Engine(_)
            | Self::World(_)
            | Self::Neighbour { .. }
            | Self::Shutdown { .. } => StatusCode::SERVICE_UNAVAILABLE,
            Self::Trapped { .. } | Self::NotCallable { .. } | Self::Output { .. } => {
                StatusCode::INTERNAL_SERVER_ERROR
            }
            Self::NoAnswer { .. } | Self::Refused { .. } | Self::Input { .. } => {
                StatusCode::BAD_GATEWAY
            }
        }
    }

    /// What the shell is told. 124 as `timeout` has it, 134 as an aborted process, 125 for what was
    /// never started.
    pub fn exit_status(&self) -> u8 {
        match self {
            Self::Deadline { .. } => 124,
            Self::Trapped { .. } => 134,
            Self::NoAnswer { .. }
            | Self::Refused { .. }
            | Self::Neighbour { .. }
            | Self::Input { .. }
            | Self::Output { .. } => 1,
            Self::Instantiate { .. }
            | Self::NotCallable { .. }
            | Self::Engine(_)
            | Self::World(_)
            | Self::Shutdown { .. } => 125,
        }
    }
}

// === impl Trap ===

impl Trap {
    pub(crate) fn new(error: wasmtime::Error, limiter: Option<&Limiter>) -> Self {
        let refused_memory =
            limiter.and_then(|limiter| Some((limiter.refused()?, limiter.limit())));
        let refused_table = limiter.and_then(Limiter::refused_table);
        Self { error, refused_memory, refused_table }
    }

    /// The status a guest exited with, if that is what this is.
    pub(crate) fn exit_status(error: &wasmtime::Error) -> Option<i32> {
        error.downcast_ref::<I32Exit>().map(|exit| exit.0)
    }
}

impl fmt::Display for Trap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let backtrace = self.error.downcast_ref::<wasmtime::WasmBacktrace>();
        match self.error.downcast_ref::<wasmtime::Trap>() {
            Some(trap) => write!(f, "{trap}")?,
            None => {
                // The backtrace is a layer of context of its own and is printed below.
                let mut causes =
                    self.error.chain().map(ToString::to_string).filter(|cause| {
                        !cause.starts_with("error while executing at wasm backtrace")
                    });
                if let Some(cause) = causes.next() {
                    write!(f, "{}", visible(&cause, LONGEST_CAUSE))?;
                }
                for cause in causes {
                    write!(f, ": {}", visible(&cause, LONGEST_CAUSE))?;
                }
            }
        }
        if let Some((refused, limit)) = self.refused_table {
            write!(
                f,
                "\n  it asked for a table of {refused} elements and was refused: the limit is \
                 {limit}; build it with a smaller one"
            )?;
        }
        if let Some((refused, limit)) = self.refused_memory {
            write!(
                f,
                "\n  it asked for {} of memory and was refused: the limit is {limit}; \
                 raise it with --memory, in a manifest limits.memory",
                ByteSize(refused)
            )?;
        }
        if self.error.chain().any(|cause| matches!(cause.downcast_ref(), Some(Full))) {
            write!(
                f,
                "\n  it held {MOST_RESOURCES} streams, sockets, requests and the like, the most that \
                 an instance may; let it drop those that it is done with"
            )?;
        }
        if let Some(backtrace) = backtrace {
            let stack = matches!(
                self.error.downcast_ref(),
                Some(wasmtime::Trap::StackOverflow | wasmtime::Trap::MemoryOutOfBounds)
            );
            write_frames(f, backtrace, stack)?;
        }
        Ok(())
    }
}

impl fmt::Debug for Trap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn write_frames(
    f: &mut fmt::Formatter<'_>,
    backtrace: &wasmtime::WasmBacktrace,
    stack: bool,
) -> fmt::Result {
    let frames = backtrace.frames();
    let runs: Vec<_> = frames.chunk_by(|a, b| a.func_index() == b.func_index()).collect();
    // Guests with a stack of their own in memory, as compilers lay it out, run over its end.
    if stack && let Some(run) = runs.iter().find(|run| run.len() >= RECURSION) {
        let name = run[0].func_name().map_or_else(|| "a function".to_owned(), demangled);
        write!(f, "\n  {name} calls itself again and again: it may have used up its stack")?;
    }
    if !frames.is_empty() {
        write!(f, "\n  guest backtrace, innermost call first:")?;
    }
    let mut index = 0;
    for run in runs {
        let shown = if run.len() >= RECURSION { 1 } else { run.len() };
        for frame in &run[..shown] {
            write_frame(f, index, frame)?;
            index += 1;
        }
        if shown < run.len() {
            index += run.len() - shown;
            write!(f, "\n       … and {} calls more of it", run.len() - shown)?;
        }
    }
    Ok(())
}

fn write_frame(
    f: &mut fmt::Formatter<'_>,
    index: usize,
    frame: &wasmtime::FrameInfo,
) -> fmt::Result {
    let name = match frame.func_name() {
        Some(name) => demangled(name),
        None => format!("function {}", frame.func_index()),
    };
    write!(f, "\n  {index:>3}: {name}")?;
    if let Some(offset) = frame.module_offset() {
        write!(f, " (offset {offset:#x}")?;
        if let Some(module) = frame.module().name() {
            write!(f, " of {}", visible(module, LONGEST_NAME))?;
        }
        f.write_str(")")?;
    }
    for symbol in frame.symbols() {
        if let Some(inlined) = symbol.name().map(demangled)
            && inlined != name
        {
            write!(f, "\n       {inlined}")?;
        }
        if let Some(file) = symbol.file() {
            write!(f, "\n       at {}", visible(file, LONGEST_NAME))?;
            if let Some(line) = symbol.line() {
                write!(f, ":{line}")?;
            }
        }
    }
    Ok(())
}

fn demangled(name: &str) -> String {
    match rustc_demangle::try_demangle(name) {
        Ok(name) => visible(&format!("{name:#}"), LONGEST_NAME),
        Err(_) => visible(name, LONGEST_NAME),
    }
}
