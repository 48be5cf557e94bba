//! A workload: an artifact, what starts it, and what it may do and use.

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use reef_document::At;
use reef_grants::{ByteSize, CpuShare, DirGrant};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{name::Name, source::Source, template::Template, text::Written, trigger::Triggers};

/// A workload.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(deny_unknown_fields)]
pub struct Workload {
    /// What it is called, in messages, logs and metrics.
    pub name: At<Name>,
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Its artifact.
    pub source: At<Source>,
    /// The artifact's digest, `sha256:` and 64 hexadecimal digits: another one is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<At<String>>,
    /// What starts it.
    #[serde(default, skip_serializing_if = "Triggers::is_empty")]
    pub trigger: Triggers,
    /// Its environment variables.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, At<Template>>,
    /// Directories that it sees, by `HOST::GUEST[:ro]`; `HOST` from the manifest's folder on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dirs: Vec<At<Written<DirGrant>>>,
    /// Where it may connect: `api.example.com:443`, `*.example.com:443`, `10.0.0.0/8:5432`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub egress: Vec<At<Template>>,
    /// Where it may listen.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub listen: Vec<At<Written<SocketAddr>>>,
    /// How much it may use.
    #[serde(default, skip_serializing_if = "Limits::is_default")]
    pub limits: Limits,
    /// How many instances, and how they are used again.
    #[serde(default, skip_serializing_if = "Scale::is_default")]
    pub scale: Scale,
    /// How its artifact is built.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub build: Option<Build>,
}

/// How much a workload may use. What is not said has the host's default.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(deny_unknown_fields)]
pub struct Limits {
    /// Time for one request or run: `30s`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Written<Duration>>,
    /// Memory of one instance: `64MiB`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<Written<ByteSize>>,
    /// Processor time of the whole workload, in cores: `0.5`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu: Option<Written<CpuShare>>,
    /// Requests in progress at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests: Option<u32>,
    /// Requests that may wait beyond those.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue: Option<u32>,
    /// How long they may wait: `5s`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue_timeout: Option<Written<Duration>>,
}

/// How instances are used again.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(deny_unknown_fields)]
pub struct Scale {
    /// Requests that one instance serves in its life.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reuse: Option<u32>,
    /// Requests that one instance serves at once (WASI 0.3).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrent: Option<u32>,
    /// How long an instance without work is kept: `10s`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle: Option<Written<Duration>>,
}

/// How an artifact is built.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(deny_unknown_fields)]
pub struct Build {
    /// The command, for the shell.
    pub command: String,
    /// Where it runs, from the manifest's folder on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dir: Option<String>,
    /// The files that it is made from, as patterns: `src/**/*.rs`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub watch: Vec<String>,
}

impl Workload {
    /// A workload that nothing starts, and that may do nothing.
    pub fn new(name: Name, source: Source) -> Self {
        Self {
            name: name.into(),
            description: None,
            source: source.into(),
            digest: None,
            trigger: Triggers::default(),
            env: BTreeMap::new(),
            dirs: Vec::new(),
            egress: Vec::new(),
            listen: Vec::new(),
            limits: Limits::default(),
            scale: Scale::default(),
            build: None,
        }
    }
}

impl Limits {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl Scale {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}
