//! An application, and the document that it is read from.

use std::collections::BTreeMap;

use reef_document::{At, Diagnostic, Diagnostics, Node, Syntax, decode, parse};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    check::check,
    fixed::{FixedResponse, Redirect, StaticFiles},
    name::Name,
    template::Template,
    trigger::Labels,
    workload::Workload,
};

/// The namespace of applications that say none.
pub const NAMESPACE: &str = "default";

/// A named, versioned set of workloads: what a person deploys. Its fields are those of `reef.toml`.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(deny_unknown_fields, title = "reef.toml")]
pub struct Application {
    /// What it is called.
    pub name: At<Name>,
    /// The namespace of the lattice that it is in: `default` if not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<At<Name>>,
    /// Which one of its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// What its values may refer to.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub variables: BTreeMap<At<Name>, Variable>,
    /// Where variables have values that nobody gives, the first first: they are read when it is deployed.
    #[serde(default, rename = "variable-source", skip_serializing_if = "Vec::is_empty")]
    pub variable_sources: Vec<VariableSource>,
    /// Its workloads.
    #[serde(default, rename = "workload", skip_serializing_if = "Vec::is_empty")]
    pub workloads: Vec<Workload>,
    /// Directories that its workloads share, and that stay.
    #[serde(default, rename = "volume", skip_serializing_if = "Vec::is_empty")]
    pub volumes: Vec<Volume>,
    /// Files that are answered with.
    #[serde(default, rename = "static", skip_serializing_if = "Vec::is_empty")]
    pub statics: Vec<StaticFiles>,
    /// Requests that are sent elsewhere.
    #[serde(default, rename = "redirect", skip_serializing_if = "Vec::is_empty")]
    pub redirects: Vec<Redirect>,
    /// Requests that are answered without a guest.
    #[serde(default, rename = "response", skip_serializing_if = "Vec::is_empty")]
    pub responses: Vec<FixedResponse>,
    /// What others say of it.
    #[serde(default, skip_serializing_if = "Labels::is_empty")]
    pub labels: Labels,
}

/// A value that is not in the manifest, or only as a default.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(deny_unknown_fields)]
pub struct Variable {
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// What it is when nobody says. Without, somebody must.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<String>,
    /// Whether its value is never shown. Such a one has no default: manifests hold no secrets.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub secret: bool,
}

/// Where variables may have their values from, beside who deploys: one source of configuration and secrets.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(deny_unknown_fields)]
pub struct VariableSource {
    /// Which kind of source: `file`, `env`, `vault`.
    pub backend: At<Name>,
    /// Settings of the source. They may refer to variables that are given, or that sources before this one have.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub config: BTreeMap<String, At<Template>>,
}

/// A directory that workloads of an application share. It is kept with the application's data, and stays when they
/// end.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(deny_unknown_fields)]
pub struct Volume {
    /// What it is called.
    pub name: At<Name>,
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

/// A `reef.toml`: the application, and what its profiles put over it.
#[derive(Clone, Debug)]
pub struct Manifest {
    source: reef_document::Source,
    base: Node,
    profiles: Vec<(String, Node)>,
}

impl Application {
    /// An application without anything in it.
    pub fn new(name: Name) -> Self {
        Self {
            name: name.into(),
            namespace: None,
            version: None,
            description: None,
            variables: BTreeMap::new(),
            variable_sources: Vec::new(),
            workloads: Vec::new(),
            volumes: Vec::new(),
            statics: Vec::new(),
            redirects: Vec::new(),
            responses: Vec::new(),
            labels: Labels::new(),
        }
    }

    /// The namespace of the lattice that it is in.
    pub fn namespace(&self) -> &str {
        self.namespace.as_ref().map_or(NAMESPACE, |namespace| namespace.as_str())
    }

    /// Adds what is wrong with it as a whole: names that are there twice or of nothing, routes that
    /// take the same requests. For whoever reads another system's manifest into one.
    pub fn check(&self, found: &mut Diagnostics) {
        check(self, false, found);
    }
}

impl Manifest {
    /// Reads the document.
    ///
    /// # Errors
    /// Faults of its syntax.
    pub fn parse(source: &reef_document::Source) -> Result<Self, Diagnostics> {
        let mut base = parse(source, Syntax::Toml)?;
        let mut profiles = Vec::new();
        if let Some(table) = base.take("profile") {
            let reef_document::Value::Table(entries) = table.value else {
                let error = Diagnostic::error("`profile` holds tables, one for each profile");
                return Err(error.at(table.span).of(source).into());
            };
            profiles.extend(entries.into_iter().map(|entry| (entry.key, entry.value)));
        }
        Ok(Self { source: source.clone(), base, profiles })
    }

    /// The profiles that it has.
    pub fn profiles(&self) -> impl Iterator<Item = &str> {
        self.profiles.iter().map(|(name, _)| name.as_str())
    }

    /// The application, with a profile's values over its own. What is wrong is added to `found`; there
    /// is an application only if nothing makes it unusable.
    pub fn application(
        &self,
        profile: Option<&str>,
        found: &mut Diagnostics,
    ) -> Option<Application> {
        let mut own = Diagnostics::default();
        let mut node = self.base.clone();
        if let Some(wanted) = profile {
            match self.profiles.iter().find(|(name, _)| name == wanted) {
                Some((_, over)) => node.overlay(over.clone()),
                None => {
                    let all: Vec<_> = self.profiles().map(|name| format!("`{name}`")).collect();
                    let help = if all.is_empty() {
                        format!("add a table `[profile.{wanted}]` with the values that differ")
                    } else {
                        format!("there is {}", all.join(", "))
                    };
                    let message = format!("there is no profile `{wanted}`");
                    own.push(Diagnostic::error(message).help(help));
                }
            }
        }
        let application = decode::<Application>(&node, &mut own);
        if let Some(application) = &application {
            check(application, true, &mut own);
        }
        own.settle(&self.source);
        let usable = !own.has_errors();
        found.extend(own);
        application.filter(|_| usable)
    }
}

/// The JSON Schema of `reef.toml`, for editors.
pub fn schema() -> schemars::Schema {
    let mut schema = schemars::schema_for!(Application);
    schema.insert("$id".into(), "https://reef-wasm.github.io/reef/reef.schema.json".into());
    // A profile has what the manifest has, and nothing of it must be there.
    let object = schemars::json_schema!({
        "type": "object",
        "description": "Values that differ, by the name of the environment they are for",
        "additionalProperties": { "type": "object" },
    });
    if let Some(properties) = schema.get_mut("properties").and_then(|all| all.as_object_mut()) {
        properties.insert("profile".into(), object.to_value());
    }
    schema
}
