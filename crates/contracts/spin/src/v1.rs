//! Version 1 of the manifest: one trigger type, its parameters with each component.
//!
//! Source: Spin's `crates/manifest/src/{schema/v1,compat}.rs`.

use std::collections::BTreeMap;

use reef_document::At;
use serde::{Deserialize, de::IgnoredAny};

use crate::{
    field::Field,
    schema::{Build, Placement, Remote, Table, Variable},
};

#[derive(Deserialize)]
pub(crate) struct Manifest {
    #[serde(rename = "spin_manifest_version")]
    pub(crate) _version: Option<IgnoredAny>,
    #[serde(rename = "spin_version")]
    pub(crate) _older: Option<IgnoredAny>,
    pub(crate) name: Option<Field<String>>,
    pub(crate) version: Option<Field<String>>,
    pub(crate) description: Option<Field<String>>,
    pub(crate) authors: Option<Field<Vec<String>>>,
    /// `type`, and the settings of that type.
    pub(crate) trigger: Option<Field<()>>,
    pub(crate) variables: Option<Field<Table<Variable>>>,
    pub(crate) component: Option<Field<Vec<Field<Component>>>>,
}

#[derive(Deserialize)]
pub(crate) struct Component {
    pub(crate) id: Option<At<String>>,
    source: Option<Field<Remote>>,
    pub(crate) trigger: Option<Field<()>>,
    description: Option<Field<String>>,
    config: Option<Field<BTreeMap<At<String>, At<String>>>>,
    environment: Option<Field<BTreeMap<String, At<String>>>>,
    files: Option<Field<Vec<Field<Placement>>>>,
    exclude_files: Option<Field<Vec<At<String>>>>,
    allowed_http_hosts: Option<Field<Vec<At<String>>>>,
    allowed_outbound_hosts: Option<Field<Vec<At<String>>>>,
    key_value_stores: Option<Field<Vec<At<String>>>>,
    sqlite_databases: Option<Field<Vec<At<String>>>>,
    ai_models: Option<Field<Vec<At<String>>>>,
    build: Option<Field<Build>>,
}

impl From<Component> for crate::schema::Component {
    fn from(first: Component) -> Self {
        Self {
            source: first.source,
            description: first.description,
            variables: first.config,
            environment: first.environment,
            files: first.files,
            exclude_files: first.exclude_files,
            allowed_http_hosts: first.allowed_http_hosts,
            allowed_outbound_hosts: first.allowed_outbound_hosts,
            key_value_stores: first.key_value_stores,
            sqlite_databases: first.sqlite_databases,
            ai_models: first.ai_models,
            build: first.build,
            ..Self::default()
        }
    }
}
