//! `reef run`.

use std::{
    sync::{Arc, mpsc},
    thread,
    time::Duration,
};

use reef_engine::{Allocation, Background, DeadlinePassed};
use reef_grants::{ByteSize, Limits};
use reef_host::{Failure, command, invoke};

use crate::{
    args::{Log, Run},
    guest, source,
};

/// How long after its deadline a run that has not ended is ended with its process.
const GRACE: Duration = Duration::from_millis(250);

/// Runs a guest once, and returns its exit status.
pub(crate) fn run(args: Run, log: &Log) -> anyhow::Result<i32> {
    guest::log(log, "warn")?;
    let grants = guest::grants(&args.grants)?;
    let default = Limits { memory: ByteSize(2 << 30), ..Limits::default() };
    let limits = guest::limits(&args.limits, default);
    let call = args.invoke.as_deref().map(str::parse::<invoke::Call>).transpose()?;

    let artifact = source::artifact(&args.file, None, &args.cache, &args.sources)?;
    let (shares, deadline) = (limits.cpu.is_some(), limits.deadline);
    let ticks = shares || deadline.is_some();
    let engine = guest::engine(&args.cache, Allocation::OnDemand, ticks, true);
    let name = source::name_of(&args.file);
    let workload = guest::prepare(&engine, &artifact, name, grants, limits)?;

    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let background = shares.then(|| Arc::new(Background::new(1, runtime.handle().clone())));
    // Unmapping what the end of the process unmaps anyway is a tenth of a short run. Nothing of this has
    // anything left to do: guests have ended, files are written.
    std::mem::forget((engine, workload.clone()));
    if let Some(deadline) = deadline {
        watch(deadline, workload.name().clone())?;
    }
    let status = match call {
        Some(call) => {
            let output = args.output.map_or(invoke::Output::Print, invoke::Output::File);
            runtime.block_on(invoke::invoke(workload, call, output, background))?
        }
        None => {
            // What a file was called by, as a shell has it; an address may have secrets in it.
            let called = match reef_registry::is_remote(&args.file.to_string_lossy()) {
                true => source::name_of(&args.file),
                false => args.file.display().to_string(),
            };
            let mut guest_args = vec![called];
            guest_args.extend(args.args);
            let ended = runtime.block_on(command::run(workload, guest_args, background))?;
            std::mem::forget(ended.store);
            ended.status
        }
    };
    // A guest's reader of standard input may sit in a system call that nothing ends.
    std::mem::forget(runtime);
    Ok(status)
}

/// Ends the process some time after the deadline, for a guest that then sits in a system call that
/// nothing ends: a write to a pipe that nobody reads.
fn watch(deadline: Duration, workload: Arc<str>) -> std::io::Result<()> {
    thread::Builder::new().name("reef-deadline".into()).spawn(move || {
        thread::sleep(deadline.saturating_add(GRACE));
        let passed = Failure::Deadline { workload, passed: DeadlinePassed(deadline) };
        let status = i32::from(passed.exit_status());
        // Standard error may be the very pipe that nobody reads.
        let (said, saying) = mpsc::channel();
        thread::spawn(move || {
            eprintln!("reef: {passed}");
            let _ = said.send(());
        });
        let _ = saying.recv_timeout(GRACE);
        std::process::exit(status)
    })?;
    Ok(())
}
