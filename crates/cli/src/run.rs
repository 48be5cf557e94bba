//! `reef run`.

use std::sync::Arc;

use reef_engine::{Allocation, Background, ByteSize, Limits};
use reef_host::{command, invoke};

use crate::{
    args::{Log, Run},
    guest,
};

/// Runs a guest once, and returns its exit status.
pub(crate) fn run(args: Run, log: &Log) -> anyhow::Result<i32> {
    guest::log(log, "warn")?;
    let grants = guest::grants(&args.grants)?;
    let default = Limits { memory: ByteSize(2 << 30), ..Limits::default() };
    let limits = guest::limits(&args.limits, default);
    let call = args.invoke.as_deref().map(str::parse::<invoke::Call>).transpose()?;

    let artifact = guest::read(&args.file)?;
    let engine = guest::engine(&args.cache, Allocation::OnDemand);
    let shares = limits.cpu.is_some();
    let name = guest::name_of(&args.file);
    let workload = guest::prepare(&engine, &artifact, name, grants, limits)?;

    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let background =
        shares.then(|| Arc::new(Background::new(1, runtime.handle().clone())));
    let status = match call {
        Some(call) => {
            let output = args.output.map_or(invoke::Output::Print, invoke::Output::File);
            runtime.block_on(invoke::invoke(workload, call, output, background))?
        }
        None => {
            let mut guest_args = vec![args.file.display().to_string()];
            guest_args.extend(args.args);
            runtime.block_on(command::run(workload, guest_args, background))?
        }
    };
    // A guest's reader of standard input may sit in a system call that nothing ends.
    runtime.shutdown_background();
    Ok(status)
}
