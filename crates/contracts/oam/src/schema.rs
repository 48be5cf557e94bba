//! The manifest as wadm has it.

use std::collections::BTreeMap;

use reef_app::Name;
use reef_document::{At, Diagnostic, Diagnostics, Entry, Node, Source, Value};
use serde::Deserialize;

use crate::settings::nearest;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Manifest {
    pub(crate) api_version: At<String>,
    pub(crate) kind: At<String>,
    pub(crate) metadata: Metadata,
    pub(crate) spec: Specification,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Metadata {
    pub(crate) name: At<Name>,
    #[serde(default)]
    pub(crate) annotations: BTreeMap<At<String>, At<String>>,
    #[serde(default)]
    pub(crate) labels: BTreeMap<At<String>, At<String>>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Specification {
    pub(crate) components: Vec<Component>,
    #[serde(default)]
    pub(crate) policies: Vec<Policy>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Policy {
    pub(crate) name: At<String>,
    #[serde(default)]
    pub(crate) properties: BTreeMap<String, String>,
    #[serde(rename = "type")]
    pub(crate) kind: At<String>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Component {
    pub(crate) name: At<Name>,
    /// Not required, so that a wrong one hides nothing else.
    #[serde(default, rename = "type")]
    pub(crate) kind: Option<Kind>,
    pub(crate) properties: Properties,
    #[serde(default)]
    pub(crate) traits: Vec<Trait>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    #[serde(alias = "actor")]
    Component,
    Capability,
}

/// Of components and capabilities alike.
#[derive(Debug, Deserialize)]
pub(crate) struct Properties {
    pub(crate) image: Option<At<String>>,
    pub(crate) application: Option<Shared>,
    pub(crate) id: Option<At<String>>,
    #[serde(default)]
    pub(crate) config: Vec<Config>,
    #[serde(default)]
    pub(crate) secrets: Vec<Secret>,
}

/// A component of another application.
#[derive(Debug, Deserialize)]
pub(crate) struct Shared {
    pub(crate) name: At<String>,
    pub(crate) component: At<String>,
}

/// Named configuration, which is somewhere else where it has no properties.
#[derive(Debug, Deserialize)]
pub(crate) struct Config {
    pub(crate) name: At<String>,
    pub(crate) properties: Option<BTreeMap<At<String>, At<String>>>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Secret {
    pub(crate) name: At<String>,
    pub(crate) properties: SecretSource,
}

#[derive(Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct SecretSource {
    pub(crate) policy: At<String>,
    pub(crate) key: String,
    pub(crate) field: Option<String>,
    pub(crate) version: Option<String>,
}

/// A trait, by its type: [`decode`] brings it into this form.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Trait {
    Link(Box<Link>),
    SpreadScaler(Scaler),
    DaemonScaler(Scaler),
}

#[derive(Debug, Deserialize)]
pub(crate) struct Link {
    pub(crate) namespace: At<String>,
    pub(crate) package: At<String>,
    pub(crate) interfaces: Vec<At<String>>,
    pub(crate) source: Option<Definition>,
    pub(crate) target: Target,
    pub(crate) name: Option<At<String>>,
    pub(crate) source_config: Option<At<Vec<Config>>>,
    pub(crate) target_config: Option<At<Vec<Config>>>,
}

#[derive(Debug, Default, Deserialize)]
pub(crate) struct Definition {
    #[serde(default)]
    pub(crate) config: Vec<Config>,
    #[serde(default)]
    pub(crate) secrets: Vec<Secret>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Target {
    pub(crate) name: At<String>,
    #[serde(default)]
    pub(crate) config: Vec<Config>,
    #[serde(default)]
    pub(crate) secrets: Vec<Secret>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Scaler {
    #[serde(alias = "replicas")]
    pub(crate) instances: At<u32>,
    #[serde(default)]
    pub(crate) spread: Vec<Spread>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Spread {
    pub(crate) name: At<String>,
    #[serde(default)]
    pub(crate) requirements: BTreeMap<String, String>,
    pub(crate) weight: Option<At<u32>>,
}

/// The types of traits.
const TRAITS: [&str; 3] = ["link", "spreadscaler", "daemonscaler"];

/// Fields that hold tables of text.
const TEXTS: [&str; 3] = ["annotations", "labels", "requirements"];

/// Fields that hold lists of named configuration.
const CONFIGS: [&str; 3] = ["config", "source_config", "target_config"];

/// Reads the manifest out of its document, once it has the one form of each thing.
pub(crate) fn decode(mut node: Node, source: &Source, found: &mut Diagnostics) -> Option<Manifest> {
    plain(&mut node, source);
    let components = entry(&mut node, "spec").and_then(|spec| entry(spec, "components"));
    if let Some(Value::Array(components)) = components.map(|components| &mut components.value) {
        for component in components {
            if let Some(Value::Array(traits)) =
                entry(component, "traits").map(|traits| &mut traits.value)
            {
                traits.retain_mut(|one| by_type(one, found));
            }
        }
    }
    reef_document::decode(&node, found)
}

fn entry<'n>(node: &'n mut Node, key: &str) -> Option<&'n mut Node> {
    let Value::Table(entries) = &mut node.value else { return None };
    entries.iter_mut().find(|entry| entry.key == key).map(|entry| &mut entry.value)
}

/// Takes out fields without a value, and makes text of what YAML takes for numbers where only text can
/// stand, as wadm's reader does.
fn plain(node: &mut Node, source: &Source) {
    match &mut node.value {
        Value::Array(elements) => elements.iter_mut().for_each(|element| plain(element, source)),
        Value::Table(entries) => {
            for entry in entries.iter_mut() {
                if TEXTS.contains(&entry.key.as_str()) {
                    texts(&mut entry.value, source);
                } else if CONFIGS.contains(&entry.key.as_str())
                    && let Value::Array(configs) = &mut entry.value.value
                {
                    for config in configs {
                        if let Some(properties) = self::entry(config, "properties") {
                            texts(properties, source);
                        }
                    }
                }
                plain(&mut entry.value, source);
            }
            entries.retain(|entry| entry.value.value != Value::Null);
        }
        _ => {}
    }
}

fn texts(table: &mut Node, source: &Source) {
    let Value::Table(entries) = &mut table.value else { return };
    for entry in entries {
        let node = &mut entry.value;
        let written = source.text().get(node.span.clone()).unwrap_or_default();
        let text = match node.value {
            Value::Null => String::new(),
            Value::Bool(value) => value.to_string(),
            Value::Integer(number) => number.to_string(),
            // `1.0` is not `1` here.
            Value::Float(number) if written.parse() == Ok(number) => written.to_owned(),
            Value::Float(number) => number.to_string(),
            Value::Text(_) | Value::Array(_) | Value::Table(_) => continue,
        };
        node.value = Value::Text(text);
    }
}

/// Makes `{ link: { … } }` of `{ type: link, properties: { … } }`; false for a trait that is none.
fn by_type(node: &mut Node, found: &mut Diagnostics) -> bool {
    let span = node.span.clone();
    let Value::Table(entries) = &mut node.value else {
        found.push(Diagnostic::error("a trait has a `type` and `properties`").at(span));
        return false;
    };
    for entry in &*entries {
        if !matches!(entry.key.as_str(), "type" | "properties") {
            let error = Diagnostic::error(format!("`{}` is not a known field", entry.key));
            let known = ["type", "properties"];
            found.push(error.at(entry.key_span.clone()).help(nearest(&entry.key, known)));
        }
    }
    let kind = node.take("type");
    let Some((kind, text)) = kind.as_ref().and_then(|kind| Some((kind, kind.as_str()?))) else {
        let place = kind.map_or(span, |kind| kind.span);
        let error = Diagnostic::error("a trait has a `type`, which is text").at(place);
        found.push(error.help(nearest("", TRAITS)));
        return false;
    };
    if !TRAITS.contains(&text) {
        found.push(unknown_trait(text).at(kind.span.clone()));
        return false;
    }
    let Some(mut properties) = node.take("properties") else {
        let error = Diagnostic::error(format!("the trait `{text}` has no `properties`"));
        found.push(error.at(kind.span.clone()).help("add them"));
        return false;
    };
    // Before 0.13 a link's target was its name.
    if let Some(target) = entry(&mut properties, "target")
        && let Value::Text(_) = target.value
    {
        let span = target.span.clone();
        let name = target.clone();
        let key = "name".to_owned();
        target.value = Value::Table(vec![Entry { key, key_span: span, value: name }]);
    }
    let key_span = kind.span.clone();
    node.value = Value::Table(vec![Entry { key: text.to_owned(), key_span, value: properties }]);
    true
}

fn unknown_trait(text: &str) -> Diagnostic {
    if text == "linkdef" {
        return Diagnostic::error("`linkdef` is a trait of wadm before 0.10").help(
            "write a `link`: `namespace`, `package`, `interfaces`, `target` with its `name` and `config`",
        );
    }
    let is_near = TRAITS.iter().any(|known| strsim::damerau_levenshtein(text, known) < 3);
    let message = format!("`{text}` is no trait that is known");
    match is_near {
        true => Diagnostic::error(message).help(nearest(text, TRAITS)),
        // wadm passes it on to whoever knows it.
        false => Diagnostic::warning(message + ", and has no effect").help(nearest(text, TRAITS)),
    }
}
