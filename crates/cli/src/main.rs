//! The `reef` command: thin. It reads the command line, prepares what was asked for, and hands over
//! to the library crates.

mod args;
mod background;
mod builder;
mod check;
mod control;
mod convert;
mod detach;
mod dev;
mod expect;
mod generate;
mod guest;
mod host;
mod inspect;
mod lattice;
mod live;
mod logs;
mod manage;
mod manifest;
mod new;
mod progress;
mod run;
mod runtime_config;
mod runtimes;
mod serve;
mod server;
mod site;
mod source;
mod spin_variables;
mod table;
mod test;
mod top;
mod up;

use std::process::ExitCode;

use clap::Parser as _;

/// Many small allocations of short life on many threads: the allocator shows in every request.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The one function of the C mathematical library that something here names (statistics of a scheduler
/// of Tokio's that Reef does not use). With it inside, that library is not needed: to map, relocate and
/// set it up takes 0.05 ms of each start.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[allow(unsafe_code, reason = "stands for the C library's function: same name, type and meaning")]
#[unsafe(no_mangle)]
extern "C" fn pow(base: f64, exponent: f64) -> f64 {
    libm::pow(base, exponent)
}

fn main() -> ExitCode {
    let arguments = args::Arguments::parse();
    let done = match arguments.command {
        args::Command::Run(run) => run::run(*run, &arguments.log),
        args::Command::Serve(serve) => serve::serve(&serve, &arguments.log),
        args::Command::Up(up) => up::up(&up, &arguments.log),
        args::Command::Inspect(inspect) => inspect::inspect(&inspect),
        args::Command::Check(check) => check::check(&check),
        args::Command::Dev(dev) => dev::dev(&dev, &arguments.log),
        args::Command::Convert(convert) => convert::convert(&convert),
        args::Command::Runtimes(of) => runtimes::runtimes(&of),
        args::Command::New(new) => new::new(&new),
        args::Command::Build(build) => builder::command(&build),
        args::Command::Test(test) => test::test(&test),
        args::Command::Ps(ps) => manage::ps(&ps),
        args::Command::Logs(logs) => logs::logs(&logs),
        args::Command::Top(top) => top::top(&top),
        args::Command::Apply(apply) => manage::apply(&apply),
        args::Command::Rollback(rollback) => manage::rollback(&rollback),
        args::Command::Restart(restart) => manage::restart(&restart),
        args::Command::Stop(stop) => manage::stop(&stop),
        args::Command::Publish(publish) => manage::publish(&publish),
        args::Command::Host(join) => host::host(&join, &arguments.log),
        args::Command::Controller(alone) => host::controller(&alone, &arguments.log),
        args::Command::Get(get) => lattice::get(&get),
        args::Command::Describe(describe) => lattice::describe(&describe),
        args::Command::Diff(diff) => lattice::diff(&diff),
        args::Command::History(history) => lattice::history(&history),
        args::Command::Scale(scale) => lattice::scale(&scale),
        args::Command::Wait(wait) => lattice::wait(&wait),
        args::Command::Rollout(rollout) => lattice::rollout(&rollout),
        args::Command::Delete(delete) => lattice::delete(&delete),
        args::Command::Cordon(of) => lattice::cordon(&of),
        args::Command::Uncordon(of) => lattice::uncordon(&of),
        args::Command::Drain(drain) => lattice::drain(&drain),
        args::Command::Namespace(of) => lattice::namespace(&of),
        args::Command::Completions(of) => generate::completions(of.shell),
        args::Command::Man(man) => generate::man(man.folder.as_deref()),
    };
    let status = done.unwrap_or_else(|error| {
        // A reader that went away (`reef inspect x.wasm | head`) is not an error.
        if is_broken_pipe(&error) {
            return 0;
        }
        eprintln!("reef: {}", explained(&error));
        guest::status_of(&error)
    });
    // Does not wait for threads that sit in a read of standard input.
    std::process::exit(status)
}

/// The error and its causes on one line, none said twice: many a message has its cause in it.
fn explained(error: &anyhow::Error) -> String {
    let mut said = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if said.is_empty() {
            said = cause;
        } else if !said.contains(&cause) {
            said = format!("{said}: {cause}");
        }
    }
    said
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let kind = match error.downcast_ref::<reef_artifact::Error>() {
        Some(reef_artifact::Error::Output { kind, .. }) => Some(*kind),
        _ => error.downcast_ref::<std::io::Error>().map(std::io::Error::kind),
    };
    kind == Some(std::io::ErrorKind::BrokenPipe)
}
