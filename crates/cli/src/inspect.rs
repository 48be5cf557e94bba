//! `reef inspect`: what a file is and what it needs, for people and for machines.

use std::io::{self, Write};

use anyhow::Result;
use reef_artifact::{Artifact, CanRun, Error, Provided, report};

/// What to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Show {
    /// The report for people; with a host to check against, only the answer per import.
    Report,
    /// The document of `reef_artifact::Inspection`; with a host, its field `can_run` too.
    Json,
    /// A component's interface types.
    Wit,
    /// The text form.
    Wat,
}

/// Writes what `show` says about the artifact.
///
/// `host` is what this host provides, when the question is whether it can run the artifact. The
/// answer is returned, and is `true` when the question was not asked.
pub(crate) fn inspect(
    artifact: &Artifact,
    show: Show,
    host: Option<&[Provided]>,
    out: &mut impl Write,
) -> Result<bool> {
    match write(artifact, show, host, out) {
        // The reader (`| head`) has seen enough: that says nothing about the artifact.
        Err(error) if is_broken_pipe(&error) => Ok(true),
        answer => answer,
    }
}

fn write(
    artifact: &Artifact,
    show: Show,
    host: Option<&[Provided]>,
    out: &mut impl Write,
) -> Result<bool> {
    match show {
        Show::Wit => out.write_all(artifact.wit()?.as_bytes())?,
        Show::Wat => artifact.write_wat(out)?,
        Show::Report | Show::Json => {
            let inspection = artifact.inspect()?;
            let answer = host.map(|host| CanRun::check(&inspection, host));
            match (show, &answer) {
                (Show::Json, answer) => report::json(out, &inspection, answer.as_ref())?,
                (_, Some(answer)) => report::can_run(out, &inspection, answer)?,
                (_, None) => report::human(out, &inspection)?,
            }
            out.flush()?;
            return Ok(answer.is_none_or(|answer| answer.all_satisfied()));
        }
    }
    out.flush()?;
    Ok(true)
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let kind = match error.downcast_ref::<Error>() {
        Some(Error::Output { kind, .. }) => Some(*kind),
        _ => error.downcast_ref::<io::Error>().map(io::Error::kind),
    };
    kind == Some(io::ErrorKind::BrokenPipe)
}
