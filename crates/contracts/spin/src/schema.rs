//! The fields of `spin.toml`, version 2, and those that version 1 has in common with it.
//!
//! Source: Spin's `crates/manifest/src/schema/{v2,common}.rs`, and for triggers the configuration type
//! of each (`crates/http/src/config.rs`, `crates/trigger-redis`, the trigger plugins).

use std::{collections::BTreeMap, ops::Range};

use reef_document::{At, Many};
use serde::{Deserialize, de::IgnoredAny};

use crate::field::Field;

/// Values by names that whoever wrote the manifest gave them.
pub(crate) type Table<T> = BTreeMap<At<String>, Field<T>>;

#[derive(Deserialize)]
pub(crate) struct Manifest {
    #[serde(rename = "spin_manifest_version")]
    pub(crate) _version: Option<IgnoredAny>,
    pub(crate) application: Option<Field<Details>>,
    pub(crate) variables: Option<Field<Table<Variable>>>,
    pub(crate) trigger: Option<Field<Table<Vec<Field<()>>>>>,
    pub(crate) component: Option<Field<Table<Component>>>,
}

#[derive(Deserialize)]
pub(crate) struct Details {
    pub(crate) name: Option<Field<String>>,
    pub(crate) version: Option<Field<String>>,
    pub(crate) description: Option<Field<String>>,
    pub(crate) authors: Option<Field<Vec<String>>>,
    pub(crate) trigger: Option<Field<Table<()>>>,
    #[serde(rename = "targets")]
    pub(crate) _targets: Option<IgnoredAny>,
    #[serde(rename = "tool")]
    pub(crate) _tool: Option<IgnoredAny>,
}

#[derive(Deserialize)]
pub(crate) struct Variable {
    pub(crate) description: Option<String>,
    #[serde(default)]
    pub(crate) required: bool,
    pub(crate) default: Option<At<String>>,
    #[serde(default)]
    pub(crate) secret: bool,
}

#[derive(Clone, Default, Deserialize)]
pub(crate) struct Component {
    /// Text, or a [`Remote`].
    pub(crate) source: Option<Field<Remote>>,
    pub(crate) description: Option<Field<String>>,
    pub(crate) variables: Option<Field<BTreeMap<At<String>, At<String>>>>,
    pub(crate) environment: Option<Field<BTreeMap<String, At<String>>>>,
    /// Each is text, or a [`Placement`].
    pub(crate) files: Option<Field<Vec<Field<Placement>>>>,
    pub(crate) exclude_files: Option<Field<Vec<At<String>>>>,
    pub(crate) allowed_http_hosts: Option<Field<Vec<At<String>>>>,
    pub(crate) allowed_outbound_hosts: Option<Field<Vec<At<String>>>>,
    pub(crate) key_value_stores: Option<Field<Vec<At<String>>>>,
    pub(crate) sqlite_databases: Option<Field<Vec<At<String>>>>,
    pub(crate) ai_models: Option<Field<Vec<At<String>>>>,
    pub(crate) build: Option<Field<Build>>,
    pub(crate) dependencies_inherit_configuration: Option<Field<bool>>,
    /// Each is text, or a [`Dependency`].
    pub(crate) dependencies: Option<Field<Table<Dependency>>>,
    pub(crate) profile: Option<Field<Table<Profile>>>,
    #[serde(rename = "targets")]
    pub(crate) _targets: Option<IgnoredAny>,
    #[serde(rename = "tool")]
    pub(crate) _tool: Option<IgnoredAny>,
}

/// A source that is not in the manifest's folder.
#[derive(Deserialize)]
pub(crate) struct Remote {
    pub(crate) url: Option<At<String>>,
    pub(crate) digest: Option<At<String>>,
    pub(crate) registry: Option<At<String>>,
    pub(crate) package: Option<At<String>>,
    pub(crate) version: Option<At<String>>,
}

#[derive(Deserialize)]
pub(crate) struct Placement {
    pub(crate) source: At<String>,
    pub(crate) destination: At<String>,
}

#[derive(Deserialize)]
pub(crate) struct Build {
    pub(crate) command: Many<String>,
    pub(crate) workdir: Option<At<String>>,
    #[serde(default)]
    pub(crate) watch: Vec<String>,
}

/// What differs in a profile.
#[derive(Deserialize)]
pub(crate) struct Profile {
    pub(crate) source: Option<Field<Remote>>,
    pub(crate) environment: Option<Field<BTreeMap<String, At<String>>>>,
    pub(crate) dependencies: Option<Field<Table<Dependency>>>,
    pub(crate) build: Option<Field<ProfileBuild>>,
}

#[derive(Deserialize)]
pub(crate) struct ProfileBuild {
    pub(crate) command: Many<String>,
}

/// A component that is put into another, or in front of it.
#[derive(Deserialize)]
pub(crate) struct Dependency {
    pub(crate) version: Option<At<String>>,
    pub(crate) registry: Option<At<String>>,
    pub(crate) package: Option<At<String>>,
    pub(crate) path: Option<At<String>>,
    pub(crate) url: Option<At<String>>,
    pub(crate) digest: Option<At<String>>,
    pub(crate) component: Option<At<String>>,
    pub(crate) export: Option<At<String>>,
    /// True, false, or a list of what is inherited.
    pub(crate) inherit_configuration: Option<Field<()>>,
}

/// What the triggers of every type have.
#[derive(Clone)]
pub(crate) struct Common {
    /// Where the trigger stands.
    pub(crate) span: Range<usize>,
    pub(crate) id: Option<Field<String>>,
    /// Text, or a component.
    pub(crate) component: Option<Field<Component>>,
    pub(crate) components: Option<Field<()>>,
    pub(crate) dependencies: Option<Field<Table<Vec<Field<Dependency>>>>>,
}

/// The fields of a trigger: those of every type, and those of its own.
macro_rules! trigger {
    ($(#[$attribute:meta])* $name:ident { $($field:ident: $type:ty,)* }) => {
        $(#[$attribute])*
        #[derive(Deserialize)]
        pub(crate) struct $name {
            id: Option<Field<String>>,
            component: Option<Field<Component>>,
            components: Option<Field<()>>,
            dependencies: Option<Field<Table<Vec<Field<Dependency>>>>>,
            $(pub(crate) $field: Option<$type>,)*
        }

        impl $name {
            pub(crate) fn common(&self, span: Range<usize>) -> Common {
                Common {
                    span,
                    id: self.id.clone(),
                    component: self.component.clone(),
                    components: self.components.clone(),
                    dependencies: self.dependencies.clone(),
                }
            }
        }
    };
}

trigger!(HttpTrigger {
    // Text, or `{ private = true }`.
    route: Field<Private>,
    executor: Field<Executor>,
    static_response: Field<StaticResponse>,
});
trigger!(RedisTrigger {
    channel: At<String>,
    address: At<String>,
});
trigger!(CronTrigger {
    cron_expression: At<String>,
});
trigger!(MqttTrigger {
    topic: At<String>,
    // Text, or a number.
    qos: Field<u8>,
});
trigger!(CommandTrigger {});

#[derive(Deserialize)]
pub(crate) struct Private {
    pub(crate) private: bool,
}

#[derive(Deserialize)]
pub(crate) struct Executor {
    pub(crate) r#type: At<String>,
    pub(crate) argv: Option<At<String>>,
    pub(crate) entrypoint: Option<At<String>>,
}

#[derive(Deserialize)]
pub(crate) struct StaticResponse {
    pub(crate) status_code: Option<At<u16>>,
    #[serde(default)]
    pub(crate) headers: BTreeMap<At<String>, At<String>>,
    pub(crate) body: Option<At<String>>,
}

/// `application.trigger.http`: version 1 alone has something there.
#[derive(Deserialize)]
pub(crate) struct HttpDefaults {
    pub(crate) base: Option<At<String>>,
}

#[derive(Deserialize)]
pub(crate) struct RedisDefaults {
    pub(crate) address: Option<At<String>>,
}

#[derive(Deserialize)]
pub(crate) struct MqttDefaults {
    pub(crate) address: Option<At<String>>,
    pub(crate) username: Option<At<String>>,
    pub(crate) password: Option<At<String>>,
    /// Seconds, as text or a number.
    pub(crate) keep_alive_interval: Option<Field<u64>>,
}

/// Of the other types.
#[derive(Deserialize)]
pub(crate) struct NoDefaults {}
