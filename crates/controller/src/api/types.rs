//! What is asked and answered.

use std::{collections::BTreeMap, fmt, time::Duration};

use reef_lattice::record::{Head, Namespace, Revision, Routing, Status};
use reef_planner::{Phase, Resources, RolloutState, Schedule, Time, Weights};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// Something that is asked for.
pub trait Request: Serialize + DeserializeOwned + Send + Sync {
    /// The last token of its subject.
    const OPERATION: &'static str;
    /// How long one answer is waited for before it is asked again, where doing it twice is as good as once.
    const AGAIN: Option<Duration>;
    /// What is answered.
    type Answer: Serialize + DeserializeOwned + Send;
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer<T> {
    /// What was asked for.
    Ok(T),
    /// Why not.
    Error(ApiError),
}

/// Why something was not done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub struct ApiError {
    /// For programs.
    pub code: Code,
    /// For people: what is wrong, and what to do about it.
    pub message: String,
    /// Where there are several, each of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub faults: Vec<String>,
}

/// Kinds of errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Code {
    /// There is no such thing.
    NotFound,
    /// It has changed since it was looked at.
    Conflict,
    /// The request, or what is in it, makes no sense.
    Invalid,
    /// A quota or an export does not allow it.
    Denied,
    /// It cannot be answered now; later it may.
    Unavailable,
    /// It is larger than the lattice keeps.
    TooLarge,
    /// Nobody knows such an operation: the controllers are of another version.
    Unknown,
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        self.faults.iter().try_for_each(|fault| write!(f, "\n  {fault}"))
    }
}

/// What a controller knows: whoever does not say it soon is cut off.
const SOON: Option<Duration> = Some(Duration::from_secs(2));
/// What is written to the store, which may take its time, or say why not.
const WRITTEN: Option<Duration> = Some(Duration::from_secs(8));

/// Declares a request and what is answered.
macro_rules! requests {
    ($($(#[doc = $doc:literal])* $name:ident, $operation:literal, $again:expr => $answer:ty {
        $($(#[$of_field:meta])* $field:ident: $type:ty,)*
    })*) => {$(
        $(#[doc = $doc])*
        #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
        pub struct $name {
            $($(#[$of_field])* pub $field: $type,)*
        }

        impl Request for $name {
            const OPERATION: &'static str = $operation;
            const AGAIN: Option<Duration> = $again;
            type Answer = $answer;
        }
    )*};
}

requests! {
    /// All hosts.
    GetHosts, "hosts", SOON => Vec<HostInfo> {}
    /// All applications.
    GetApps, "apps", SOON => Vec<AppInfo> {
        /// Those of one namespace.
        #[serde(default)]
        namespace: Option<String>,
    }
    /// What runs where.
    GetPlacements, "placements", SOON => Vec<PlacementInfo> {
        /// Those of one namespace.
        #[serde(default)]
        namespace: Option<String>,
        /// Those of one application.
        #[serde(default)]
        app: Option<String>,
    }
    /// All about an application.
    Describe, "describe", SOON => Description {
        /// Its namespace.
        namespace: String,
        /// Which.
        app: String,
    }
    /// The revisions of an application.
    GetHistory, "history", SOON => History {
        /// Its namespace.
        namespace: String,
        /// Which.
        app: String,
    }
    /// One revision.
    GetRevision, "revision", SOON => Revision {
        /// Its namespace.
        namespace: String,
        /// Which.
        app: String,
        /// Its number; the wanted one, or else the last, if not said.
        #[serde(default)]
        number: Option<u64>,
    }
    /// Accepts a revision, or says what would come of it. What is wanted already is accepted again, as it is: whoever
    /// has no answer asks once more.
    Accept, "accept", WRITTEN => Accepted {
        /// The namespace that it is for.
        namespace: String,
        /// What it is made of: manifest, values, files. Digests of artifacts are those in the manifest, or of
        /// `workloads`; the number, and what else is in `workloads`, is found out by who answers.
        revision: Option<Revision>,
        /// What it came of: `reef.toml`.
        cause: String,
        /// The revision that is to be the wanted one before; 0 is none. Whatever it is, if not said.
        #[serde(default)]
        expected: Option<u64>,
        /// Nothing is changed.
        #[serde(default)]
        dry_run: bool,
    }
    /// Has an application deleted, whatever runs of it stopped.
    Delete, "delete", WRITTEN => Changed {
        /// Its namespace.
        namespace: String,
        /// Which.
        app: String,
    }
    /// Has nothing of an application wanted, and all its revisions kept.
    Undeploy, "undeploy", WRITTEN => Changed {
        /// Its namespace.
        namespace: String,
        /// Which.
        app: String,
    }
    /// Has a revision wanted that there is.
    Deploy, "deploy", WRITTEN => Changed {
        /// Its namespace.
        namespace: String,
        /// Which.
        app: String,
        /// The number of the revision; the last one, if not said.
        #[serde(default)]
        number: Option<u64>,
    }
    /// Accepts a new revision that is like an earlier one.
    Rollback, "rollback", None => Accepted {
        /// Its namespace.
        namespace: String,
        /// Which.
        app: String,
        /// Like which one; the one before the wanted, if not said.
        #[serde(default)]
        to: Option<u64>,
        /// Nothing is changed.
        #[serde(default)]
        dry_run: bool,
    }
    /// Has so many instances, whatever the manifest says.
    Scale, "scale", WRITTEN => Changed {
        /// Its namespace.
        namespace: String,
        /// Its application.
        app: String,
        /// Which.
        workload: String,
        /// How many: in all, or on each host of a daemon. As many as the manifest says, if not said.
        #[serde(default)]
        instances: Option<u32>,
    }
    /// Says what a host is to take.
    SetSchedule, "schedule", WRITTEN => Changed {
        /// Which: its id, or its name if only one is called so.
        host: String,
        /// `open`, `cordoned` or `draining`.
        schedule: Schedule,
        /// Whether it ends once it is drained.
        #[serde(default)]
        leave: bool,
    }
    /// How rollouts of an application are.
    GetRollouts, "rollouts", SOON => Vec<RolloutInfo> {
        /// Its namespace.
        namespace: String,
        /// Which.
        app: String,
    }
    /// Pauses, resumes or aborts rollouts.
    SetRollout, "rollout", WRITTEN => Changed {
        /// The namespace.
        namespace: String,
        /// The application.
        app: String,
        /// Of which workload; of all that are rolled out, if not said.
        #[serde(default)]
        workload: Option<String>,
        /// What is to be.
        to: RolloutChange,
    }
    /// All namespaces that something is said of.
    GetNamespaces, "namespaces", SOON => BTreeMap<String, Namespace> {}
    /// Says what a namespace may have, and what of it others may use.
    SetNamespace, "namespace", WRITTEN => Changed {
        /// Which.
        name: String,
        /// What.
        namespace: Namespace,
    }
}

/// What is to become of a rollout.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RolloutChange {
    /// It stays as it is.
    #[default]
    Pause,
    /// It goes on.
    Resume,
    /// The revision before is gone back to.
    Abort,
}

/// A host.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HostInfo {
    /// Its id.
    pub id: String,
    /// What it is called.
    pub name: String,
    /// How it is in a word: `ready`, `cordoned`, `draining`, `drained`, `leaving`, `silent`.
    pub state: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// What it has.
    pub capacity: Resources,
    /// What of that is given to instances.
    pub given: Resources,
    /// What of that is used, as measured.
    pub load: Resources,
    /// Where others reach its HTTP.
    pub http: Option<String>,
    /// What it runs.
    pub version: String,
    /// Seconds since it started.
    pub up: u64,
    /// Milliseconds since it was last heard of.
    pub heard: u64,
    /// Instances on it.
    pub instances: u32,
    /// Those that are ready.
    pub ready: u32,
}

/// An application.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AppInfo {
    /// Its namespace.
    pub namespace: String,
    /// What it is called.
    pub app: String,
    /// The revision that is wanted.
    pub revision: Option<u64>,
    /// What its manifest calls that.
    pub version: Option<String>,
    /// How it is; none, where nobody has looked since it was last changed.
    pub phase: Option<Phase>,
    /// Instances that are wanted.
    pub wanted: u32,
    /// Instances that are there.
    pub running: u32,
    /// Those that are ready.
    pub ready: u32,
    /// Why it is not as it is wanted.
    pub reasons: Vec<String>,
    /// When its status changed.
    pub at: Time,
}

/// A workload on a host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlacementInfo {
    /// Its namespace.
    pub namespace: String,
    /// Its application.
    pub app: String,
    /// Which.
    pub workload: String,
    /// The number of the revision that it is made of.
    pub revision: u64,
    /// The id of the host.
    pub host: String,
    /// What the host is called.
    pub host_name: String,
    /// Whether the host is heard of.
    pub heard: bool,
    /// How many, as the host was told or says.
    pub instances: u32,
    /// Those that are ready.
    pub ready: u32,
    /// What is wrong with it.
    pub trouble: Option<String>,
}

/// A host that does not answer for an application as is wanted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unrouted {
    /// What it is called.
    pub host: String,
    /// Whether it has not all files, redirects and fixed answers; otherwise, where requests go is not known there.
    pub files: bool,
    /// Why it could not have them the last time.
    pub trouble: Option<String>,
}

impl fmt::Display for Unrouted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, files, trouble } = self;
        match (files, trouble) {
            (true, None) => write!(f, "files of it are on their way to {host}"),
            (true, Some(why)) => write!(f, "{host} does not have all files of it: {why}"),
            (false, _) => write!(f, "{host} does not know yet where requests for it go"),
        }
    }
}

/// All about an application.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Description {
    /// Its namespace.
    pub namespace: String,
    /// What it is called.
    pub app: String,
    /// The revision that is wanted.
    pub wanted: Option<u64>,
    /// Whether it is about to be gone.
    pub deleted: bool,
    /// The store's revision of what was last said of it. A status is of it, if its `of` is not less.
    pub of: u64,
    /// How it is, if that is known for what is wanted now.
    pub status: Option<Status>,
    /// Where its requests go.
    pub routing: Option<Routing>,
    /// Hosts that are heard of, and do not say that they answer for it as is wanted now.
    #[serde(default)]
    pub unrouted: Vec<Unrouted>,
    /// What runs where.
    pub placements: Vec<PlacementInfo>,
    /// Its rollouts.
    pub rollouts: Vec<RolloutInfo>,
    /// Instances that a person asked for, by workload.
    pub scaled: BTreeMap<String, u32>,
    /// Its last revisions, the oldest first.
    pub revisions: Vec<Head>,
}

/// The revisions of an application.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct History {
    /// The one that is wanted.
    pub wanted: Option<u64>,
    /// All that are kept, the oldest first.
    pub revisions: Vec<Head>,
}

/// A rollout.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RolloutInfo {
    /// Of which workload.
    pub workload: String,
    /// From which revision.
    pub from: Option<u64>,
    /// To which.
    pub to: u64,
    /// How far it is; none: it has not begun, or there was nothing to roll out.
    pub state: Option<RolloutState>,
    /// Shares of the traffic.
    pub weights: Option<Weights>,
    /// What was measured at this step.
    pub measured: Option<Measured>,
}

/// What was measured at a step of a rollout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Measured {
    /// Requests.
    pub requests: u64,
    /// Those that failed.
    pub errors: u64,
    /// Traps.
    pub traps: u64,
    /// Milliseconds of the percentile that its gate is for.
    pub latency_ms: u64,
}

/// A revision was accepted, or would be.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Accepted {
    /// Its number; with `unchanged`, that of the one that is there.
    pub number: u64,
    /// It is as the one that is wanted: there is no new one.
    pub unchanged: bool,
    /// The application was not there before.
    pub created: bool,
    /// The store's revision of it: a status of no less is about it.
    pub of: u64,
    /// What differs from the one before.
    pub differences: Vec<String>,
    /// What is done first, and why not more, with what there is now.
    pub plan: Vec<String>,
}

/// Something was changed, or was so already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changed {
    /// The store's revision of it: a status of no less is about it.
    pub of: u64,
}
