//! How an application becomes what is wanted of a lattice.
//!
//! Pure: a manifest and what was accepted before in, records out. Whoever accepts a revision calls [`check_values`] and
//! [`check_carried`], then [`workloads`], and keeps what comes of it as [`record::Revision`](crate::record::Revision);
//! whoever reads one gets its manifest by [`application`].
//!
//! Not all workloads are placed by themselves. Those are that a trigger starts, that say how many there are or where,
//! or that no other one uses. The rest are parts of those that use them: middleware, and what links go to. (Middleware
//! is a part of what it stands in front of even if it is placed by itself too.)

mod autoscale;
mod carried;
mod diff;
mod document;
mod made;
mod parts;
mod placement;
mod values;

use std::collections::BTreeMap;

use reef_app::{Application, Name};
use reef_document::{Diagnostic, Diagnostics};
use reef_planner::{Id, Revision, Workload};

use crate::{
    objects::Digest,
    record::{self, File},
};

use self::{made::Made, parts::Parts};

pub use self::{
    autoscale::{autoscale, percentiles},
    carried::{Distant, check_carried, distant, uncarried},
    diff::{Difference, diff},
    document::application,
    values::check_values,
};

/// A revision that is not accepted yet. Digests of linked components are those in the application.
#[derive(Clone, Copy, Debug)]
pub struct Draft<'d> {
    /// The number that it is to have.
    pub number: u64,
    /// The manifest.
    pub application: &'d Application,
    /// Values of its variables that were given.
    pub values: &'d BTreeMap<String, String>,
    /// Files that it names.
    pub files: &'d [File],
    /// What the artifact of each workload is.
    pub digests: &'d BTreeMap<String, Digest>,
}

/// A link from one application to a workload of another.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reference {
    /// The workload that is linked.
    pub from: String,
    /// The namespace that it is linked to.
    pub namespace: String,
    /// The application there.
    pub application: String,
    /// The workload of that.
    pub workload: String,
}

/// What the planner has to know of each workload that is placed by itself.
///
/// `revision.number` is that of the revision in which the workload last changed: the draft's, unless all that it is
/// made of is as in `previous` (the manifest's words on it, artifacts, parts, values of variables that it uses, files
/// that it sees). How many there are, where, and how they are rolled out change what is wanted, and not what runs.
/// `previous` and `accepted` of each workload are for whoever keeps the application's record.
///
/// # Errors
/// Workloads without a digest, and what [`Application::check`] would have said of their placement.
pub fn workloads(
    draft: &Draft<'_>,
    previous: Option<&record::Revision>,
) -> Result<BTreeMap<String, Workload>, Diagnostics> {
    let mut found = Diagnostics::default();
    let parts = Parts::of(draft.application);
    let made = Made::of_draft(draft, &parts);
    // One that cannot be understood any more, or was written by a newer version, is like none.
    let before = previous.and_then(|revision| Some((revision, application(revision).ok()?)));
    let before_parts = before.as_ref().map(|(_, application)| Parts::of(application));
    let before = before.as_ref().zip(before_parts.as_ref());
    let before = before.map(|((revision, application), parts)| {
        (*revision, Made::of_revision(revision, application, parts))
    });
    let mut all = BTreeMap::new();
    for workload in parts.placed() {
        let name = &workload.name;
        let Some(digest) = made.digest(workload) else {
            let error = Diagnostic::error(format!("the digest of `{name}` is not known"));
            let error = name.span().map_or(error.clone(), |span| error.at(span));
            found.push(
                error.help("its artifact is to be fetched before the application is accepted"),
            );
            continue;
        };
        let unchanged = before.as_ref().and_then(|(revision, before)| {
            let number = revision.workloads.get(name.as_str())?.revision.number;
            let same = before.of(name)? == made.of(name)?;
            same.then_some(number)
        });
        let revision = Revision {
            number: unchanged.unwrap_or(draft.number),
            digest: Id::from(digest),
            requests: placement::requests(&workload.limits),
        };
        if let Some(planned) = placement::workload(workload, revision, &mut found) {
            all.insert(name.to_string(), planned);
        }
    }
    if found.has_errors() { Err(found) } else { Ok(all) }
}

/// Links to workloads of other applications: each needs that one to be there and, where it is in another namespace, to
/// be exported to this one's.
pub fn references(application: &Application) -> Vec<Reference> {
    let links = application.workloads.iter().flat_map(|workload| {
        workload.links.iter().filter_map(|link| {
            let namespace = link.namespace.as_ref().map(|namespace| namespace.as_str());
            Some(Reference {
                from: workload.name.to_string(),
                namespace: namespace.unwrap_or(application.namespace()).to_owned(),
                application: link.application.as_ref()?.to_string(),
                workload: link.workload.as_ref()?.to_string(),
            })
        })
    });
    links.collect()
}

/// The workloads that one which is placed by itself is made of, itself first: those that a host needs to run it.
pub fn parts_of(application: &Application, workload: &str) -> Vec<Name> {
    let parts = Parts::of(application);
    let all = parts.all_of(workload).into_iter();
    all.map(|workload| workload.name.value.clone()).collect()
}

#[cfg(test)]
mod tests;
