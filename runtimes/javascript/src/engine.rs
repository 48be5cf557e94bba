//! The interpreter with one worker's script.

use std::time::Duration;

use rquickjs::context::EvalOptions;
use rquickjs::promise::PromiseState;
use rquickjs::{
    CatchResultExt, CaughtError, Context, Ctx, Function, Module, Object, Persistent, Runtime,
};

use crate::host;

/// Bytes of stack for scripts: beyond it a RangeError. The module's own stack is larger.
const STACK: usize = 1 << 18;
/// What makes the globals of a worker; evaluates to a function of the host.
const PRELUDE: &str = concat!(
    "(function (host) { 'use strict';\n",
    "const define = (globals) => { for (const name of Object.keys(globals)) Object.defineProperty(",
    "globalThis, name, { value: globals[name], writable: true, configurable: true }); };\n",
    include_str!("js/text.js"),
    include_str!("js/url.js"),
    include_str!("js/globals.js"),
    include_str!("js/fetch.js"),
    include_str!("js/worker.js"),
    "})",
);

/// An interpreter.
pub(crate) struct Engine {
    /// The functions of the part in JavaScript. Dropped first: what they are in must outlive them.
    worker: Persistent<Object<'static>>,
    context: Context,
    runtime: Runtime,
}

/// Why there is no engine, or no response.
pub(crate) enum Failure {
    /// For people.
    Final(String),
    /// The script needs what there is only with a request.
    Later,
}

type Outcome<T> = Result<T, Failure>;

impl Engine {
    /// Evaluates a script before there is a request.
    pub(crate) fn early(name: &str, source: &str, variables: &[String]) -> Outcome<Self> {
        let engine = Self::new()?;
        let kind = engine.context.with(|ctx| kind(&ctx, name, source))?;
        let done = engine.with(|ctx, worker| {
            worker
                .get::<_, Function<'_>>("forbidEnvironment")?
                .call::<_, ()>((variables.to_vec(),))?;
            evaluate(ctx, worker, name, source, kind, false)
        });
        match done {
            // It may need what is not there yet; if not, it fails again when it is.
            Err(Failure::Final(_)) => Err(Failure::Later),
            Ok(true) if engine.next_timer()? == f64::INFINITY => {
                engine.expect_handler()?;
                engine.runtime.run_gc();
                Ok(engine)
            }
            _ => Err(Failure::Later),
        }
    }

    /// Evaluates a script when there is a request.
    pub(crate) fn evaluated(
        name: &str,
        source: &str,
        variables: &[(String, String)],
    ) -> Outcome<Self> {
        let engine = Self::new()?;
        let kind = engine.context.with(|ctx| kind(&ctx, name, source))?;
        let done = engine.with(|ctx, worker| {
            set_environment(worker, variables)?;
            evaluate(ctx, worker, name, source, kind, true)
        })?;
        if !done {
            return Err(Failure::Final(format!(
                "{name}: its top level waits for a promise that nothing settles"
            )));
        }
        engine.expect_handler()?;
        Ok(engine)
    }

    /// Answers a request: the response's JSON for the request's.
    pub(crate) fn serve(&self, variables: &[(String, String)], request: &str) -> Outcome<String> {
        self.with(|_, worker| {
            set_environment(worker, variables)?;
            worker.get::<_, Function<'_>>("start")?.call::<_, ()>((request,))
        })?;
        let mut outcome = None;
        loop {
            self.run_jobs();
            outcome = outcome.or_else(host::outcome);
            let waits =
                || self.with(|_, worker| worker.get::<_, Function<'_>>("isWaiting")?.call(()));
            if let Some(outcome) = outcome.take_if(|_| !waits().unwrap_or(false)) {
                return outcome.map_err(Failure::Final);
            }
            if !self.with(|_, worker| await_timer(worker))? {
                let never = "the worker never answers: it waits for a promise that nothing settles";
                return outcome.unwrap_or_else(|| Err(never.to_owned())).map_err(Failure::Final);
            }
        }
    }

    fn new() -> Outcome<Self> {
        let runtime = Runtime::new().map_err(|error| Failure::Final(error.to_string()))?;
        runtime.set_max_stack_size(STACK);
        let context = Context::full(&runtime).map_err(|error| Failure::Final(error.to_string()))?;
        let worker = context.with(|ctx| {
            let made = || -> rquickjs::Result<_> {
                let mut options = EvalOptions::default();
                options.filename = Some("reef:worker".to_owned());
                let prelude: Function<'_> = ctx.eval_with_options(PRELUDE, options)?;
                let worker: Object<'_> = prelude.call((host::object(&ctx)?,))?;
                Ok(Persistent::save(&ctx, worker))
            };
            made().catch(&ctx).map_err(failure)
        })?;
        Ok(Self { worker, context, runtime })
    }

    /// Calls into the interpreter; what a script throws is a failure.
    fn with<T>(
        &self,
        call: impl for<'js> FnOnce(&Ctx<'js>, &Object<'js>) -> rquickjs::Result<T>,
    ) -> Outcome<T> {
        self.context.with(|ctx| {
            let worker = self.worker.clone().restore(&ctx);
            worker.and_then(|worker| call(&ctx, &worker)).catch(&ctx).map_err(failure)
        })
    }

    fn expect_handler(&self) -> Outcome<()> {
        if self.with(|_, worker| worker.get::<_, Function<'_>>("hasHandler")?.call(()))? {
            return Ok(());
        }
        Err(Failure::Final(
            "nothing answers requests: call addEventListener('fetch', …) or export a default with a function `fetch`"
                .to_owned(),
        ))
    }

    fn next_timer(&self) -> Outcome<f64> {
        self.with(|_, worker| worker.get::<_, Function<'_>>("nextTimer")?.call(()))
    }

    fn run_jobs(&self) {
        self.context.with(|ctx| while ctx.execute_pending_job() {});
    }
}

/// How a script is evaluated.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Script,
    Module,
}

/// Finds out how, without evaluating it.
fn kind(ctx: &Ctx<'_>, name: &str, source: &str) -> Outcome<Kind> {
    if name.ends_with(".mjs") || mentions_module(source) {
        let module = Module::declare(ctx.clone(), name, source).catch(ctx);
        match module {
            Ok(_) => return Ok(Kind::Module),
            Err(error) if name.ends_with(".mjs") => return Err(failure(error)),
            Err(error) => {
                // The words may be in a string of a script.
                return parsed(ctx, source).map(|()| Kind::Script).map_err(|_| failure(error));
            }
        }
    }
    match parsed(ctx, source) {
        Ok(()) => Ok(Kind::Script),
        // Evaluating it says what is wrong at its right place.
        Err(error) => {
            let mut options = EvalOptions::default();
            (options.strict, options.filename) = (false, Some(name.to_owned()));
            match ctx.eval_with_options::<(), _>(source, options).catch(ctx) {
                Ok(()) => Err(error),
                Err(error) => Err(failure(error)),
            }
        }
    }
}

fn parsed(ctx: &Ctx<'_>, source: &str) -> Outcome<()> {
    let parse =
        || ctx.globals().get::<_, Function<'_>>("Function")?.call::<_, Function<'_>>((source,));
    parse().catch(ctx).map(drop).map_err(failure)
}

/// Whether a line or statement begins with `import` or `export`.
fn mentions_module(source: &str) -> bool {
    ["import", "export"].iter().any(|word| {
        source.match_indices(word).any(|(at, _)| {
            let before = source[..at].trim_end_matches([' ', '\t']).chars().next_back();
            let after = source[at + word.len()..].chars().next();
            matches!(before, None | Some('\n' | '\r' | ';' | '}' | '/'))
                && after.is_some_and(|c| {
                    c.is_whitespace() || matches!(c, '{' | '*' | '"' | '\'' | '.' | '(')
                })
        })
    })
}

/// Waits for the next timer and runs it; false if there is none.
fn await_timer(worker: &Object<'_>) -> rquickjs::Result<bool> {
    let next: f64 = worker.get::<_, Function<'_>>("nextTimer")?.call(())?;
    if next == f64::INFINITY {
        return Ok(false);
    }
    let wait = (next - host::monotonic()).max(0.0) / 1000.0;
    std::thread::sleep(Duration::from_secs_f64(wait.min(86400.0)));
    worker.get::<_, Function<'_>>("runTimer")?.call::<_, ()>(())?;
    Ok(true)
}

/// Evaluates it; false if it waits for something that does not come, or that it may not wait for.
fn evaluate<'js>(
    ctx: &Ctx<'js>,
    worker: &Object<'js>,
    name: &str,
    source: &str,
    kind: Kind,
    patient: bool,
) -> rquickjs::Result<bool> {
    match kind {
        Kind::Script => {
            let mut options = EvalOptions::default();
            (options.strict, options.filename) = (false, Some(name.to_owned()));
            ctx.eval_with_options::<(), _>(source, options)?;
            while ctx.execute_pending_job() {}
        }
        Kind::Module => {
            let (module, evaluated) = Module::declare(ctx.clone(), name, source)?.eval()?;
            loop {
                while ctx.execute_pending_job() {}
                match evaluated.state() {
                    PromiseState::Pending if patient && await_timer(worker)? => {}
                    PromiseState::Pending => return Ok(false),
                    PromiseState::Resolved => break,
                    PromiseState::Rejected => evaluated.finish::<()>()?,
                }
            }
            if let Ok(exported) = module.get::<_, rquickjs::Value<'_>>("default") {
                worker.get::<_, Function<'_>>("setModule")?.call::<_, ()>((exported,))?;
            }
        }
    }
    Ok(true)
}

fn set_environment(worker: &Object<'_>, variables: &[(String, String)]) -> rquickjs::Result<()> {
    let object = Object::new(worker.ctx().clone())?;
    for (name, value) in variables {
        object.set(&**name, &**value)?;
    }
    worker.get::<_, Function<'_>>("setEnvironment")?.call((object,))
}

fn failure(error: CaughtError<'_>) -> Failure {
    Failure::Final(match error {
        CaughtError::Exception(exception) => {
            let message = exception.message().unwrap_or_default();
            let name: String =
                exception.as_object().get("name").unwrap_or_else(|_| "Error".to_owned());
            let stack = exception.stack().unwrap_or_default();
            format!("{name}: {message}\n{}", stack.trim_end()).trim_end().to_owned()
        }
        CaughtError::Value(value) => format!("{value:?} was thrown"),
        CaughtError::Error(error) => error.to_string(),
    })
}
