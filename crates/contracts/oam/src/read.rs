//! From the manifest to the application.

use std::collections::{HashMap, HashSet};

use reef_app::{Application, Name, Source, Spread, Workload};
use reef_document::{At, Diagnostic, Diagnostics};

use crate::{
    API_VERSION, ID, KIND,
    capability::{Capability, Provider},
    link,
    schema::{Component, Kind, Manifest, Scaler, Trait},
    settings::{Absent, Settings, Values, placed},
    shared::{self, Foreign},
};

/// The annotations that say something of their own.
const VERSION: &str = "version";
const DESCRIPTION: &str = "description";

/// The version that wadm forbids, because its interface means another thing by it.
const LATEST: &str = "latest";

/// How many names are looked through for the nearest.
const MOST_SUGGESTED: usize = 100;

/// The longest part of a label's name (OAM, section on metadata).
const MAX_LABEL: usize = 63;

/// An application in the making.
#[derive(Debug)]
pub(crate) struct Reader<'m> {
    pub(crate) application: Application,
    pub(crate) settings: Settings<'m>,
    /// Components by their names.
    pub(crate) components: HashMap<&'m str, &'m Component>,
    /// The first of their names, for suggestions.
    pub(crate) names: Vec<&'m str>,
    /// Capabilities by their names.
    pub(crate) providers: HashMap<&'m str, Provider>,
    /// Components of other applications by their names here.
    pub(crate) foreign: HashMap<&'m str, Foreign>,
    /// Workloads by their names.
    workloads: HashMap<&'m str, usize>,
    /// The address that the first HTTP server asked for, and for whom.
    pub(crate) address: Option<(String, &'m str)>,
}

pub(crate) fn application(manifest: &Manifest, found: &mut Diagnostics) -> Application {
    let mut reader = Reader {
        application: Application::new(manifest.metadata.name.value.clone()),
        settings: Settings::of(manifest, found),
        components: HashMap::new(),
        names: Vec::new(),
        providers: HashMap::new(),
        foreign: HashMap::new(),
        workloads: HashMap::new(),
        address: None,
    };
    reader.metadata(manifest, found);
    reader.names(manifest, found);
    let by_links = by_links(manifest);
    for component in &manifest.spec.components {
        match component.kind {
            Some(Kind::Component) => match Foreign::of(component, found) {
                Some(foreign) => {
                    reader.foreign.insert(component.name.as_str(), foreign);
                }
                None => reader.workload(component, found),
            },
            Some(Kind::Capability) => reader.provider(component, &by_links, found),
            None => {
                let error = format!("`{}` has no `type`", component.name);
                found.push(
                    placed(Diagnostic::error(error), &component.name)
                        .help("add `type: component`, or `type: capability` for a provider"),
                );
            }
        }
    }
    for component in &manifest.spec.components {
        link::links(&mut reader, component, found);
    }
    let mut application = reader.application;
    application.variables = reader.settings.variables;
    application.check(found);
    application
}

impl<'m> Reader<'m> {
    fn metadata(&mut self, manifest: &Manifest, found: &mut Diagnostics) {
        for (field, value, known) in
            [("apiVersion", &manifest.api_version, API_VERSION), ("kind", &manifest.kind, KIND)]
        {
            if value.value != known {
                let error = format!("`{field}` is `{value}`, which wadm does not know");
                found
                    .push(placed(Diagnostic::error(error), value).help(format!("write `{known}`")));
            }
        }
        let metadata = &manifest.metadata;
        self.application.name = metadata.name.clone();
        for (key, value) in metadata.annotations.iter().chain(&metadata.labels) {
            if !is_label(key) {
                let error = Diagnostic::error(format!("`{key}` is no name of a label"));
                found.push(placed(error, key).help(
                    "write letters, digits, `-`, `_` and `.`, at most 63, with a domain and `/` before them or without",
                ));
            }
            self.application.labels.insert(key.value.clone(), value.value.clone());
        }
        let labels = &mut self.application.labels;
        let annotation =
            |key: &str| metadata.annotations.iter().find(|(known, _)| known.as_str() == key);
        if let Some((_, version)) = annotation(VERSION) {
            labels.remove(VERSION);
            self.application.version = Some(version.value.clone());
            if version.value == LATEST {
                let error = Diagnostic::error("`latest` is no version: wadm does not allow it");
                found.push(placed(error, version).help("write the version itself: `1.0.0`"));
            }
        }
        if let Some((_, description)) = annotation(DESCRIPTION) {
            labels.remove(DESCRIPTION);
            self.application.description = Some(description.trim().to_owned());
        }
    }

    /// Finds out what is called what, and that nothing is called the same.
    fn names(&mut self, manifest: &'m Manifest, found: &mut Diagnostics) {
        let mut ids = HashSet::new();
        let names = manifest.spec.components.iter().map(|component| component.name.as_str());
        self.names = names.take(MOST_SUGGESTED).collect();
        for component in &manifest.spec.components {
            let earlier = self.components.entry(component.name.as_str()).or_insert(component);
            let is_second = !std::ptr::eq(*earlier, component);
            // Two workloads of one name are found by the application's own check.
            if is_second && [earlier.kind, component.kind] != [Some(Kind::Component); 2] {
                let error = format!("two components are called `{}`", component.name);
                found.push(
                    placed(Diagnostic::error(error), &component.name)
                        .label("the second")
                        .help("give one of them another name"),
                );
            }
            if let Some(id) = &component.properties.id
                && !ids.insert(id.as_str())
            {
                let error = format!("two components have the id `{id}`");
                found
                    .push(placed(Diagnostic::error(error), id).help("give one of them another id"));
            }
        }
    }

    fn workload(&mut self, component: &'m Component, found: &mut Diagnostics) {
        let properties = &component.properties;
        let name = &component.name;
        let source = match (&properties.image, &properties.application) {
            (Some(image), None) => source(image, found),
            _ => {
                found.push(no_image(component));
                None
            }
        };
        // What is wrong with the rest is found all the same.
        let source = source.unwrap_or_else(|| Source::Oci(String::new()).into());
        let mut workload = Workload::new(name.value.clone(), source.value.clone());
        (workload.name, workload.source) = (name.clone(), source);
        if let Some(id) = &properties.id {
            workload.labels.insert(ID.to_owned(), id.value.clone());
        }
        let as_written = str::to_owned;
        self.settings.add(
            &mut workload.config,
            &properties.config,
            as_written,
            Absent::Variable,
            found,
        );
        let mut secrets = Values::new();
        self.settings.add_secrets(&mut secrets, &properties.secrets, name, found);
        if !secrets.is_empty() {
            let mut link = reef_app::Link::of("wasmcloud:secrets");
            link.capability = "secrets".parse::<Name>().ok().map(At::from);
            link.config = secrets.into_iter().map(|(name, one)| (as_value(name), one)).collect();
            workload.links.push(link);
        }
        let mut scaled = false;
        for one in &component.traits {
            let scaler = match one {
                Trait::Link(_) => continue,
                Trait::SpreadScaler(scaler) | Trait::DaemonScaler(scaler) => scaler,
            };
            if std::mem::replace(&mut scaled, true) {
                let error = Diagnostic::error(format!("`{name}` is scaled twice"));
                found.push(placed(error, &scaler.instances).help("leave one of the traits out"));
                continue;
            }
            scale(&mut workload, scaler, matches!(one, Trait::DaemonScaler(_)));
        }
        let at = self.application.workloads.len();
        self.workloads.entry(component.name.as_str()).or_insert(at);
        self.application.workloads.push(workload);
    }

    fn provider(
        &mut self,
        component: &'m Component,
        by_links: &HashMap<&str, Capability>,
        found: &mut Diagnostics,
    ) {
        let properties = &component.properties;
        let name = component.name.as_str();
        if properties.image.is_some() == properties.application.is_some() {
            found.push(no_image(component));
            return;
        }
        shared::check(component, found);
        let by_image = properties.image.as_ref().and_then(|image| Provider::of_image(image));
        if let Some(provider) = by_image {
            self.providers.insert(name, provider);
            return;
        }
        let what = match (&properties.image, &properties.application) {
            (Some(image), _) => format!("`{name}` is a native program, {image}"),
            (_, Some(shared)) => {
                format!("`{name}` is `{}` of `{}`", shared.component, shared.name)
            }
            _ => return,
        };
        let place = properties.image.as_ref();
        let place = place.or(properties.application.as_ref().map(|shared| &shared.component));
        let Some(place) = place else { return };
        match by_links.get(name) {
            Some(&capability) => {
                let warning =
                    format!("{what}: {} of this host's own is used", capability.describe());
                found.push(placed(Diagnostic::warning(warning), place).help(
                    "that is what it is linked as; what it is configured with elsewhere is not known here",
                ));
                self.providers.insert(name, Provider { capability, backend: None });
            }
            None => {
                let error = Diagnostic::error(format!("{what}, which this host cannot run"));
                found.push(placed(error, place).help(
                    "there is http-server, http-client, keyvalue-*, blobstore-*, messaging-* and sqldb-postgres; anything else is to be a component",
                ));
            }
        }
    }

    /// The workload of this name.
    pub(crate) fn workload_of(&mut self, name: &str) -> Option<&mut Workload> {
        let at = *self.workloads.get(name)?;
        self.application.workloads.get_mut(at)
    }
}

fn no_image(component: &Component) -> Diagnostic {
    let name = &component.name;
    let properties = &component.properties;
    match (&properties.image, &properties.application) {
        (Some(image), _) => {
            let error = format!("`{name}` has both an `image` and an `application`");
            placed(Diagnostic::error(error), image).help("leave one of them out")
        }
        (None, _) => {
            let error = format!("`{name}` has no `image`");
            placed(Diagnostic::error(error), name)
                .help("add it: `image: ghcr.io/example/name:1.0.0` or `image: file://./name.wasm`")
        }
    }
}

/// An image is a reference into an OCI registry, or a file.
fn source(image: &At<String>, found: &mut Diagnostics) -> Option<At<Source>> {
    let is_path = image.starts_with(['.', '/']);
    let parsed = match image.contains("://") || is_path {
        true => image.parse::<Source>().map_err(|error| error.to_string()),
        false if image.is_empty() || image.contains(char::is_whitespace) => {
            Err(format!("`{image}` is not an image"))
        }
        false => Ok(Source::Oci(image.value.clone())),
    };
    match parsed {
        Ok(source) => Some(image.clone().map(|_| source)),
        Err(error) => {
            found.push(
                placed(Diagnostic::error(error), image)
                    .help("write `ghcr.io/example/name:1.0.0` or `file://./name.wasm`"),
            );
            None
        }
    }
}

/// So many in all, or on each host of a daemon; and on which hosts.
fn scale(workload: &mut Workload, scaler: &Scaler, is_daemon: bool) {
    let scale = &mut workload.scale;
    let count = if is_daemon { &mut scale.daemon } else { &mut scale.instances };
    *count = Some(scaler.instances.clone());
    let spread = scaler.spread.iter().map(|spread| Spread {
        name: Some(spread.name.clone()),
        labels: spread.requirements.clone(),
        weight: spread.weight.clone(),
    });
    scale.spread = spread.collect();
}

/// What components are by the first link from or to each whose package tells.
fn by_links(manifest: &Manifest) -> HashMap<&str, Capability> {
    let mut known = HashMap::new();
    for source in &manifest.spec.components {
        for one in &source.traits {
            let Trait::Link(link) = one else { continue };
            for (name, exported) in
                [(source.name.as_str(), true), (&*link.target.name.value, false)]
            {
                let of = Capability::of_package(&link.namespace, &link.package, exported);
                if let Some(capability) = of {
                    known.entry(name).or_insert(capability);
                }
            }
        }
    }
    known
}

/// A name with a domain before it or without (OAM, section on metadata).
fn is_label(key: &str) -> bool {
    let name = |name: &str| {
        let ends = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
        name.len() <= MAX_LABEL
            && ends(name.chars().next())
            && ends(name.chars().next_back())
            && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
    };
    match key.split_once('/') {
        Some((domain, rest)) => {
            domain.len() <= 253
                && domain.split('.').all(|label| name(label) && !label.contains('_'))
                && name(rest)
        }
        None => name(key),
    }
}

/// What links are called with whose settings are values.
const SETTINGS: [&str; 9] =
    ["at-once", "backend", "bucket", "cache", "keys", "max-size", "rate", "retries", "timeout"];

/// The name of a value among the settings of its link.
fn as_value(name: String) -> String {
    let taken = SETTINGS.contains(&name.as_str()) || name.starts_with("value.");
    if taken { format!("value.{name}") } else { name }
}
