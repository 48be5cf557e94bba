//! A route among ten thousand.

use anyhow::{Context, Result};

use super::Effort;
use super::record::{Bench, Target};
use super::tools::Tools;
use crate::process;

pub(super) fn measure(tools: &Tools<'_>, effort: Effort, bench: &mut Bench) -> Result<()> {
    let routes = tools.routes()?;
    bench.begin();
    for _ in 0..effort.rounds {
        let printed = process::capture(&mut routes.command())?;
        let took = printed.trim().parse().context("what it took is not a number")?;
        bench.push("routes", "match", took);
    }
    let target = Some(Target::Below(1.0));
    bench.state("a route found among 10,000", ("match", "µs"), "routes", target);
    bench.note("The mean over 10,000 paths and hosts, one for each route, of one thread.".into());
    Ok(())
}
