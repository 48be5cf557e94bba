//! What a workload's imports are bound to.

use std::collections::BTreeMap;

use reef_document::At;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{name::Name, source::Source, template::Template};

/// An import, and what it is bound to: exactly one of `workload`, `component` and `capability`.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(deny_unknown_fields)]
pub struct Link {
    /// The import: an interface (`acme:math/add`), a package (`wasi:keyvalue`), or a function's name.
    pub import: At<String>,
    /// Which of several of its kind, as the guest names it: `default` if not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Another workload, of this application if `application` is not said. Bound to `wasi:http`, requests to `http://NAME.internal`
    /// go to it without leaving the host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workload: Option<At<Name>>,
    /// The application that this workload is of, where that is another one of the lattice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub application: Option<At<Name>>,
    /// The namespace of that application, where that is another one, which must export it to this one's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<At<Name>>,
    /// A component that is composed into this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub component: Option<At<Source>>,
    /// Whether what that workload does may be done twice: a call or request that its host does not answer any more is then
    /// sent to another one, as one is of which nothing was done. Requests by GET, PUT, DELETE and the like always may.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotent: Option<At<bool>>,
    /// The digest of that component, `sha256:` and 64 hexadecimal digits: another one is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<At<String>>,
    /// The export of that component, where its name is another than the import's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub export: Option<String>,
    /// Whether what is composed in has the grants of this workload. Without, it has none, but for what a
    /// workload's own links to capabilities give it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub inherit: bool,
    /// A capability of the host: `key-value`, `blob-store`, `sql`, `messaging`, `config`, `secrets`; for `wasi:http` also `own-routes`,
    /// the routes of this application.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capability: Option<At<Name>>,
    /// Settings of the capability.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub config: BTreeMap<String, At<Template>>,
    /// What becomes of messages that are sent and values that are set while the host is cut off from what keeps them:
    /// `fail` if not said. How much may wait is the setting `offline-capacity`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offline: Option<At<Offline>>,
    /// Which value is kept where one was set elsewhere meanwhile: `last-writer` if not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub merge: Option<At<Merge>>,
}

/// What becomes of what is sent while a host is cut off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Offline {
    /// The guest is told that it failed.
    #[default]
    Fail,
    /// It is kept on the host, and goes out when the host is back.
    Queue,
}

/// Which of two values is kept that were set while a host was cut off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Merge {
    /// The one that was set later, by the hosts' clocks.
    #[default]
    LastWriter,
    /// The one that somebody else set since the host was cut off, if somebody did.
    FirstWriter,
}

impl Link {
    /// The workload of the same application that it is bound to.
    pub fn own_workload(&self) -> Option<&At<Name>> {
        self.workload.as_ref().filter(|_| self.application.is_none())
    }

    /// Whether what is called by it may be done twice.
    pub fn is_idempotent(&self) -> bool {
        self.idempotent.as_ref().is_some_and(|one| one.value)
    }

    /// An import that is bound to nothing yet.
    pub fn of(import: impl Into<String>) -> Self {
        Self {
            import: import.into().into(),
            name: None,
            workload: None,
            application: None,
            namespace: None,
            component: None,
            idempotent: None,
            digest: None,
            export: None,
            inherit: false,
            capability: None,
            config: BTreeMap::new(),
            offline: None,
            merge: None,
        }
    }
}
