//! What no single field shows: names that are there twice, and names of nothing.

mod answers;
mod rollout;
mod scale;

use std::collections::{HashMap, HashSet};

use reef_document::{At, Diagnostic, Diagnostics};

use crate::{
    application::Application,
    link::{Link, Offline},
    name::Name,
    route::Route,
    template::{Part, Template},
    workload::Workload,
};

/// Adds what is wrong with an application as a whole.
/// `native`: it is written as `reef.toml`, so hints may name its fields.
pub(crate) fn check(application: &Application, native: bool, found: &mut Diagnostics) {
    variables(application, found);
    let names = names(application, found);
    routes(application, found);
    answers::check(application, found);
    paths(application, found);
    for workload in &application.workloads {
        middleware(workload, &names, found);
        let component = workload.links.iter().filter_map(|link| link.digest.as_ref());
        component.chain(&workload.digest).for_each(|one| digest(one, found));
        links(application, workload, &names, found);
        scale::check(workload, found);
        rollout::check(workload, found);
        watches(workload, found);
        tls(workload, found);
    }
    volumes(application, found);
    cycles(application, found);
    unstarted(application, native, found);
}

fn variables(application: &Application, found: &mut Diagnostics) {
    for (name, variable) in &application.variables {
        if variable.secret && variable.default.is_some() {
            let error = Diagnostic::error(format!("the secret `{name}` has a default"));
            found.push(placed(error, name).help(
                "a manifest holds no secrets: leave the default out, and give the value where the application runs",
            ));
        }
    }
    let sources = application.variable_sources.iter();
    for template in sources.flat_map(|source| source.config.values()) {
        undeclared(application, template, found);
    }
    for workload in &application.workloads {
        for template in workload.templates() {
            undeclared(application, template, found);
        }
        // With a variable in it, a destination is known only when the application runs.
        for egress in &workload.egress {
            let [Part::Text(text)] = egress.parts() else { continue };
            if let Err(error) = text.parse::<reef_grants::Destination>() {
                found.push(placed(Diagnostic::error(error.to_string()), egress));
            }
        }
        for (key, value) in &workload.env {
            if key.is_empty() || key.contains(['=', '\0']) {
                let error = Diagnostic::error(format!("`{key}` is no name of a variable"));
                found.push(placed(error, value));
            }
            let text = |part: &Part| matches!(part, Part::Text(text) if text.contains('\0'));
            if value.parts().iter().any(text) {
                let error = format!(
                    "the value of `{key}` has a zero byte in it, which no environment holds"
                );
                found.push(placed(Diagnostic::error(error), value));
            }
        }
    }
}

fn undeclared(application: &Application, template: &At<Template>, found: &mut Diagnostics) {
    for name in unknown(application, template) {
        let error = Diagnostic::error(format!("there is no variable `{name}`"));
        let help = format!("declare it: `[variables.{name}]`");
        found.push(placed(error, template).help(help));
    }
}

fn unknown<'t>(
    application: &'t Application,
    template: &'t Template,
) -> impl Iterator<Item = &'t Name> {
    let known = |name: &Name| application.variables.keys().any(|known| **known == *name);
    template.variables().filter(move |name| !known(name))
}

fn names<'a>(application: &'a Application, found: &mut Diagnostics) -> HashSet<&'a str> {
    let mut names = HashSet::new();
    for workload in &application.workloads {
        if !names.insert(workload.name.as_str()) {
            let error = format!("two workloads are called `{}`", workload.name);
            let error = placed(Diagnostic::error(error), &workload.name);
            found.push(error.label("the second").help("give one of them another name"));
        }
    }
    names
}

fn volumes(application: &Application, found: &mut Diagnostics) {
    let mut names = HashSet::new();
    for volume in &application.volumes {
        if !names.insert(volume.name.as_str()) {
            let error = Diagnostic::error(format!("two volumes are called `{}`", volume.name));
            found.push(placed(error, &volume.name).label("the second"));
        }
    }
    for workload in &application.workloads {
        for mount in &workload.volumes {
            let name = &mount.value.0.volume;
            if !names.contains(name.as_str()) {
                let error = Diagnostic::error(format!("there is no volume `{name}`"));
                let help = format!("declare it: `[[volume]]` with `name = \"{name}\"`");
                found.push(placed(error, mount).help(help));
            }
        }
    }
}

fn routes(application: &Application, found: &mut Diagnostics) {
    let workloads = application.workloads.iter().flat_map(|workload| {
        let triggers = workload.trigger.http.iter();
        triggers.map(|trigger| (&trigger.route, format!("`{}`", workload.name)))
    });
    let statics = application.statics.iter();
    let statics =
        statics.map(|files| (&files.route, format!("the files in {}", files.dir.display())));
    let redirects = application.redirects.iter();
    let redirects = redirects.map(|one| (&one.route, format!("the redirect to {}", one.to.value)));
    let responses = application.responses.iter();
    let responses = responses.map(|one| (&one.route, "a fixed response".to_owned()));
    let mut taken: HashMap<String, String> = HashMap::new();
    for (route, by) in workloads.chain(statics).chain(redirects).chain(responses) {
        // Parameters take the same requests whatever they are called.
        if let Some(first) = taken.get(&plain(route)) {
            let error = format!("{first} and {by} both have the route {route}");
            let error = placed(Diagnostic::error(error), route);
            found.push(error.help("give one of them another path or host"));
        } else {
            taken.insert(plain(route), by);
        }
    }
}

fn plain(route: &Route) -> String {
    let path = route.path();
    let segments = path.split('/').map(|part| if part.starts_with(':') { ":" } else { part });
    let path = segments.collect::<Vec<_>>().join("/");
    format!("{}{path}", route.host().unwrap_or_default())
}

fn middleware(workload: &Workload, names: &HashSet<&str>, found: &mut Diagnostics) {
    for trigger in workload.trigger.http.iter() {
        for (at, name) in trigger.middleware.iter().enumerate() {
            let wrong = if **name == *workload.name {
                format!("`{name}` stands in front of itself")
            } else if trigger.middleware[..at].contains(name) {
                format!("`{name}` stands in front of `{}` twice", workload.name)
            } else if !names.contains(name.as_str()) {
                format!("there is no workload `{name}`")
            } else {
                continue;
            };
            let error = placed(Diagnostic::error(wrong), name);
            found.push(
                error.help("middleware is another workload of this application, by its name"),
            );
        }
    }
}

fn tls(workload: &Workload, found: &mut Diagnostics) {
    let Some(tls) = &workload.tls else { return };
    let (there, missing) = match (&tls.cert, &tls.key) {
        (Some(cert), None) => (cert, "key"),
        (None, Some(key)) => (key, "cert"),
        _ => return,
    };
    let error =
        Diagnostic::error(format!("a client's certificate needs its key: `{missing}` is missing"));
    found.push(placed(error, there).help(format!("add `tls.{missing} = \"client.pem\"`")));
}

fn links(
    application: &Application,
    workload: &Workload,
    names: &HashSet<&str>,
    found: &mut Diagnostics,
) {
    for link in &workload.links {
        elsewhere(application, link, found);
        offline(link, found);
        let targets = usize::from(link.workload.is_some())
            + usize::from(link.component.is_some())
            + usize::from(link.capability.is_some());
        if targets != 1 {
            let error = Diagnostic::error(format!(
                "the link of `{}` has {targets} targets",
                link.import.value
            ));
            let help = "give it one: `workload`, `component` or `capability`";
            found.push(placed(error, &link.import).help(help));
        }
        if let Some(idempotent) = link.idempotent.as_ref().filter(|_| link.workload.is_none()) {
            let error = format!("nothing of `{}` is called on other hosts", link.import.value);
            let help = "`idempotent` is for links to a `workload`";
            found.push(placed(Diagnostic::error(error), idempotent).help(help));
        }
        let Some(name) = link.own_workload() else { continue };
        if !names.contains(name.as_str()) {
            let error = Diagnostic::error(format!("there is no workload `{name}`"));
            found.push(placed(error, name).help(
                "a link is to another workload of this application, or of the one that is its `application`",
            ));
        }
    }
}

/// A link to another application.
fn elsewhere(application: &Application, link: &Link, found: &mut Diagnostics) {
    let wrong = |what: String, place: &At<Name>, help: &str, found: &mut Diagnostics| {
        found.push(placed(Diagnostic::error(what), place).help(help));
    };
    match (&link.application, &link.namespace) {
        (None, Some(namespace)) => {
            let error = format!("no application of the namespace `{namespace}` is named");
            wrong(error, namespace, "add `application = \"NAME\"`", found);
        }
        (Some(other), _) if link.workload.is_none() => {
            let error = format!("no workload of the application `{other}` is named");
            wrong(error, other, "add `workload = \"NAME\"`", found);
        }
        (Some(other), namespace) => {
            let namespace = namespace.as_ref().map_or(application.namespace(), |one| one.as_str());
            if **other == *application.name && namespace == application.namespace() {
                let error = format!("`{other}` is this application itself");
                wrong(error, other, "leave `application` out of the link", found);
            }
        }
        (None, None) => {}
    }
}

/// What a host does while it is cut off.
fn offline(link: &Link, found: &mut Diagnostics) {
    let is =
        |capability: &str| link.capability.as_ref().is_some_and(|one| one.as_str() == capability);
    let queues = link.offline.as_ref().filter(|offline| offline.value == Offline::Queue);
    if let Some(offline) = queues.filter(|_| !is("key-value") && !is("messaging")) {
        let error = format!("`{}` cannot be kept while the host is cut off", link.import.value);
        let help = "what is queued is messages and values: links to `messaging` and `key-value`";
        found.push(placed(Diagnostic::error(error), offline).help(help));
    }
    if let Some(merge) = &link.merge
        && (queues.is_none() || !is("key-value"))
    {
        let error = format!("nothing of `{}` is merged", link.import.value);
        let help = "`merge` is for links to `key-value` with `offline = \"queue\"`";
        found.push(placed(Diagnostic::error(error), merge).help(help));
    }
}

/// Links that are made of each other. Each circle is found once, in time linear in the
/// number of links.
fn cycles(application: &Application, found: &mut Diagnostics) {
    let all = application.workloads.iter().map(|workload| (workload.name.as_str(), workload));
    let all: HashMap<_, _> = all.collect();
    let mut state: HashMap<&str, Visit> = HashMap::new();
    for start in &application.workloads {
        // The way from `start`: each workload with how many of its links were followed.
        let mut way = vec![(start, 0)];
        while let Some((workload, followed)) = way.last_mut() {
            let name = workload.name.as_str();
            let link = match state.get(name) {
                // A start that was come to before.
                Some(Visit::Done) => None,
                _ => workload.links.get(*followed),
            };
            let Some(link) = link else {
                state.insert(name, Visit::Done);
                way.pop();
                continue;
            };
            state.insert(name, Visit::OnTheWay);
            *followed += 1;
            // Requests that workloads send each other are counted, and have their deadlines.
            if link.import.starts_with("wasi:http") {
                continue;
            }
            let Some(target) = link.own_workload() else { continue };
            let Some(next) = all.get(target.as_str()) else { continue };
            match state.get(target.as_str()) {
                Some(Visit::OnTheWay) => {
                    let error = format!("`{target}` is linked to itself, by way of its links");
                    let error = placed(Diagnostic::error(error), target);
                    found.push(error.help("take one of the links out"));
                }
                Some(Visit::Done) => {}
                None => way.push((next, 0)),
            }
        }
    }
}

/// How far a look for circles has come with a workload.
#[derive(Clone, Copy, PartialEq)]
enum Visit {
    OnTheWay,
    Done,
}

/// Paths that a request asks for, and paths of files.
fn paths(application: &Application, found: &mut Diagnostics) {
    for workload in &application.workloads {
        if let Some(ready) = &workload.ready {
            let path = &ready.path;
            let odd = |c: char| c.is_control() || c == ' ' || c == '#';
            if !path.starts_with('/') || path.contains(odd) {
                let error = format!("`{}` is no path of a request", path.value);
                let error = placed(Diagnostic::error(error), path);
                found.push(error.help("it begins with a slash: `/healthz`"));
            }
        }
        for files in &workload.files {
            if leads_out(&files.from) {
                let error = format!("`{}` leads out of the manifest's folder", files.from.value);
                let error = placed(Diagnostic::error(error), &files.from);
                found.push(error.help(
                    "copy what the workload needs into that folder, or grant it the directory with `dirs`",
                ));
            }
        }
    }
}

fn watches(workload: &Workload, found: &mut Diagnostics) {
    let is_store = |name: &At<Name>| name.as_str() == "key-value";
    let linked = workload.links.iter().filter_map(|link| link.capability.as_ref()).any(is_store);
    for trigger in workload.trigger.watch.iter() {
        if !linked {
            let error = format!("`{}` watches a store and is linked to none", workload.name);
            let help = "add link = [{ import = \"wasi:keyvalue\", capability = \"key-value\" }]";
            found.push(placed(Diagnostic::error(error), &trigger.store).help(help));
        }
        if let (Some(key), Some(prefix)) = (&trigger.key, &trigger.prefix) {
            let error = Diagnostic::error("one key is watched, or all that begin alike");
            let help = format!("leave out `prefix = {prefix:?}`");
            found.push(placed(error, key).help(help));
        }
        if let Some(zero) = trigger.max_deliver.as_ref().filter(|most| most.value == 0) {
            let error = Diagnostic::error("a change that is told 0 times is told nobody");
            found.push(placed(error, zero).help("write how often at most: `max-deliver = 5`"));
        }
    }
}

/// Whether a path, taken from a folder on, is not below that folder.
fn leads_out(path: &str) -> bool {
    let mut depth = 0_usize;
    for component in std::path::Path::new(path).components() {
        match component {
            std::path::Component::Normal(_) => depth += 1,
            std::path::Component::CurDir => {}
            std::path::Component::ParentDir => match depth.checked_sub(1) {
                Some(less) => depth = less,
                None => return true,
            },
            std::path::Component::RootDir | std::path::Component::Prefix(_) => return true,
        }
    }
    false
}

fn digest(digest: &At<String>, found: &mut Diagnostics) {
    let hex = digest.strip_prefix("sha256:").unwrap_or_default();
    if hex.len() != 64 || !hex.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        let error = Diagnostic::error(format!("`{}` is not a digest", digest.value));
        let help = "write `sha256:` and 64 hexadecimal digits; `reef inspect FILE` prints it";
        found.push(placed(error, digest).help(help));
    }
}

fn unstarted(application: &Application, native: bool, found: &mut Diagnostics) {
    let links = || application.workloads.iter().flat_map(|workload| &workload.links);
    let in_front: HashSet<&str> = application
        .workloads
        .iter()
        .flat_map(|workload| workload.trigger.http.iter())
        .flat_map(|trigger| trigger.middleware.iter())
        .chain(links().filter_map(Link::own_workload))
        .map(|name| name.as_str())
        .collect();
    let answers =
        application.statics.len() + application.redirects.len() + application.responses.len();
    if application.workloads.is_empty() && answers == 0 {
        let warning = format!("`{}` has no workload", application.name);
        let warning = placed(Diagnostic::warning(warning), &application.name);
        let help = "add a table `[[workload]]` with its `name` and `source`";
        found.push(if native { warning.help(help) } else { warning });
    }
    for workload in &application.workloads {
        let in_another = links().any(|link| link.component.as_ref() == Some(&workload.source));
        let started = in_front.contains(workload.name.as_str()) || in_another;
        if workload.trigger.is_empty() && !started {
            let warning = format!("nothing starts `{}`", workload.name);
            let warning = placed(Diagnostic::warning(warning), &workload.name);
            let help = "give it a trigger: `trigger.http.route = \"/...\"`";
            found.push(if native { warning.help(help) } else { warning });
        }
    }
    // Servers of its links are reached by way of its egress, as a part too.
    let parts = links().filter(|link| !link.import.starts_with("wasi:http") && !link.inherit);
    let parts: HashSet<&str> =
        parts.filter_map(Link::own_workload).map(|name| name.as_str()).collect();
    for workload in &application.workloads {
        let only_a_part = parts.contains(workload.name.as_str())
            && workload.trigger.is_empty()
            && !workload.scale.is_placed();
        let lost = workload.ungranted_as_a_part();
        let lost: Vec<_> = lost.into_iter().filter(|name| *name != "egress").collect();
        if only_a_part && !lost.is_empty() {
            let warning = format!(
                "`{}` is composed into what is linked to it, and has no `{}` there",
                workload.name,
                lost.join("`, `")
            );
            let warning = placed(Diagnostic::warning(warning), &workload.name);
            let help = "grant it to the workload that is linked to it, with `inherit = true` at the link; or give \
                        this one its `config`, which stays its own";
            found.push(if native { warning.help(help) } else { warning });
        }
    }
}

fn placed<T>(diagnostic: Diagnostic, place: &At<T>) -> Diagnostic {
    match place.span() {
        Some(span) => diagnostic.at(span),
        None => diagnostic,
    }
}
