//! Why a workload is not as it is wanted, in words that say what to do about it.

use std::fmt;

use serde::Serialize;

use crate::{
    desired::{Labels, MOST_INSTANCES},
    id::{Id, Time},
    observed::RollbackCause,
    resources::{Bytes, Cores, Resources},
};

/// Why a workload is not as it is wanted.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// Instances have no host.
    NoHost(Shortage),
    /// A host of a daemon has no room for its instances.
    DaemonWithoutRoom {
        /// How many hosts.
        hosts: u32,
        /// One of them.
        example: Id,
        /// What one instance asks for.
        requests: Resources,
    },
    /// The namespace has used up its quota.
    Quota {
        /// Which.
        namespace: Id,
        /// Of what: instances, memory, CPU.
        of: QuotaOf,
        /// How much it may have.
        limit: u64,
        /// How many instances of the workload are left out.
        missing: u32,
    },
    /// More instances than are planned for one workload.
    TooMany {
        /// How many are wanted.
        wanted: u64,
    },
    /// It crashed, and waits before it is started again.
    BackOff {
        /// How often, one after the other.
        crashes: u32,
        /// Until when it waits.
        until: Time,
    },
    /// Instances that are to be elsewhere, or to be replaced, run on until enough others are ready.
    Budget {
        /// How many.
        kept: u32,
        /// How many have to be ready.
        floor: u32,
        /// How many are.
        ready: u32,
    },
    /// Instances have a host, whose memory or processors are still taken by what is about to leave it.
    NotYetFree {
        /// How many.
        instances: u32,
        /// One of the hosts.
        example: Id,
    },
    /// Hosts with instances are not heard of.
    Silent {
        /// How many.
        hosts: u32,
        /// When instances there count as lost.
        until: Time,
    },
    /// The rollout waits for a person.
    Paused,
    /// A step of the rollout has had its time, and too few requests to be judged by.
    TooFewRequests {
        /// How many there were.
        measured: u64,
        /// How many make a measure.
        wanted: u64,
    },
    /// The rollout went back to the revision before.
    RolledBack {
        /// From which one.
        revision: u64,
        /// Why.
        cause: RollbackCause,
    },
}

/// What a quota is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum QuotaOf {
    /// Instances.
    Instances,
    /// Memory in bytes.
    Memory,
    /// Thousandths of a core.
    Cpu,
}

/// Instances without a host, and what the hosts lack. Each host counts once, for the first thing that it lacks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Shortage {
    /// The part of the spread; empty, where the workload has no parts.
    pub spread: Id,
    /// The labels that it asks for.
    pub requirements: Labels,
    /// What one instance asks for.
    pub requests: Resources,
    /// How many instances have no host.
    pub missing: u32,
    /// Hosts that there are.
    pub hosts: u32,
    /// Hosts that the rules allow.
    pub matching: u32,
    /// Those of them that are cordoned or drained.
    pub closed: u32,
    /// Those that are not heard of.
    pub silent: u32,
    /// Those without enough memory.
    pub memory: u32,
    /// Those without enough of their processors left.
    pub cpu: u32,
    /// Those that have as many as the rules allow on one host.
    pub full: u32,
    /// Those that need room for one more, so that a new one is ready before the old one that it replaces stops.
    pub surge: u32,
    /// Those in a failure domain that is too far ahead of another one.
    pub skew: u32,
    /// The emptiest failure domain that holds the others up, where that is so.
    pub domain: Option<Id>,
}

impl Reason {
    /// Whether only a change of hosts, rules or revision helps.
    pub(crate) fn is_failure(&self) -> bool {
        match self {
            Self::NoHost(shortage) => shortage.matching == 0,
            Self::TooMany { .. } | Self::RolledBack { .. } => true,
            _ => false,
        }
    }

    /// Whether something else has to change before more can be done.
    pub(crate) fn is_wait(&self) -> bool {
        matches!(
            self,
            Self::NoHost(_) | Self::DaemonWithoutRoom { .. } | Self::Quota { .. } | Self::Paused
        )
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoHost(shortage) => shortage.fmt(f),
            Self::DaemonWithoutRoom { hosts, example, requests } => write!(
                f,
                "{hosts} hosts, among them {example}, have no room for {requests} per instance: free some, ask for \
                 less, or leave them out by a label"
            ),
            Self::Quota { namespace, of, limit, missing } => {
                write!(
                    f,
                    "{missing} instances are left out: the quota of namespace {namespace} is "
                )?;
                match of {
                    QuotaOf::Instances => write!(f, "{limit} instances")?,
                    QuotaOf::Memory => write!(f, "{} of memory", Bytes(*limit))?,
                    QuotaOf::Cpu => write!(f, "{} cores", Cores(*limit))?,
                }
                f.write_str(", and all of it is given: raise it, or scale something down")
            }
            Self::TooMany { wanted } => {
                write!(
                    f,
                    "{wanted} instances are wanted; {MOST_INSTANCES} are the most of one workload"
                )
            }
            Self::BackOff { crashes, until } => write!(
                f,
                "crashed {crashes} times in a row: started again at {}; see its log for why",
                until.0
            ),
            Self::Budget { kept, floor, ready } => write!(
                f,
                "{kept} instances to be stopped run on: {ready} are ready, and {floor} must be once they have stopped"
            ),
            Self::NotYetFree { instances, example } => write!(
                f,
                "{instances} instances wait for room on hosts such as {example}, which is taken until others leave; \
                 where that does not happen, allow some to be unavailable"
            ),
            Self::Silent { hosts, until } => write!(
                f,
                "{hosts} hosts with instances are not heard of: these are replaced at {}",
                until.0
            ),
            Self::Paused => f.write_str("the rollout is paused: resume or abort it"),
            Self::TooFewRequests { measured, wanted } => write!(
                f,
                "the step goes on: {measured} requests were measured, and {wanted} are needed to judge"
            ),
            Self::RolledBack { revision, cause } => {
                write!(f, "revision {revision} was rolled back: {cause}")
            }
        }
    }
}

impl fmt::Display for RollbackCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Aborted => f.write_str("it was aborted"),
            Self::Errors { measured, limit } => {
                write!(f, "{measured} of a million requests failed, {limit} may")
            }
            Self::Latency { measured, limit } => {
                write!(f, "requests took {measured} ms, {limit} ms is the limit")
            }
            Self::Traps { measured, limit } => write!(f, "{measured} traps, {limit} may be"),
            Self::Deadline => f.write_str("it was not ready in time"),
        }
    }
}

impl fmt::Display for Shortage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} instances have no host", self.missing)?;
        if !self.spread.is_empty() {
            write!(f, " (spread {}", self.spread)?;
            for (at, (label, value)) in self.requirements.iter().enumerate() {
                write!(f, "{} {label}={value}", if at == 0 { ":" } else { "," })?;
            }
            f.write_str(")")?;
        }
        if self.hosts == 0 {
            return f.write_str(": there are no hosts; start one");
        }
        if self.matching == 0 {
            return write!(
                f,
                ": none of {} hosts fits the rules; label some, or change the rules",
                self.hosts
            );
        }
        write!(f, ": of {} hosts that fit the rules", self.matching)?;
        let mut between = ", ";
        let mut lack = |count: u32, what: &dyn fmt::Display| {
            if count == 0 {
                return Ok(());
            }
            write!(f, "{between}{count} {what}")?;
            between = ", ";
            Ok(())
        };
        lack(self.closed, &"are cordoned or drained")?;
        lack(self.silent, &"are not heard of")?;
        lack(
            self.memory,
            &format_args!("lack memory ({} are asked for)", Bytes(self.requests.memory)),
        )?;
        lack(
            self.cpu,
            &format_args!("lack CPU ({} cores are asked for)", Cores(self.requests.cpu)),
        )?;
        lack(self.full, &"have as many as may be on one host")?;
        lack(
            self.surge,
            &"have no room for a new one beside the old (allow some to be unavailable)",
        )?;
        lack(self.skew, &"are in a failure domain too far ahead of the emptiest")?;
        match &self.domain {
            Some(domain) => write!(f, "; {domain} is the emptiest"),
            None => Ok(()),
        }
    }
}
