//! What no single field shows: names that are there twice, and names of nothing.

use std::collections::{HashMap, HashSet};

use reef_document::{At, Diagnostic, Diagnostics};

use crate::{
    application::Application,
    name::Name,
    route::Route,
    template::{Part, Template},
    workload::Workload,
};

/// Adds what is wrong with an application as a whole.
pub(crate) fn check(application: &Application, found: &mut Diagnostics) {
    variables(application, found);
    let names = names(application, found);
    routes(application, found);
    for workload in &application.workloads {
        middleware(workload, &names, found);
        digest(workload, found);
    }
    unstarted(application, found);
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
    for workload in &application.workloads {
        let env = workload.env.values();
        for template in env.chain(&workload.egress) {
            for name in unknown(application, template) {
                let error = Diagnostic::error(format!("there is no variable `{name}`"));
                let help = format!("declare it: `[variables.{name}]`");
                found.push(placed(error, template).help(help));
            }
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
        }
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

fn routes(application: &Application, found: &mut Diagnostics) {
    let mut taken: HashMap<String, (&Route, &Workload)> = HashMap::new();
    for workload in &application.workloads {
        for trigger in workload.trigger.http.iter() {
            // Parameters take the same requests whatever they are called.
            let key = plain(&trigger.route);
            if let Some((_, first)) = taken.insert(key, (&trigger.route, workload)) {
                let error = format!(
                    "`{}` and `{}` both have the route {}",
                    first.name, workload.name, trigger.route
                );
                let error = placed(Diagnostic::error(error), &trigger.route);
                found.push(error.help("give one of them another path or host"));
            }
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

fn digest(workload: &Workload, found: &mut Diagnostics) {
    let Some(digest) = &workload.digest else { return };
    let hex = digest.strip_prefix("sha256:").unwrap_or_default();
    if hex.len() != 64 || !hex.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        let error = Diagnostic::error(format!("`{}` is not a digest", digest.value));
        let help = "write `sha256:` and 64 hexadecimal digits; `reef inspect FILE` prints it";
        found.push(placed(error, digest).help(help));
    }
}

fn unstarted(application: &Application, found: &mut Diagnostics) {
    let in_front: HashSet<&str> = application
        .workloads
        .iter()
        .flat_map(|workload| workload.trigger.http.iter())
        .flat_map(|trigger| trigger.middleware.iter().map(|name| name.as_str()))
        .collect();
    if application.workloads.is_empty() {
        let warning = format!("`{}` has no workload", application.name);
        let warning = placed(Diagnostic::warning(warning), &application.name);
        found.push(warning.help("add a table `[[workload]]` with its `name` and `source`"));
    }
    for workload in &application.workloads {
        if workload.trigger.is_empty() && !in_front.contains(workload.name.as_str()) {
            let warning = format!("nothing starts `{}`", workload.name);
            let warning = placed(Diagnostic::warning(warning), &workload.name);
            found.push(warning.help("give it a trigger: `trigger.http.route = \"/...\"`"));
        }
    }
}

fn placed<T>(diagnostic: Diagnostic, place: &At<T>) -> Diagnostic {
    match place.span() {
        Some(span) => diagnostic.at(span),
        None => diagnostic,
    }
}
