//! From a revision of an application to one of its workloads, with what that is made of.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    str::FromStr as _,
    sync::Arc,
};

use reef_app::{Application, Name, Source, Triggers};
use reef_host::deploy::{Order, Placed};
use reef_lattice::{
    accept,
    record::{File, Revision},
};
use reef_planner::WorkloadKey;

use crate::{Shared, placement::Place};

/// A workload, and what it is made of.
pub(crate) struct Parts {
    pub(crate) workload: Name,
    /// Whether others of its application send requests to it.
    pub(crate) linked: bool,
    /// What of the application's files it needs.
    pub(crate) files: Vec<File>,
    application: Application,
}

/// Workloads that one is linked to, that are placed by themselves and run on this host as well, with no grants that they
/// would not have as its parts: they are composed into it, at the revision that runs here.
pub(crate) type Here = BTreeMap<String, Arc<Revision>>;

impl Parts {
    /// The workload of that name.
    pub(crate) fn of(revision: &Revision, workload: &str, here: &Here) -> Result<Self, String> {
        let mut application = accept::application(revision).map_err(|error| error.to_string())?;
        let workload = Name::from_str(workload).map_err(|error| error.to_string())?;
        let mut moved = Vec::new();
        for (name, at) in here {
            // What runs here, and not what there was when its user was last changed.
            let there = application.workloads.iter_mut().find(|one| one.name.as_str() == name);
            if let (Some(there), true) = (there, at.number != revision.number) {
                moved.extend(take_over(there, at)?);
            }
        }
        let is_placed = |name: &str| revision.workloads.contains_key(name);
        let composed = |name: &str| here.contains_key(name) || !is_placed(name);
        let needed = needed(&application, &workload, is_placed, composed);
        if !needed.contains(&workload) {
            return Err(format!("revision {} has no workload `{workload}`", revision.number));
        }
        let others = application.workloads.iter().filter(|one| one.name.value != workload);
        let linked = others.flat_map(|one| &one.links).any(|link| {
            let target = link.workload.as_ref().is_some_and(|target| target.value == workload);
            target && link.import.starts_with("wasi:http")
        });
        let (own, rest): (Vec<_>, Vec<_>) =
            application.workloads.drain(..).partition(|one| needed.contains(&one.name.value));
        let sources = |workloads: &[reef_app::Workload]| -> BTreeSet<String> {
            workloads.iter().filter_map(|one| local(&one.source)).collect()
        };
        let (own_sources, others) = (sources(&own), sources(&rest));
        let is_needed = |file: &&File| {
            let path = normal(&file.path);
            own_sources.contains(&path) || !others.contains(&path)
        };
        let mut files: Vec<_> = revision.files.iter().filter(is_needed).cloned().collect();
        files.extend(moved);
        application.workloads = own;
        for part in &mut application.workloads {
            if part.name.value != workload {
                // It is a part here; what starts it is placed by itself.
                part.trigger = Triggers::default();
            }
        }
        application.statics.clear();
        application.redirects.clear();
        application.responses.clear();
        Ok(Self { workload, linked, files, application })
    }

    /// What the host is to make of it.
    pub(crate) fn order(self, revision: &Revision, folder: PathBuf, placed: Placed) -> Order {
        let values = revision.values.iter().filter_map(|(name, value)| {
            // A name that is none was never accepted.
            Some((Name::from_str(name).ok()?, value.clone()))
        });
        Order {
            application: self.application,
            folder,
            values: values.collect(),
            sourced: BTreeMap::new(),
            qualified: true,
            tried: true,
            placed: Some(placed),
        }
    }
}

/// Puts a workload as another revision has it in its place; the files of its artifacts.
fn take_over(there: &mut reef_app::Workload, at: &Revision) -> Result<Vec<File>, String> {
    let other = accept::application(at).map_err(|error| error.to_string())?;
    let name = there.name.value.clone();
    let mut workloads = other.workloads.into_iter();
    let Some(mut other) = workloads.find(|one| one.name.value == name) else {
        return Err(format!("revision {} has no workload `{name}`", at.number));
    };
    let mut files = Vec::new();
    // Of each revision, a path may mean something else.
    let mut renamed = |source: &mut Source| {
        let Some(path) = local(source) else { return };
        let Some(file) = at.files.iter().find(|file| normal(&file.path) == path) else { return };
        let path = format!("reef-artifacts/{}.wasm", file.digest.hex());
        *source = Source::File(path.clone().into());
        files.push(File { path, ..file.clone() });
    };
    renamed(&mut other.source.value);
    for link in &mut other.links {
        link.component.iter_mut().for_each(|component| renamed(&mut component.value));
    }
    *there = other;
    Ok(files)
}

/// What of those that a workload is linked to, directly or by others, runs on this host as well.
pub(crate) async fn linked_here(
    shared: &Shared,
    place: &Place,
    revision: &Revision,
) -> Result<Here, String> {
    let application = accept::application(revision).map_err(|error| error.to_string())?;
    let WorkloadKey { namespace, app, workload } = &place.workload;
    let own = Name::from_str(workload).map_err(|error| error.to_string())?;
    // With grants of its own it is called also here: composed, it would be without.
    let has_grants = |application: &Application, name: &str| {
        let mut all = application.workloads.iter();
        all.any(|one| one.name.as_str() == name && !one.ungranted_as_a_part().is_empty())
    };
    let runs = |name: &str| {
        let runs = shared.runs(&WorkloadKey::new(&**namespace, &**app, name));
        runs.filter(|_| !has_grants(&application, name))
    };
    let is_placed = |name: &str| revision.workloads.contains_key(name);
    let composed = |name: &str| !is_placed(name) || runs(name).is_some();
    let all = needed(&application, &own, is_placed, composed);
    let mut here = Here::new();
    for name in all.into_iter().filter(|name| *name != own) {
        if !is_placed(name.as_str()) {
            continue;
        }
        let Some(number) = runs(name.as_str()) else { continue };
        let at = shared.revision(namespace, app, number).await?;
        let other = accept::application(&at).map_err(|error| error.to_string())?;
        if !has_grants(&other, name.as_str()) {
            here.insert(name.to_string(), at);
        }
    }
    Ok(here)
}

/// A workload, those that stand in front of it, and those that are composed into it: `composed` says of one that it is
/// linked to whether that is so. One that it sends requests to and that is not placed by itself is a part, too.
fn needed(
    application: &Application,
    workload: &Name,
    is_placed: impl Fn(&str) -> bool,
    composed: impl Fn(&str) -> bool,
) -> BTreeSet<Name> {
    let mut needed = BTreeSet::new();
    let mut next = vec![workload.clone()];
    while let Some(name) = next.pop() {
        let Some(one) = application.workloads.iter().find(|one| one.name.value == name) else {
            continue;
        };
        if !needed.insert(name) {
            continue;
        }
        let middleware = one.trigger.http.iter().flat_map(|trigger| &trigger.middleware);
        let own =
            one.links.iter().filter(|link| link.application.is_none() && link.namespace.is_none());
        let links = own.filter_map(|link| link.workload.as_ref().map(|name| (link, name)));
        let links = links.filter(|(link, name)| match link.import.starts_with("wasi:http") {
            // Requests go to one that is placed wherever it is, over the lattice's routes.
            true => !is_placed(name.as_str()),
            false => composed(name.as_str()),
        });
        let links = links.map(|(_, name)| name);
        next.extend(middleware.chain(links).map(|name| name.value.clone()));
    }
    needed
}

fn local(source: &Source) -> Option<String> {
    match source {
        Source::File(path) => Some(normal(&path.to_string_lossy())),
        _ => None,
    }
}

fn normal(path: &str) -> String {
    path.trim_start_matches("./").to_owned()
}
