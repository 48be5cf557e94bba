//! A workload: an artifact, what starts it, and what it may do and use.

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use reef_document::At;
use reef_grants::{ByteSize, CpuShare, DirGrant, ScratchGrant, VolumeGrant};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    link::Link,
    name::Name,
    rollout::Rollout,
    scale::Scale,
    source::Source,
    template::Template,
    text::Written,
    trigger::{Labels, Triggers},
};

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
    /// The language runtime that runs its source, where that is a script: `javascript`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runtime: Option<At<Name>>,
    /// What starts it.
    #[serde(default, skip_serializing_if = "Triggers::is_empty")]
    pub trigger: Triggers,
    /// Its environment variables.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, At<Template>>,
    /// Its configuration, as `wasi:config` tells it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub config: BTreeMap<String, At<Template>>,
    /// Files that it sees, read-only.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<Files>,
    /// Directories that it sees, by `HOST::GUEST[:ro]`; `HOST` from the manifest's folder on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dirs: Vec<At<Written<DirGrant>>>,
    /// A directory of its own, empty when it starts and gone when it ends, that its instances share: how much may be
    /// in it, as in `64MiB`, and where it sees it if that is not `/tmp`, as in `64MiB::/var/cache`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scratch: Option<At<Written<ScratchGrant>>>,
    /// Volumes of the application that it sees, by `NAME::GUEST[:ro]`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub volumes: Vec<At<Written<VolumeGrant>>>,
    /// Where it may connect: `api.example.com:443`, `*.example.com:443`, `10.0.0.0/8:5432`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub egress: Vec<At<Template>>,
    /// Whom its requests over TLS trust, and as whom they come.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,
    /// Where it may listen.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub listen: Vec<At<Written<SocketAddr>>>,
    /// What its imports are bound to.
    #[serde(default, rename = "link", skip_serializing_if = "Vec::is_empty")]
    pub links: Vec<Link>,
    /// How much it may use.
    #[serde(default, skip_serializing_if = "Limits::is_default")]
    pub limits: Limits,
    /// How many instances, where they run, and how they are used again.
    #[serde(default, skip_serializing_if = "Scale::is_default")]
    pub scale: Scale,
    /// How one revision of it gives way to the next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollout: Option<Rollout>,
    /// What shows that it is ready to take over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ready: Option<Ready>,
    /// How its artifact is built.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub build: Option<Build>,
    /// What others say of it.
    #[serde(default, skip_serializing_if = "Labels::is_empty")]
    pub labels: Labels,
}

impl Workload {
    /// Those of its grants that a component composed into another one has not: what they are called in a manifest.
    /// Its configuration, its links and whom it trusts it keeps.
    pub fn ungranted_as_a_part(&self) -> Vec<&'static str> {
        let all = [
            ("env", !self.env.is_empty()),
            ("files", !self.files.is_empty()),
            ("dirs", !self.dirs.is_empty()),
            ("scratch", self.scratch.is_some()),
            ("volumes", !self.volumes.is_empty()),
            ("egress", !self.egress.is_empty()),
            ("listen", !self.listen.is_empty()),
        ];
        all.into_iter().filter_map(|(name, there)| there.then_some(name)).collect()
    }
}

/// Files that a workload sees, read-only: copies of those there were when it was deployed.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(deny_unknown_fields)]
pub struct Files {
    /// A folder, a file, or a pattern of files: `images/*.png`; from the manifest's folder on.
    pub from: At<String>,
    /// Where the guest sees them: what is in the folder, the file itself. A pattern's files keep their
    /// paths below it; `/` if not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<At<String>>,
    /// Those that are left out, as patterns.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub except: Vec<At<String>>,
}

/// Whom a workload's requests over TLS trust, and as whom they come: files, from the manifest's folder on, which
/// are read when it is deployed.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(deny_unknown_fields)]
pub struct Tls {
    /// Root certificates (PEM), in place of those of the machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub roots: Option<At<String>>,
    /// The client's certificate (PEM), and those that lead to its root.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cert: Option<At<String>>,
    /// The key of that certificate (PEM).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<At<String>>,
}

/// What shows that a workload is ready: the answer to a request.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(deny_unknown_fields)]
pub struct Ready {
    /// The path of the request, which a 2xx status answers.
    pub path: At<String>,
    /// How long that may take: `10s` if not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub within: Option<Written<Duration>>,
}

/// How much a workload may use. What is not said has the host's default.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(deny_unknown_fields)]
pub struct Limits {
    /// Time for one request or run: `30s`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Written<Duration>>,
    /// Memory of one instance: `64MiB`. In a lattice, a host has it for each.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<Written<ByteSize>>,
    /// Processor time of the whole workload, in cores: `0.5`. In a lattice, a host has it for each instance.
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
    /// Outgoing requests of one instance at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outgoing: Option<u32>,
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
    /// The files that it is made from, as patterns: `src/**/*.rs`; from the manifest's folder on.
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
            runtime: None,
            trigger: Triggers::default(),
            env: BTreeMap::new(),
            config: BTreeMap::new(),
            files: Vec::new(),
            dirs: Vec::new(),
            scratch: None,
            volumes: Vec::new(),
            egress: Vec::new(),
            tls: None,
            listen: Vec::new(),
            links: Vec::new(),
            limits: Limits::default(),
            scale: Scale::default(),
            rollout: None,
            ready: None,
            build: None,
            labels: Labels::new(),
        }
    }

    /// Every value of it that may refer to variables.
    pub fn templates(&self) -> impl Iterator<Item = &At<Template>> {
        let values = self.env.values().chain(self.config.values());
        let settings = self.links.iter().flat_map(|link| link.config.values());
        values.chain(&self.egress).chain(settings).chain(self.trigger.templates())
    }
}

impl Limits {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}
