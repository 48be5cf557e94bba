//! Middleware: components that a request goes through before it comes to another.

use std::collections::BTreeSet;

use reef_app::{Name, Workload};
use reef_document::{At, Diagnostics};

use crate::{
    dependency::{self, Inherited, Target},
    field::{error, read},
    known::Known,
    schema::{Common, Dependency},
};

/// The workloads that only stand in front of others, and have no component of their own.
#[derive(Default)]
pub(crate) struct Middleware {
    extra: Vec<Extra>,
}

/// Most of them.
const MOST: usize = 200;

struct Extra {
    name: At<Name>,
    target: Target,
    /// The component whose permissions it has.
    like: Option<(String, Inherited)>,
}

impl Middleware {
    /// The middleware of a trigger, the outermost first.
    pub(crate) fn chain(
        &mut self,
        common: &Common,
        id: &At<String>,
        known: &Known,
        found: &mut Diagnostics,
    ) -> Vec<At<Name>> {
        let mut chain = Vec::new();
        for (role, field) in read(common.dependencies.as_ref(), found).unwrap_or_default() {
            if role.as_str() != "middleware" {
                let message = format!("HTTP triggers have no dependencies called `{role}`");
                found.push(error(message, role.span()).help("there is `middleware`"));
                continue;
            }
            for field in field.read(found).unwrap_or_default() {
                let Some(one) = field.read(found) else { continue };
                let span = field.span();
                if let Some(export) = &one.export {
                    let message = "middleware has no `export`: it is the HTTP handler";
                    found.push(error(message, export.span()).help("leave it out"));
                }
                let inherit = one.inherit_configuration.as_ref();
                let inherit =
                    inherit.map_or(Inherited::Nothing, |it| dependency::inherited(it, found));
                let inherits = inherit != Inherited::Nothing;
                let like = inherits.then(|| (id.value.clone(), inherit));
                if let (Some(component), None) = (named(&one), &like) {
                    // Its own workload has no permissions, as middleware has none.
                    if let Some(described) = dependency::component(known, component, found) {
                        chain.push(component.clone().map(|_| Name::lenient(&described.id)));
                    }
                    continue;
                }
                let Some(target) = one.target(known, None, span.clone(), found) else { continue };
                if self.extra.len() >= MOST {
                    let message = format!("there are more than {MOST} middleware components");
                    let help = "compose some of them beforehand";
                    found.push(error(message, Some(span)).help(help));
                    return chain;
                }
                let name = self.name(target, like, id, known);
                chain.push(At::new(name, span));
            }
        }
        chain
    }

    /// One that is the same in front of several routes is there once.
    fn name(
        &mut self,
        target: Target,
        like: Option<(String, Inherited)>,
        id: &At<String>,
        known: &Known,
    ) -> Name {
        let same = |extra: &&Extra| extra.target == target && extra.like == like;
        if let Some(same) = self.extra.iter().find(same) {
            return same.name.value.clone();
        }
        let taken: BTreeSet<&str> = self.extra.iter().map(|extra| extra.name.as_str()).collect();
        let mut counter = 1;
        let name = loop {
            let name = format!("{}-middleware{counter}", id.value);
            if !known.components.contains_key(&name) && !taken.contains(name.as_str()) {
                break Name::lenient(&name);
            }
            counter += 1;
        };
        self.extra.push(Extra { name: target.source.clone().map(|_| name.clone()), target, like });
        name
    }

    /// Their workloads, beside those of the components.
    pub(crate) fn workloads(self, components: &[Workload]) -> Vec<Workload> {
        let make = |extra: Extra| {
            let Target { source, digest } = extra.target;
            let own = Workload {
                name: extra.name.clone(),
                source: source.clone(),
                digest,
                ..Workload::new(extra.name.value, source.value)
            };
            let Some((like, inherited)) = extra.like else { return own };
            let Some(like) = components.iter().find(|workload| workload.name.as_str() == like)
            else {
                return own;
            };
            let has = |permission| inherited.has(permission);
            let links = like.links.iter().filter(|link| {
                let capability = link.capability.as_ref().map(|name| name.as_str());
                link.component.is_none()
                    && match capability {
                        Some("key-value") => has("key_value_stores"),
                        Some("sql") => has("sqlite_databases"),
                        Some("inference") => has("ai_models"),
                        // Other components of the application, and its own routes.
                        _ => has("allowed_outbound_hosts"),
                    }
            });
            let links = links.cloned().collect();
            let mut own = Workload { links, ..own };
            if has("environment") {
                own.env.clone_from(&like.env);
            }
            if has("variables") {
                own.config.clone_from(&like.config);
            }
            if has("files") {
                own.files.clone_from(&like.files);
            }
            if has("allowed_outbound_hosts") {
                own.egress.clone_from(&like.egress);
            }
            own
        };
        self.extra.into_iter().map(make).collect()
    }
}

fn named(dependency: &Dependency) -> Option<&At<String>> {
    let others = [&dependency.path, &dependency.url, &dependency.version];
    dependency.component.as_ref().filter(|_| others.iter().all(|other| other.is_none()))
}
