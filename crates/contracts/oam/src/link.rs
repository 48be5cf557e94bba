//! Links.

mod broker;
mod database;
mod watcher;

use std::collections::HashMap;

use reef_app::{Name, Template};
use reef_document::{At, Diagnostic, Diagnostics};
use reef_grants::Destination;

use crate::{
    capability::{Capability, Provider, interfaces},
    http,
    read::Reader,
    schema::{Component, Config, Kind, Link, Secret, Trait},
    settings::{Absent, Values, backend, nearest, placed, text},
};

/// The name of a link that has none.
const DEFAULT: &str = "default";

/// Keys of a link that are not wasmCloud's.
const ALLOWED_HOSTS: &str = "allowed_hosts";

/// A link, and the configuration of its ends wherever it was written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ends<'m> {
    pub(crate) link: &'m Link,
    pub(crate) source: &'m Component,
    pub(crate) target: &'m Component,
    /// Whether no other link of the source has this package and name.
    alone: bool,
}

impl<'m> Ends<'m> {
    pub(crate) fn package(&self) -> String {
        format!("{}:{}", self.link.namespace, self.link.package)
    }

    /// `source` or, before 0.13, `source_config`.
    pub(crate) fn source_config(&self) -> &'m [Config] {
        match (&self.link.source, &self.link.source_config) {
            (Some(source), _) => &source.config,
            (None, Some(old)) => old,
            (None, None) => &[],
        }
    }

    fn source_secrets(&self) -> &'m [Secret] {
        self.link.source.as_ref().map_or(&[], |source| &source.secrets)
    }

    /// That of `target` or, before 0.13, `target_config`.
    fn target_config(&self) -> &'m [Config] {
        match &self.link.target_config {
            Some(old) if self.link.target.config.is_empty() => old,
            _ => &self.link.target.config,
        }
    }
}

/// Takes the links of one component into the application.
pub(crate) fn links<'m>(reader: &mut Reader<'m>, source: &'m Component, found: &mut Diagnostics) {
    let mut seen: HashMap<(&str, &str, &str, &str), &str> = HashMap::new();
    let links = source.traits.iter().filter_map(|one| match one {
        Trait::Link(link) => Some(link),
        _ => None,
    });
    let mut of_package: HashMap<_, usize> = HashMap::new();
    for link in links {
        *of_package.entry(of(link)).or_default() += 1;
    }
    for one in &source.traits {
        let Trait::Link(link) = one else { continue };
        deprecated(link, found);
        let package = format!("{}:{}", link.namespace, link.package);
        unknown_interfaces(link, &package, found);
        let (namespace, name_of_package, name) = of(link);
        let mut is_new = link.interfaces.is_empty();
        for interface in &link.interfaces {
            let key = (name, namespace, name_of_package, interface.as_str());
            match seen.insert(key, &link.target.name) {
                None => is_new = true,
                Some(first) if first == link.target.name.value => {
                    let warning = format!("`{package}/{interface}` is linked twice");
                    found.push(
                        placed(Diagnostic::warning(warning), interface)
                            .help("leave one of them out"),
                    );
                }
                Some(first) => {
                    let error = format!("`{package}/{interface}` is linked to `{first}` already");
                    found
                        .push(placed(Diagnostic::error(error), interface).help(
                            "give one of the links a `name`, by which the component chooses",
                        ));
                }
            }
        }
        let Some(target) = reader.components.get(link.target.name.as_str()).copied() else {
            let error = format!("there is no component `{}`", link.target.name);
            let names = reader.names.iter().copied();
            found.push(
                placed(Diagnostic::error(error), &link.target.name)
                    .help(nearest(&link.target.name, names)),
            );
            continue;
        };
        if is_new {
            let alone = of_package.get(&of(link)) == Some(&1);
            one_link(reader, Ends { link, source, target, alone }, found);
        }
    }
}

fn one_link<'m>(reader: &mut Reader<'m>, ends: Ends<'m>, found: &mut Diagnostics) {
    let (Some(source), Some(target)) = (ends.source.kind, ends.target.kind) else { return };
    let name = ends.source.name.as_str();
    if let Some(foreign) = reader.foreign.get(name) {
        let error = format!("what `{name}` is linked to is not to be said here");
        found.push(placed(Diagnostic::error(error), &ends.link.target.name).help(format!(
            "it is `{}` of the application `{}`: leave the link out, and add it to that one's manifest",
            foreign.component, foreign.application
        )));
        return;
    }
    let name = ends.target.name.as_str();
    if let (Kind::Capability, Some(foreign)) = (source, reader.foreign.get(name)) {
        let error = format!("what `{name}` is told and asked is not to be said here");
        found.push(placed(Diagnostic::error(error), &ends.link.target.name).help(format!(
            "it is `{}` of the application `{}`: leave the link out, and add it to that one's manifest",
            foreign.component, foreign.application
        )));
        return;
    }
    match (source, target) {
        (Kind::Component, Kind::Component) => to_component(reader, ends, found),
        (Kind::Component, Kind::Capability) => to_capability(reader, ends, found),
        (Kind::Capability, Kind::Component) => from_capability(reader, ends, found),
        (Kind::Capability, Kind::Capability) => {
            let error =
                format!("`{}` and `{}` are both providers", ends.source.name, ends.target.name);
            found.push(
                placed(Diagnostic::error(error), &ends.link.target.name)
                    .help("a link is from a component or to one"),
            );
        }
    }
}

fn to_component<'m>(reader: &mut Reader<'m>, ends: Ends<'m>, found: &mut Diagnostics) {
    for config in ends.source_config().iter().chain(ends.target_config()) {
        let warning = format!("the configuration `{}` has no effect in this link", config.name);
        found.push(
            placed(Diagnostic::warning(warning), &config.name)
                .help("a component has its configuration in its own `properties`"),
        );
    }
    let package = ends.package();
    let foreign = reader.foreign.get(ends.target.name.as_str()).cloned();
    let target = foreign.as_ref().map_or(&ends.target.name, |foreign| &foreign.component);
    let target = ends.link.target.name.clone().map(|_| target.value.clone());
    let Some(workload) = reader.workload_of(ends.source.name.as_str()) else { return };
    for interface in &ends.link.interfaces {
        // Requests are sent to `http://NAME.internal`; the rest is called.
        let import = match (package.as_str(), interface.as_str()) {
            ("wasi:http", "outgoing-handler") => package.clone(),
            _ => format!("{package}/{interface}"),
        };
        let mut link = reef_app::Link::of("");
        link.import = interface.clone().map(|_| import);
        link.name = name(ends.link);
        link.workload = Some(target.clone());
        link.application = foreign.as_ref().map(|foreign| foreign.application.clone());
        workload.links.push(link);
    }
}

fn to_capability<'m>(reader: &mut Reader<'m>, ends: Ends<'m>, found: &mut Diagnostics) {
    // Without one, that was said where it is defined.
    let Some(provider) = reader.providers.get(ends.target.name.as_str()).cloned() else { return };
    let package = Capability::of_package(&ends.link.namespace, &ends.link.package, false);
    if package != Some(provider.capability) {
        return found.push(not_of_this(&ends, &ends.target.name, &provider));
    }
    let mut values = Values::new();
    let configs = [&ends.target.properties.config[..], ends.target_config()];
    for configs in configs {
        let absent = match provider.capability {
            Capability::HttpClient => Absent::Nothing,
            _ => Absent::Variable,
        };
        reader.settings.add(&mut values, configs, str::to_lowercase, absent, found);
    }
    if provider.capability == Capability::HttpClient {
        return egress(reader, ends, &values, found);
    }
    let owner = &ends.source.name;
    for secrets in [&ends.target.properties.secrets, &ends.link.target.secrets] {
        reader.settings.add_secrets(&mut values, secrets, owner, found);
    }
    if provider.capability == Capability::Messaging {
        values = broker::config(&values, &provider, found).unwrap_or_default();
    } else if provider.capability == Capability::Postgres {
        values = database::config(&values);
    } else {
        if provider.capability == Capability::KeyValue {
            // It is for links the other way.
            values.remove(watcher::WATCH);
        }
        backend(&mut values, &provider);
    }
    // One package may be divided over several providers.
    let imports = match ends.alone {
        true => vec![ends.link.package.clone().map(|_| ends.package())],
        false => {
            let interfaces = ends.link.interfaces.iter();
            let import = |interface: &str| format!("{}/{interface}", ends.package());
            interfaces.map(|one| one.clone().map(|interface| import(&interface))).collect()
        }
    };
    if !reader.settings.copy(imports.len().saturating_mul(values.len()), found) {
        return;
    }
    let Some(workload) = reader.workload_of(ends.source.name.as_str()) else { return };
    for import in imports {
        let mut link = reef_app::Link::of("");
        link.import = import;
        link.name = name(ends.link);
        link.capability = provider.capability.name().parse::<Name>().ok().map(At::from);
        link.config = values.clone();
        workload.links.push(link);
    }
}

fn egress<'m>(reader: &mut Reader<'m>, ends: Ends<'m>, values: &Values, found: &mut Diagnostics) {
    for (key, value) in values {
        match key.as_str() {
            ALLOWED_HOSTS | "load_native_certs" | "load_webpki_certs" => {}
            "ssl_certs_file" => {
                let warning = "`ssl_certs_file` has no effect: the host's own roots are trusted";
                found.push(
                    placed(Diagnostic::warning(warning), value)
                        .help("add its certificates to the host's"),
                );
            }
            other => {
                let error = format!("`{other}` is no setting of an HTTP client");
                let known =
                    [ALLOWED_HOSTS, "load_native_certs", "load_webpki_certs", "ssl_certs_file"];
                found.push(placed(Diagnostic::error(error), value).help(nearest(other, known)));
            }
        }
    }
    let hosts = values.get(ALLOWED_HOSTS).and_then(|value| Some((value, text(value)?)));
    let all = match hosts {
        Some((place, hosts)) => {
            let mut all = Vec::new();
            for host in hosts.split(',').map(str::trim).filter(|host| !host.is_empty()) {
                match host.parse::<Destination>() {
                    Ok(host) => {
                        all.push(place.clone().map(|_| Template::literal(host.to_string())))
                    }
                    Err(error) => {
                        found.push(placed(Diagnostic::error(error.to_string()), place));
                    }
                }
            }
            all
        }
        None => {
            let warning = format!("`{}` may send requests to every public host", ends.source.name);
            found.push(placed(Diagnostic::warning(warning), &ends.link.target.name).help(
                "name those that it needs in the link's `target.config`: `allowed_hosts: \"api.example.com:443\"`",
            ));
            let place = &ends.link.target.name;
            ["http://*:*", "https://*:*"]
                .map(|host| place.clone().map(|_| Template::literal(host)))
                .into()
        }
    };
    let Some(workload) = reader.workload_of(ends.source.name.as_str()) else { return };
    for host in all {
        if !workload.egress.contains(&host) {
            workload.egress.push(host);
        }
    }
}

fn from_capability<'m>(reader: &mut Reader<'m>, ends: Ends<'m>, found: &mut Diagnostics) {
    let Some(provider) = reader.providers.get(ends.source.name.as_str()).cloned() else { return };
    let package = Capability::of_package(&ends.link.namespace, &ends.link.package, true);
    if package != Some(provider.capability) {
        return found.push(not_of_this(&ends, &ends.source.name, &provider));
    }
    // Where a store is, is said at either end.
    let is_store = provider.capability == Capability::KeyValue;
    for config in ends.target_config().iter().filter(|_| !is_store) {
        let warning = format!("the configuration `{}` is for the link's target", config.name);
        found.push(
            placed(Diagnostic::warning(warning), &config.name)
                .help("it has no effect: the provider is the `source`"),
        );
    }
    let mut values = Values::new();
    let of_target = if is_store { ends.target_config() } else { &[] };
    for configs in [&ends.source.properties.config[..], of_target, ends.source_config()] {
        let absent = Absent::Nothing;
        reader.settings.add(&mut values, configs, str::to_lowercase, absent, found);
    }
    let secrets = [&ends.source.properties.secrets[..], ends.source_secrets()];
    let connects = is_store || provider.capability == Capability::Messaging;
    if connects {
        for secrets in secrets {
            reader.settings.add_secrets(&mut values, secrets, &ends.target.name, found);
        }
    }
    for secret in secrets.into_iter().flatten().filter(|_| !connects) {
        let warning = format!("the secret `{}` has no effect", secret.name);
        found.push(
            placed(Diagnostic::warning(warning), &secret.name)
                .help("this host connects to nothing that it would be for: leave it out"),
        );
    }
    match provider.capability {
        Capability::HttpServer => http::route(reader, ends, &values, found),
        Capability::Messaging => broker::subscriptions(reader, ends, &provider, &values, found),
        Capability::KeyValue => watcher::watches(reader, ends, &provider, values, found),
        _ => {
            let interfaces: Vec<_> = ends.link.interfaces.iter().map(|one| one.as_str()).collect();
            let error = format!(
                "{} of this host tells nobody: `{}/{}` is not called",
                provider.capability.describe(),
                ends.package(),
                interfaces.join(", ")
            );
            found.push(
                placed(Diagnostic::error(error), &ends.link.package)
                    .help("leave the link out; a timer may look for what has changed"),
            );
        }
    }
}

fn deprecated(link: &Link, found: &mut Diagnostics) {
    let ends = [
        ("source", &link.source_config, link.source.is_some()),
        ("target", &link.target_config, !link.target.config.is_empty()),
    ];
    for (end, old, is_both) in ends {
        let Some(old) = old else { continue };
        let what = match is_both {
            true => format!("`{end}_config` has no effect beside the `config` of `{end}`"),
            false => format!("`{end}_config` is of wadm before 0.13"),
        };
        let now = Diagnostic::warning(what);
        found.push(placed(now, old).help(format!("write `{end}: {{ config: … }}`")));
    }
}

fn unknown_interfaces(link: &Link, package: &str, found: &mut Diagnostics) {
    let Some(known) = interfaces(package) else { return };
    for interface in &link.interfaces {
        if !known.contains(&interface.as_str()) {
            let warning = format!("`{package}` has no interface `{interface}` that is known");
            let warning = placed(Diagnostic::warning(warning), interface);
            found.push(warning.help(nearest(interface, known.iter().copied())));
        }
    }
}

fn not_of_this(ends: &Ends<'_>, provider: &Name, is: &Provider) -> Diagnostic {
    let error = format!(
        "`{provider}` is {}, which has nothing to do with `{}`",
        is.capability.describe(),
        ends.package()
    );
    placed(Diagnostic::error(error), &ends.link.package)
        .help("link it by a package that it has, or another component by this one")
}

/// What distinguishes a link of a component from its others, but for the interfaces.
fn of(link: &Link) -> (&str, &str, &str) {
    let name = link.name.as_ref().map_or(DEFAULT, |name| name.as_str());
    (&link.namespace, &link.package, name)
}

fn name(link: &Link) -> Option<String> {
    let name = link.name.as_ref().map(|name| name.value.clone());
    name.filter(|name| name != DEFAULT)
}
