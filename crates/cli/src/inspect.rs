//! `reef inspect`.

use std::io::{self, BufWriter, Write as _};

use reef_artifact::{CanRun, report};

use crate::{
    args::{CacheArgs, Inspect},
    source,
};

/// Prints what a file is; the status is 1 when `--can-run` finds something missing.
pub(crate) fn inspect(args: &Inspect) -> anyhow::Result<i32> {
    let artifact = source::artifact(&args.file, None, &CacheArgs::from_env(), &args.sources)?;
    let mut out = BufWriter::new(io::stdout().lock());
    if args.wit {
        write!(out, "{}", artifact.wit()?)?;
    } else if args.wat {
        artifact.write_wat(&mut out)?;
    } else {
        let inspection = artifact.inspect()?;
        let answer = args.can_run.then(|| CanRun::check(&inspection, &reef_wasi::provided()));
        match (&answer, args.json) {
            (_, true) => report::json(&mut out, &inspection, answer.as_ref())?,
            (Some(answer), false) => report::can_run(&mut out, &inspection, answer)?,
            (None, false) => report::human(&mut out, &inspection)?,
        }
        out.flush()?;
        return Ok(answer.is_some_and(|answer| !answer.all_satisfied()).into());
    }
    out.flush()?;
    Ok(0)
}
