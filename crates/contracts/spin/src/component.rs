//! A component as a workload.

use std::collections::BTreeMap;

use reef_app::{Build, Files, Link, Name, Source, Template, Triggers, Workload};
use reef_document::{At, Diagnostics};

use crate::{
    dependency::{self, Target},
    field::{Field, error, read},
    id::{is_kebab, is_lower_snake, is_snake},
    known::Known,
    network::Outbound,
    schema::{Component, Dependency, Profile, Table},
    template::{explained, template},
};

/// A component of a manifest.
pub(crate) struct Described {
    pub(crate) id: At<String>,
    pub(crate) component: Component,
    /// What the profile that was asked for has for it.
    pub(crate) over: Option<Profile>,
    /// The profiles that it knows.
    pub(crate) profiles: Vec<String>,
    /// Whether the manifest is of version 1.
    pub(crate) first: bool,
}

impl Described {
    /// A component with what its profiles say. Those not asked for are read too, for what is wrong in
    /// them.
    pub(crate) fn new(
        id: At<String>,
        mut component: Component,
        profile: Option<&str>,
        found: &mut Diagnostics,
    ) -> Self {
        let mut over = None;
        let mut names = Vec::new();
        let profiles = component.profile.take();
        for (name, field) in read(profiles.as_ref(), found).unwrap_or_default() {
            names.push(name.value.clone());
            let Some(read) = field.read(found) else { continue };
            if profile == Some(name.as_str()) {
                over = Some(read);
            } else {
                read.check(found);
            }
        }
        Self { id, component, over, profiles: names, first: false }
    }

    /// Where its artifact is.
    pub(crate) fn source(&self, found: &mut Diagnostics) -> Option<Target> {
        let over = self.over.as_ref().and_then(|over| over.source.as_ref());
        match over.or(self.component.source.as_ref()) {
            Some(field) => dependency::source(field, found),
            None => {
                let message = format!("`{}` has no source", self.id);
                let help = "add its artifact: `source = \"target/wasm32-wasip2/release/app.wasm\"`";
                found.push(error(message, self.id.span()).help(help));
                None
            }
        }
    }

    /// What is composed into it.
    pub(crate) fn dependencies(&self, found: &mut Diagnostics) -> Table<Dependency> {
        let mut all = read(self.component.dependencies.as_ref(), found).unwrap_or_default();
        let over = self.over.as_ref().and_then(|over| over.dependencies.as_ref());
        for (name, field) in read(over, found).unwrap_or_default() {
            all.remove(&name);
            all.insert(name, field);
        }
        all
    }

    /// The fields with which it may do something: one that is composed into another has none.
    pub(crate) fn permissions(&self) -> Vec<&'static str> {
        fn is_there<T>(field: Option<&Field<T>>) -> bool {
            field.is_some_and(|field| !field.is_empty())
        }
        let own = &self.component;
        let over = self.over.as_ref();
        let environment = over.and_then(|over| over.environment.as_ref());
        let dependencies = over.and_then(|over| over.dependencies.as_ref());
        let all = [
            ("ai_models", is_there(own.ai_models.as_ref())),
            ("allowed_http_hosts", is_there(own.allowed_http_hosts.as_ref())),
            ("allowed_outbound_hosts", is_there(own.allowed_outbound_hosts.as_ref())),
            ("dependencies", is_there(own.dependencies.as_ref()) || is_there(dependencies)),
            ("environment", is_there(own.environment.as_ref()) || is_there(environment)),
            ("files", is_there(own.files.as_ref())),
            ("key_value_stores", is_there(own.key_value_stores.as_ref())),
            ("sqlite_databases", is_there(own.sqlite_databases.as_ref())),
            ("variables", is_there(own.variables.as_ref())),
        ];
        all.into_iter().filter(|(_, there)| *there).map(|(name, _)| name).collect()
    }

    /// The workload, with what starts it.
    pub(crate) fn workload(
        &self,
        known: &Known,
        triggers: Triggers,
        found: &mut Diagnostics,
    ) -> Workload {
        let name = self.name(found);
        let own = &self.component;
        let target = self.source(found);
        let (source, digest) = match target {
            Some(Target { source, digest }) => (source, digest),
            None => (Source::File("".into()).into(), None),
        };
        let outbound = Outbound::read(known, self, found);
        let mut links = dependency::links(known, self, found);
        links.extend(outbound.links);
        links.extend(self.capabilities(found));
        let description = read(own.description.as_ref(), found).filter(|text| !text.is_empty());
        Workload {
            name: name.clone(),
            source: source.clone(),
            description,
            digest,
            trigger: triggers,
            env: self.environment(found),
            config: self.config(found),
            files: self.files(found),
            egress: outbound.egress,
            links,
            build: self.build(found),
            ..Workload::new(name.value, source.value)
        }
    }

    fn name(&self, found: &mut Diagnostics) -> At<Name> {
        if !is_kebab(&self.id) {
            let message = format!("`{}` is not the id of a component", self.id);
            let help = "write words of letters and digits with `-` between them: `shopping-cart`";
            found.push(error(message, self.id.span()).help(help));
        } else if let Err(fault) = self.id.parse::<Name>() {
            found.push(error(fault.to_string(), self.id.span()));
        }
        self.id.clone().map(|id| Name::lenient(&id))
    }

    /// Text as it stands: only some fields have variables in Spin.
    fn environment(&self, found: &mut Diagnostics) -> BTreeMap<String, At<Template>> {
        let over = self.over.as_ref().and_then(|over| over.environment.as_ref());
        let mut all = read(self.component.environment.as_ref(), found).unwrap_or_default();
        all.extend(read(over, found).unwrap_or_default());
        all.into_iter().map(|(key, value)| (key, value.map(Template::literal))).collect()
    }

    fn config(&self, found: &mut Diagnostics) -> BTreeMap<String, At<Template>> {
        let mut all = BTreeMap::new();
        for (key, value) in read(self.component.variables.as_ref(), found).unwrap_or_default() {
            if !is_lower_snake(&key) {
                found.push(no_variable(&key));
            }
            if let Some(value) = templated(value, found) {
                all.insert(key.value, value);
            }
        }
        all
    }

    fn files(&self, found: &mut Diagnostics) -> Vec<Files> {
        let except: Vec<_> = read(self.component.exclude_files.as_ref(), found).unwrap_or_default();
        let mut all = Vec::new();
        for field in read(self.component.files.as_ref(), found).unwrap_or_default() {
            let (from, to) = match field.text() {
                Some(pattern) => (pattern, None),
                None => match field.read(found) {
                    Some(placed) => (placed.source, Some(placed.destination)),
                    None => continue,
                },
            };
            let whole = to.is_some();
            let Some(from) = from_folder(from, whole, found) else { continue };
            let to = match to {
                Some(to) => Some(to.map(|to| format!("/{}", to.trim_start_matches('/')))),
                None if from.contains(['*', '?', '[']) => None,
                // A file or a folder by its name, which it keeps.
                None => Some(from.clone().map(|from| format!("/{from}"))),
            };
            if let Some(to) = &to
                && to.split('/').any(|part| part == "..")
            {
                let message = format!("`{}` leads out of what the guest sees", to.value);
                found.push(error(message, to.span()).help("write a path without `..`"));
            }
            all.push(Files { from, to, except: except.clone() });
        }
        all
    }

    fn capabilities(&self, found: &mut Diagnostics) -> Vec<Link> {
        let own = &self.component;
        let stores = [
            (own.key_value_stores.as_ref(), "wasi:keyvalue", "key-value", true),
            (own.sqlite_databases.as_ref(), "spin:sqlite", "sql", true),
            (own.ai_models.as_ref(), "fermyon:spin/llm", "inference", false),
        ];
        let mut links = Vec::<Link>::new();
        for (field, import, capability, labels) in stores {
            for label in read(field, found).unwrap_or_default() {
                if labels && !is_kebab(&label) && !is_snake(&label) {
                    let message = format!("`{label}` is not a label");
                    let help = "write words with `-` or `_` between them: `default`, `my-store`";
                    found.push(error(message, label.span()).help(help));
                }
                let link = Link {
                    import: label.clone().map(|_| import.to_owned()),
                    name: Some(label.value),
                    capability: capability.parse().ok().map(|name: Name| name.into()),
                    ..Link::of(import)
                };
                if !links.contains(&link) {
                    links.push(link);
                }
            }
        }
        links
    }

    fn build(&self, found: &mut Diagnostics) -> Option<Build> {
        let own = read(self.component.build.as_ref(), found);
        let over = self.over.as_ref().and_then(|over| over.build.as_ref());
        let over = read(over, found);
        let command = match (&over, &own) {
            (Some(over), _) => &over.command,
            (None, Some(own)) => &own.command,
            (None, None) => return None,
        };
        // One after the other, up to one that fails.
        let command = command.join(" && ");
        let workdir = own.as_ref().and_then(|own| own.workdir.as_ref());
        if let Some(dir) = workdir
            && dir.starts_with(['/', '\\'])
        {
            let message = format!("`{dir}` is not below the manifest's folder");
            found.push(
                error(message, dir.span()).help("write a path from the manifest's folder on"),
            );
        }
        let dir = workdir.map(|dir| dir.trim_end_matches('/').to_owned());
        let dir = dir.filter(|dir| !dir.is_empty() && dir != ".");
        let watch = own.map(|own| own.watch).unwrap_or_default();
        let watch = watch.into_iter().map(|pattern| match &dir {
            Some(dir) => format!("{dir}/{pattern}"),
            None => pattern,
        });
        Some(Build { command, watch: watch.collect(), dir })
    }
}

impl Profile {
    /// Adds what is wrong in a profile that was not asked for.
    fn check(&self, found: &mut Diagnostics) {
        if let Some(source) = &self.source {
            dependency::source(source, found);
        }
        read(self.environment.as_ref(), found);
        read(self.build.as_ref(), found);
        for (name, field) in read(self.dependencies.as_ref(), found).unwrap_or_default() {
            dependency::check(&name, &field, found);
        }
    }
}

/// Text with variables in it; what is wrong is added to `found`.
pub(crate) fn templated(text: At<String>, found: &mut Diagnostics) -> Option<At<Template>> {
    match template(&text) {
        Ok(template) => Some(text.map(|_| template)),
        Err(fault) => {
            let (message, help) = explained(&fault);
            found.push(error(message, text.span()).help(help));
            None
        }
    }
}

/// A name that is none of a variable.
pub(crate) fn no_variable(name: &At<String>) -> reef_document::Diagnostic {
    let help = "write words in lower case with `_` between them: `api_token`";
    error(format!("`{name}` is not the name of a variable"), name.span()).help(help)
}

/// A path or pattern below the manifest's folder, in its shortest form.
/// `whole`: that folder itself may be meant.
fn from_folder(path: At<String>, whole: bool, found: &mut Diagnostics) -> Option<At<String>> {
    let outside = path.starts_with(['/', '\\']) || path.split('/').any(|part| part == "..");
    let parts = path.split('/').filter(|part| !matches!(*part, "" | "."));
    let short = parts.collect::<Vec<_>>().join("/");
    if outside || (short.is_empty() && !whole) {
        let (message, help) = if outside {
            (
                format!("`{path}` leads out of the manifest's folder"),
                "only files below it are given",
            )
        } else {
            (format!("`{path}` is the whole folder"), "write `**/*`, if that is what is meant")
        };
        found.push(error(message, path.span()).help(help));
        return None;
    }
    Some(path.map(|_| if short.is_empty() { ".".to_owned() } else { short }))
}
