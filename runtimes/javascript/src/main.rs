//! JavaScript workers: QuickJS as a WASI 0.1 command that evaluates one script and answers one request.
//!
//! # Contract
//!
//! All runtimes of workers have this contract; those that cannot be initialised lack the first part.
//!
//! **Initialised** (by Wizer, where a worker is deployed). The export `wizer-initialize` is called, with
//!
//! * arguments: the program's name, the script's name (for messages), then the name of each environment
//!   variable that the worker will have;
//! * standard input: the script;
//! * no environment, no directories.
//!
//! It evaluates the script. A script that cannot be a worker ends it with exit status 1 and a message on
//! standard error. One that needs what there is only with a request (a variable's value, a timer) is kept,
//! and evaluated then. The snapshot's `_start` then answers a request, with
//!
//! * standard input: the request's JSON; standard output: the response's JSON, and nothing else;
//! * standard error: what the script logs, and why it failed;
//! * environment: the worker's variables, which are globals of the script;
//! * exit status: 0, or 1 if there is no response.
//!
//! **Not initialised**. `_start` does both, with the arguments: the program's name, the script's name, the
//! script.
//!
//! An instance answers one request. What the script did while it was evaluated is the same for all of
//! them, except for random numbers, which are the host's each time.

mod engine;
#[cfg(feature = "fetch")]
mod fetch;
mod host;

use std::cell::RefCell;
use std::io::{Read, Write};
use std::process::exit;

use engine::{Engine, Failure};

/// A worker that waits for its request.
enum Worker {
    /// Its script was evaluated.
    Ready(Engine),
    /// Its script is to be evaluated.
    Script { name: String, source: String },
}

thread_local! {
    /// What `wizer-initialize` left.
    static WORKER: RefCell<Option<Worker>> = const { RefCell::new(None) };
}

/// Evaluates the script on standard input.
#[unsafe(export_name = "wizer-initialize")]
pub extern "C" fn initialize() {
    let mut arguments = std::env::args().skip(1);
    let name = arguments.next().unwrap_or_else(|| "worker.js".to_owned());
    let variables: Vec<String> = arguments.collect();
    let source = or_end(read_input());
    let worker = match Engine::early(&name, &source, &variables) {
        Ok(engine) => Worker::Ready(engine),
        Err(Failure::Later) => Worker::Script { name, source },
        Err(Failure::Final(message)) => end(&message),
    };
    WORKER.set(Some(worker));
}

fn main() {
    let worker = WORKER.take().unwrap_or_else(|| {
        let mut arguments = std::env::args().skip(1);
        match (arguments.next(), arguments.next()) {
            (Some(name), Some(source)) => Worker::Script { name, source },
            _ => end("usage: javascript NAME SCRIPT, with a request on standard input"),
        }
    });
    let variables: Vec<(String, String)> = std::env::vars().collect();
    let request = or_end(read_input());
    let engine = match worker {
        Worker::Ready(engine) => Ok(engine),
        Worker::Script { name, source } => Engine::evaluated(&name, &source, &variables),
    };
    // It ends with the instance: nothing of it is given back one by one.
    let response =
        engine.and_then(|engine| Box::leak(Box::new(engine)).serve(&variables, &request));
    match response {
        Ok(response) => or_end(std::io::stdout().write_all(response.as_bytes()).map_err(text)),
        Err(Failure::Final(message)) => end(&message),
        Err(Failure::Later) => end("the script did not come to an end"),
    }
    or_end(std::io::stdout().flush().map_err(text));
    exit(0)
}

fn read_input() -> Result<String, String> {
    let mut input = String::new();
    std::io::stdin().read_to_string(&mut input).map_err(text)?;
    Ok(input)
}

fn text(error: std::io::Error) -> String {
    error.to_string()
}

fn or_end<T>(result: Result<T, String>) -> T {
    result.unwrap_or_else(|message| end(&message))
}

fn end(message: &str) -> ! {
    eprintln!("{message}");
    exit(1)
}
