//! Links that may go from one host to another, and what they cannot carry there.

use std::collections::BTreeSet;

use reef_app::{Application, Link, Name, Scale, Workload};
use reef_artifact::Artifact;
use reef_compose::{Part, Uncarried};
use reef_document::{At, Diagnostic, Diagnostics};

use super::parts::Parts;

/// A link whose ends may be on different hosts.
#[derive(Clone, Copy, Debug)]
pub struct Distant<'a> {
    /// The workload that has it.
    pub workload: &'a Workload,
    /// The link.
    pub link: &'a Link,
    /// The workload that it is to.
    pub to: &'a At<Name>,
}

/// The links whose ends may be on different hosts, and that are for functions: those to workloads that are placed by
/// themselves, here or in another application.
///
/// Not those to what is always composed in, nor requests (`wasi:http`), nor those between two workloads that run on each
/// of the same hosts.
pub fn distant(application: &Application) -> Vec<Distant<'_>> {
    let parts = Parts::of(application);
    let placed: BTreeSet<_> = parts.placed().map(|one| one.name.as_str()).collect();
    let mut all = Vec::new();
    let mut seen = BTreeSet::new();
    for from in parts.placed() {
        for workload in parts.all_of(from.name.as_str()) {
            for (at, link) in workload.links.iter().enumerate() {
                let Some(to) = link.workload.as_ref().filter(|_| !is_http(link)) else { continue };
                let own = link.application.is_none() && link.namespace.is_none();
                let target = application.workloads.iter().find(|one| one.name.value == to.value);
                let composed = own && !placed.contains(to.as_str());
                let together =
                    own && target.is_some_and(|target| always_together(&from.scale, &target.scale));
                if !composed && !together && seen.insert((workload.name.as_str(), at)) {
                    all.push(Distant { workload, link, to });
                }
            }
        }
    }
    all
}

/// What a component imports that cannot be carried to another host, by what it is made of: a component, a core module,
/// or one as text. `None`: it cannot be told, and whoever makes it will say why.
pub fn uncarried(name: &str, bytes: Vec<u8>) -> Option<Vec<Uncarried>> {
    let artifact = Artifact::read(name, bytes);
    let artifact = artifact
        .map_err(|error| tracing::debug!(%error, name, "Its imports are not known."))
        .ok()?;
    let found = reef_compose::uncarried(Part { name, bytes: artifact.bytes() });
    found.map_err(|error| tracing::debug!(%error, name, "Its imports are not known.")).ok()
}

/// Says which links cannot be carried. `of`: what each workload imports that cannot be, where that is known.
pub fn check_carried<'u>(
    application: &Application,
    mut of: impl FnMut(&Workload) -> Option<&'u [Uncarried]>,
) -> Diagnostics {
    let mut found = Diagnostics::default();
    for Distant { workload, link, to } in distant(application) {
        for one in of(workload).unwrap_or_default() {
            if !is_for(link, &one.import) || is_composed(application, workload, &one.import) {
                continue;
            }
            let whose = match &link.application {
                Some(application) => format!("`{to}` of `{application}`"),
                None => format!("`{to}`"),
            };
            let error = Diagnostic::error(format!(
                "`{}` is linked to {whose}, which may run on another host, by `{}`: {}",
                workload.name, one.import, one.reason
            ));
            let error = match link.import.span() {
                Some(span) => error.at(span),
                None => error,
            };
            found.push(error.help(match link.application {
                None => format!(
                    "without a trigger and a `scale` of its own, `{to}` is composed into `{}`",
                    workload.name
                ),
                Some(_) => format!(
                    "what another application has runs by itself: make it a workload or a `component` of this one, \
                     composed into `{}`",
                    workload.name
                ),
            }));
        }
    }
    found
}

/// Whether wherever the one runs, the other one does.
fn always_together(from: &Scale, to: &Scale) -> bool {
    let both = from.daemon.is_some() && to.daemon.is_some();
    let labels =
        |scale: &Scale| scale.spread.iter().map(|one| one.labels.clone()).collect::<Vec<_>>();
    both && from.require == to.require && labels(from) == labels(to)
}

/// Whether an import is satisfied by what is always composed in.
fn is_composed(application: &Application, workload: &Workload, import: &str) -> bool {
    let distant = distant(application);
    let is_distant = |link: &Link| distant.iter().any(|one| std::ptr::eq(one.link, link));
    let own = workload.links.iter().filter(|link| {
        link.component.is_some() || link.workload.is_some() && !is_http(link) && !is_distant(link)
    });
    own.into_iter().any(|link| is_for(link, import))
}

/// Whether a link is for an import: it names the interface with or without its version, or its package.
fn is_for(link: &Link, import: &str) -> bool {
    let unversioned = import.split('@').next().unwrap_or(import);
    let package = unversioned.split('/').next().unwrap_or(unversioned);
    [import, unversioned, package].contains(&link.import.as_str())
}

/// Whether a link is for requests, which go over the lattice's routes.
fn is_http(link: &Link) -> bool {
    link.import.starts_with("wasi:http")
}

#[cfg(test)]
mod tests;
