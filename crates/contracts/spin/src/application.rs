//! The whole manifest as an application.

use std::{cell::Cell, collections::BTreeMap};

use reef_app::{Application, Labels, Name, Workload};
use reef_document::{At, Diagnostics, Node, Value, decode};

use crate::{
    component::Described,
    field::{Field, error, read, warning},
    id::modernised,
    known::Known,
    schema::{Details, Manifest, Table, Variable},
    trigger::{self, Defaults, Raw},
    v1,
    variable::Variables,
};

/// The label under which a workload has what stands before its routes in `spin-base-path`.
pub(crate) const BASE_PATH: &str = "spin.base-path";

/// Most destinations and links of a manifest: some of its words stand for many.
const MOST_DESTINATIONS: usize = 20_000;

/// What both versions come to.
struct Parts {
    name: Option<Field<String>>,
    version: Option<Field<String>>,
    description: Option<Field<String>>,
    authors: Option<Field<Vec<String>>>,
    variables: Option<Field<Table<Variable>>>,
    defaults: Defaults,
    triggers: Vec<Raw>,
    components: BTreeMap<String, Described>,
}

/// Reads a manifest of either version.
pub(crate) fn application(
    node: &Node,
    profile: Option<&str>,
    found: &mut Diagnostics,
) -> Option<Application> {
    let older = node.get("spin_version");
    let version = node.get("spin_manifest_version").or(older);
    let parts = match version.map(|version| &version.value) {
        Some(Value::Integer(2)) if node.get("spin_manifest_version").is_some() => {
            second(node, profile, found)?
        }
        Some(Value::Text(text)) if text == "1" => first(node, profile, found)?,
        written => {
            let message = match written {
                None => "`spin_manifest_version` is missing",
                Some(_) => "this is not a version of spin.toml that there is",
            };
            let help = "write `spin_manifest_version = 2`; version 1 is written as text, \"1\"";
            found.push(error(message, version.map(|version| version.span.clone())).help(help));
            return None;
        }
    };
    Some(parts.application(profile, found))
}

fn second(node: &Node, profile: Option<&str>, found: &mut Diagnostics) -> Option<Parts> {
    let manifest: Manifest = decode(node, found)?;
    let details = match &manifest.application {
        Some(field) => field.read(found),
        None => {
            let help = "add a table `[application]` with its `name`";
            found.push(error("`application` is missing", None).help(help));
            None
        }
    };
    if manifest.trigger.is_none() {
        let help = "add what starts a component: `[[trigger.http]]` with `route` and `component`";
        found.push(error("`trigger` is missing", None).help(help));
    }
    let mut triggers = Vec::new();
    for (kind, field) in read(manifest.trigger.as_ref(), found).unwrap_or_default() {
        for field in field.read(found).unwrap_or_default() {
            triggers.push(Raw { kind: kind.clone(), field, component: None });
        }
    }
    triggers.sort_by_key(|raw| raw.field.span().start);
    let mut components = BTreeMap::new();
    for (id, field) in read(manifest.component.as_ref(), found).unwrap_or_default() {
        let component = field.read(found).unwrap_or_else(|| trigger::broken(&field));
        let described = Described::new(id.clone(), component, profile, found);
        components.insert(id.value, described);
    }
    let none = Details {
        name: None,
        version: None,
        description: None,
        authors: None,
        trigger: None,
        _targets: None,
        _tool: None,
    };
    let unreadable = details.is_none();
    let details = details.unwrap_or(none);
    if details.name.is_none() && !unreadable {
        let span = manifest.application.as_ref().map(Field::span);
        found.push(error("the application has no name", span).help("add `name = \"my-app\"`"));
    }
    let settings = read(details.trigger.as_ref(), found).unwrap_or_default();
    let base = settings.iter().find(|(kind, _)| kind.as_str() == "http");
    let base = base.and_then(|(_, field)| field.clone().take("base"));
    if let Some(base) = base.filter(|base| base.as_str() != Some("/")) {
        let help = "write it in front of each route";
        let message = "version 2 has no `base`: every route is written whole";
        found.push(error(message, Some(base.span)).help(help));
    }
    Some(Parts {
        name: details.name,
        version: details.version,
        description: details.description,
        authors: details.authors,
        variables: manifest.variables,
        defaults: Defaults::read(settings, found),
        triggers,
        components,
    })
}

fn first(node: &Node, profile: Option<&str>, found: &mut Diagnostics) -> Option<Parts> {
    let manifest: v1::Manifest = decode(node, found)?;
    if manifest.name.is_none() {
        found.push(error("the application has no name", None).help("add `name = \"my-app\"`"));
    }
    let mut settings = Table::new();
    let mut kind = None;
    if let Some(mut field) = manifest.trigger {
        let written = field.take("type").map(Field::<()>::from);
        kind = written.as_ref().and_then(Field::text);
        match &kind {
            Some(kind) => {
                settings.insert(kind.clone(), field);
            }
            None => {
                let span = written.map_or(field.span(), |written| written.span());
                let error = error("the trigger has no type", Some(span));
                found.push(error.help("write `trigger = { type = \"http\" }`"));
            }
        }
    } else {
        let help = "write `trigger = { type = \"http\" }`";
        found.push(error("`trigger` is missing", None).help(help));
    }
    let defaults = Defaults::read(settings, found);
    let mut triggers = Vec::new();
    let mut components = BTreeMap::<String, Described>::new();
    for field in read(manifest.component.as_ref(), found).unwrap_or_default() {
        let Some(mut component) = field.read(found) else { continue };
        let Some(id) = component.id.take() else {
            let error = error("this component has no id", Some(field.span()));
            found.push(error.help("add `id = \"hello\"`"));
            continue;
        };
        let id = id.map(|id| modernised(&id));
        match (component.trigger.take(), &kind) {
            (Some(field), Some(kind)) => {
                triggers.push(Raw { kind: kind.clone(), field, component: Some(id.clone()) });
            }
            (None, _) => {
                let message = format!("`{id}` has no trigger");
                let help = "add a table `[component.trigger]`, with its `route` for example";
                found.push(error(message, id.span()).help(help));
            }
            (Some(_), None) => {}
        }
        let mut described = Described::new(id.clone(), component.into(), profile, found);
        described.first = true;
        if let Some(other) = components.insert(id.value.clone(), described) {
            let message = format!("two components are called `{}`", other.id);
            found.push(error(message, id.span()).help("give one of them another id"));
        }
    }
    Some(Parts {
        name: manifest.name,
        version: manifest.version,
        description: manifest.description,
        authors: manifest.authors,
        variables: manifest.variables,
        defaults,
        triggers,
        components,
    })
}

impl Parts {
    fn application(mut self, profile: Option<&str>, found: &mut Diagnostics) -> Application {
        let text = |field: &Option<Field<String>>, found: &mut Diagnostics| {
            read(field.as_ref(), found).filter(|text| !text.is_empty())
        };
        let name = self.name(found);
        let authors = read(self.authors.as_ref(), found).unwrap_or_default().join(", ");
        let variables = Variables::read(self.variables.as_ref(), found);
        let raw = std::mem::take(&mut self.triggers);
        let triggers = trigger::read_all(raw, profile, &mut self.components, found);
        let http = triggers.iter().filter(|trigger| trigger.is_http());
        let http = http.filter_map(|trigger| trigger.component.as_ref());
        let known = Known {
            defaults: variables.defaults,
            http: http.map(|id| id.value.clone()).collect(),
            components: self.components,
            left: Cell::new(MOST_DESTINATIONS),
        };
        profiles(&known, profile, found);
        let mut started = trigger::start(&triggers, &self.defaults, &known, found);
        let mut described: Vec<_> = known.components.values().collect();
        described.sort_by_key(|one| one.id.span().map(|span| span.start));
        let base = self.defaults.base.as_ref().map(|base| base.value.clone());
        let base = base.filter(|base| !base.trim_matches('/').is_empty());
        let mut workloads = Vec::new();
        for one in described {
            let triggers = started.triggers.remove(one.id.as_str()).unwrap_or_default();
            let answers = !triggers.http.is_empty();
            let mut workload = one.workload(&known, triggers.into(), found);
            if let Some(base) = base.as_ref().filter(|_| answers) {
                workload.labels.insert(BASE_PATH.to_owned(), base.clone());
            }
            workloads.push(workload);
        }
        let extra = started.middleware.workloads(&workloads);
        workloads.extend::<Vec<Workload>>(extra);
        let mut labels = Labels::new();
        if !authors.is_empty() {
            labels.insert("authors".to_owned(), authors);
        }
        Application {
            name: name.clone(),
            version: text(&self.version, found),
            description: text(&self.description, found),
            variables: variables.declared,
            workloads,
            responses: started.responses,
            labels,
            ..Application::new(name.value)
        }
    }

    /// Spin takes any text.
    fn name(&self, found: &mut Diagnostics) -> At<Name> {
        let text = self.name.as_ref().and_then(Field::text);
        let Some(text) = text else {
            read(self.name.as_ref(), found);
            return Name::lenient("unnamed").into();
        };
        let name = Name::lenient(&text);
        if name.as_str() != text.as_str() {
            let message = format!("`{}` is called `{name}` here", text.value);
            let help = "a name has letters, digits, `-`, `_` and `.`, and is at most 63 long";
            found.push(warning(message, text.span()).help(help));
        }
        text.map(|_| name)
    }
}

fn profiles(known: &Known, profile: Option<&str>, found: &mut Diagnostics) {
    let Some(wanted) = profile else { return };
    let mut all: Vec<_> = known.components.values().flat_map(|one| &one.profiles).collect();
    all.sort();
    all.dedup();
    if !all.iter().any(|name| *name == wanted) {
        let all: Vec<_> = all.iter().map(|name| format!("`{name}`")).collect();
        let help = match &all[..] {
            [] => format!("add a table `[component.NAME.profile.{wanted}]` with what differs"),
            all => format!("there is {}", all.join(", ")),
        };
        found.push(error(format!("there is no profile `{wanted}`"), None).help(help));
    }
}
