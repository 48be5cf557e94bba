//! What is worth telling of what happened.

use std::{fmt, sync::Arc};

use reef_planner::{Id, Phase, Verdict, WorkloadKey};

use super::records::{AppKey, Name};

/// Something that a log says.
#[derive(Clone, Debug, PartialEq)]
pub enum Note {
    /// This controller leads from now on.
    Leads {
        /// The term.
        term: u64,
    },
    /// It does not any more.
    Deposed {
        /// The term that ended.
        term: u64,
    },
    /// Hosts are waited for that were told to run something, and have not been heard of yet.
    WaitsForHosts {
        /// How many.
        hosts: usize,
    },
    /// A host is heard of, for the first time or again.
    Heard {
        /// Which.
        host: Id,
        /// What it is called.
        name: Arc<str>,
    },
    /// A host is not heard of.
    Silent {
        /// Which.
        host: Id,
    },
    /// A host said that it leaves.
    Left {
        /// Which.
        host: Id,
    },
    /// A host was not heard of for so long that it is forgotten.
    Forgotten {
        /// Which.
        host: Id,
    },
    /// An application is in another phase.
    Phase {
        /// Which.
        app: AppKey,
        /// As it was.
        from: Option<Phase>,
        /// As it is.
        to: Phase,
        /// Why it is not as it is wanted.
        reason: Option<String>,
    },
    /// A rollout went on, stopped, went back.
    Rollout {
        /// Of which workload.
        workload: WorkloadKey,
        /// To which revision.
        revision: u64,
        /// How it is.
        verdict: Verdict,
        /// At which step.
        step: u32,
    },
    /// What something is to be could not be written.
    NotWritten {
        /// What.
        name: Name,
        /// Why.
        why: String,
    },
}

impl Note {
    /// Whether somebody should look at it.
    pub fn is_warning(&self) -> bool {
        match self {
            Self::Silent { .. } | Self::Forgotten { .. } | Self::NotWritten { .. } => true,
            Self::Phase { to, .. } => matches!(to, Phase::Failed | Phase::Unhealthy),
            Self::Rollout { verdict, .. } => matches!(verdict, Verdict::RolledBack(_)),
            _ => false,
        }
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Leads { term } => write!(f, "leads the lattice, in term {term}"),
            Self::Deposed { term } => write!(f, "does not lead any more; term {term} is over"),
            Self::WaitsForHosts { hosts } => {
                write!(f, "waits for {hosts} hosts that run something and were not heard of yet")
            }
            Self::Heard { host, name } => write!(f, "host {name} ({host}) is heard of"),
            Self::Silent { host } => write!(f, "host {host} is not heard of"),
            Self::Left { host } => write!(f, "host {host} has left"),
            Self::Forgotten { host } => {
                write!(f, "host {host} is forgotten: it was not heard of for too long")
            }
            Self::Phase { app, from, to, reason } => {
                write!(f, "application {app} is {}", word(*to))?;
                if let Some(from) = from {
                    write!(f, ", and was {}", word(*from))?;
                }
                reason.iter().try_for_each(|reason| write!(f, ": {reason}"))
            }
            Self::Rollout { workload, revision, verdict, step } => {
                write!(f, "rollout of {workload} to revision {revision} ")?;
                match verdict {
                    Verdict::Going => write!(f, "is at step {}", step + 1),
                    Verdict::Paused => f.write_str("is paused"),
                    Verdict::Complete => f.write_str("is complete"),
                    Verdict::RolledBack(cause) => write!(f, "went back: {cause}"),
                }
            }
            Self::NotWritten { name, why } => write!(f, "{name} could not be written: {why}"),
        }
    }
}

/// A phase as people read it.
pub(crate) fn word(phase: Phase) -> &'static str {
    match phase {
        Phase::Deployed => "deployed",
        Phase::Unhealthy => "unhealthy",
        Phase::Reconciling => "reconciling",
        Phase::Waiting => "waiting",
        Phase::Undeployed => "undeployed",
        Phase::Failed => "failed",
    }
}
