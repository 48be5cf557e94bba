//! Accepting revisions.

mod carried;
mod checks;
mod turn;
mod words;

use std::collections::{BTreeMap, BTreeSet};

use futures::StreamExt as _;
use reef_app::Application;
use reef_document::Diagnostics;
use reef_lattice::{
    Digest, Expected, Failure,
    accept::{self, Draft, autoscale, diff, percentiles},
    record::{App, Head, Revision, decode, encode},
};
use reef_planner::{Verdict, Workload};

use super::{
    change::{Fault, put},
    server::Server,
    types::{Accept, Accepted, Code, Rollback},
};
use crate::{
    core::{AppKey, Core, Kept, Name, Records},
    driver::FRESH,
};

pub(crate) use self::carried::Looked;
pub(super) use self::checks::{name, within_quota};

/// Files that the lattice is asked for at once.
const ASKED_AT_ONCE: usize = 32;
/// Revisions that are kept beside those that are in use.
const KEPT: usize = 32;
/// How often it is begun anew where others accept at the same time.
const TRIES: u32 = 64;

/// An application's record as it is in the store, and its wanted revision.
struct Present {
    app: Option<App>,
    before: Expected,
    wanted: Option<Revision>,
}

/// Whether a revision that is accepted is wanted from then on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wants {
    /// It is.
    It,
    /// It is kept as a version that is not there yet, and what is wanted stays so.
    WhatIs,
}

/// What came of one try.
enum Tried {
    Accepted(Accepted),
    /// Somebody else has written a record of that number.
    Taken,
    /// Something else was accepted meanwhile.
    Overtaken,
}

/// Accepts a revision: after everything was looked at, and all or nothing.
pub(crate) async fn accept(
    server: &Server,
    asked: Accept,
    wants: Wants,
) -> Result<Accepted, Fault> {
    let Some(given) = &asked.revision else {
        return Err(Fault::invalid("there is no revision in the request"));
    };
    name("namespace", &asked.namespace)?;
    let application =
        accept::application(given).map_err(|failure| Fault::invalid(failure.to_string()))?;
    if application.namespace() != asked.namespace {
        return Err(Fault::invalid(format!(
            "the manifest is for the namespace `{}`, and the request for `{}`",
            application.namespace(),
            asked.namespace
        )));
    }
    let mut found = Diagnostics::default();
    application.check(&mut found);
    checks::faults(&found)?;
    if let Err(found) = accept::check_values(&application, &given.values) {
        checks::faults(&found)?;
    }
    if !asked.dry_run {
        server.has_files(given).await?;
    }
    server.carried(&application, given).await?;
    let key = AppKey::new(&asked.namespace, &*application.name.to_string());
    server.follow_record(Name::Namespace(key.namespace.clone())).await?;
    server.follow(&asked.namespace, &key.app).await?;
    let mut taken = 0;
    for _ in 0..TRIES {
        let present = server.present(&key).await?;
        let tried = server.accept_once(&asked, wants, given, &application, &key, present, taken);
        match tried.await? {
            Tried::Accepted(accepted) => return Ok(accepted),
            Tried::Taken => taken += 1,
            Tried::Overtaken => {}
        }
        tokio::time::sleep(std::time::Duration::from_millis(fastrand::u64(1..20))).await;
    }
    Err(Fault::conflict(format!("`{key}` is changed by others all the time; try again")))
}

impl Server {
    /// Whether all files are in the lattice, which then stay there.
    async fn has_files(&self, given: &Revision) -> Result<(), Fault> {
        let files: BTreeMap<_, _> =
            given.files.iter().map(|file| (&file.digest, &file.path)).collect();
        let objects = &self.lattice().objects;
        let hold =
            |(digest, path)| async move { Ok((digest, path, objects.hold(digest, FRESH).await?)) };
        let asking: Vec<_> = files.into_iter().map(hold).collect();
        let mut asked = futures::stream::iter(asking).buffered(ASKED_AT_ONCE);
        while let Some(asked) = asked.next().await {
            let (digest, path, there) = asked.map_err(|failure: Failure| Fault::from(failure))?;
            if !there {
                return Err(Fault::invalid(format!(
                    "`{path}` ({digest}) is not in the lattice: send it before the application"
                )));
            }
        }
        Ok(())
    }

    /// The record of an application as it is in the store now.
    pub(crate) async fn app(&self, key: &AppKey) -> Result<Option<App>, Fault> {
        Ok(self.present(key).await?.app)
    }

    /// What there is of an application now.
    async fn present(&self, key: &AppKey) -> Result<Present, Fault> {
        let store = &self.lattice().store;
        let no_name = || Fault::invalid(format!("`{key}` is not a name"));
        let at = Name::App(key.clone()).key().ok_or_else(no_name)?;
        let entry = store.get(&at).await?;
        let before = entry.as_ref().map_or(Expected::Absent, |it| Expected::Revision(it.revision));
        let app: Option<App> = entry.map(|entry| decode(at.as_str(), &entry.value)).transpose()?;
        let number = app.as_ref().and_then(|app| app.wanted.filter(|_| !app.deleted));
        let wanted = match number {
            None => None,
            Some(number) => {
                let at = Name::Revision(key.clone(), number).key().ok_or_else(no_name)?;
                let entry = store.get(&at).await?;
                // One that cannot be understood is replaced, not compared.
                entry.and_then(|entry| decode(at.as_str(), &entry.value).ok())
            }
        };
        Ok(Present { app, before, wanted })
    }

    #[allow(clippy::too_many_arguments, reason = "all that is asked, and all that there is")]
    async fn accept_once(
        &self,
        asked: &Accept,
        wants: Wants,
        given: &Revision,
        application: &Application,
        key: &AppKey,
        present: Present,
        taken: u64,
    ) -> Result<Tried, Fault> {
        let Present { app: known, before, wanted } = present;
        let there = known.as_ref().filter(|app| !app.deleted);
        if wants == Wants::WhatIs {
            is_new_version(there, application)?;
        }
        let is = there.and_then(|app| app.wanted).unwrap_or(0);
        let app = known.clone().unwrap_or_default();
        // Another one may have written the record of a revision, and not have come to accept it.
        let mut number = app.next.max(1) + taken;
        if known.is_none() {
            // One that the store has forgotten: what runs of it still is not this.
            number += self.core().newest_there(key).unwrap_or(0);
        }
        let record = record(given, application, wanted.as_ref(), number)?;
        let differences: Vec<String> = match &wanted {
            Some(wanted) => diff(wanted, &record).iter().map(ToString::to_string).collect(),
            None => Vec::new(),
        };
        let same = |wanted: &Revision| {
            Revision {
                number,
                by: record.by.clone(),
                manifest: record.manifest.clone(),
                ..wanted.clone()
            } == record
        };
        if wants == Wants::It && wanted.as_ref().is_some_and(same) {
            let of = match before {
                Expected::Revision(of) => of,
                _ => 0,
            };
            let plan = Vec::new();
            let (unchanged, created) = (true, false);
            let accepted = Accepted { number: is, unchanged, created, of, differences, plan };
            return Ok(Tried::Accepted(accepted));
        }
        if let Some(expected) = asked.expected.filter(|expected| *expected != is) {
            return Err(Fault::conflict(format!(
                "revision {is} of `{key}` is wanted now, and not {expected}: look at what changed, and try again"
            )));
        }
        let turn = match wants {
            Wants::It if !asked.dry_run => Some(self.next_turn(key).await?),
            _ => None,
        };
        let value = encode(&record)?;
        let (size, most) = (value.len() as u64, self.lattice().store.max_value() as u64);
        if size > most {
            return Err(Fault::new(
                Code::TooLarge,
                format!(
                    "the manifest, its values and the names of its files take {size} bytes, and {most} are kept: name fewer files (pack them into one, or name folders less widely)"
                ),
            ));
        }
        self.read_places().await;
        let (next, plan) = {
            let core = self.core();
            let next = next(&core, key, &app, &record, wanted.as_ref(), application, asked, self);
            let plan = words::plan(&core, key, &next, &record);
            if wants == Wants::It {
                self.allowed_with(&core, key, &record, application, &plan)?;
            }
            let next = match wants {
                Wants::It => next,
                Wants::WhatIs => App {
                    wanted: there.and_then(|app| app.wanted),
                    previous: app.previous.clone(),
                    ..next
                },
            };
            (next, plan)
        };
        // In a large lattice that takes a while.
        let now = self.now();
        let planning = tokio::task::spawn_blocking(move || plan.words(now));
        let plan = planning.await.map_err(|error| {
            Fault::new(Code::Unavailable, format!("it could not be planned: {error}"))
        })?;
        let created = there.is_none();
        let accepted = Accepted { number, unchanged: false, created, of: 0, differences, plan };
        if asked.dry_run {
            return Ok(Tried::Accepted(accepted));
        }
        if let Some(turn) = turn
            && !self.take_turn(turn, key, number).await?
        {
            return Ok(Tried::Overtaken);
        }
        let at = Name::Revision(key.clone(), number);
        match put(self.lattice(), &at, value, Expected::Absent).await {
            Ok(_) => {}
            Err(Failure::Conflict(_)) => return Ok(Tried::Taken),
            Err(failure) => return Err(failure.into()),
        }
        match put(self.lattice(), &Name::App(key.clone()), encode(&next)?, before).await {
            Ok(of) => {
                // What is asked here next is looked at beside it.
                let _ = self.follow_record(Name::App(key.clone())).await;
                Ok(Tried::Accepted(Accepted { of, ..accepted }))
            }
            Err(Failure::Conflict(_)) => Ok(Tried::Taken),
            Err(failure) => Err(failure.into()),
        }
    }

    pub(crate) async fn roll_back(&self, asked: &Rollback) -> Result<Accepted, Fault> {
        let key = AppKey::new(&asked.namespace, &asked.app);
        let (to, old, wanted) = {
            let core = self.core();
            let (app, _) = super::look::there(&core, &key)?;
            let wanted = app.wanted.unwrap_or(u64::MAX);
            let mut before = app.revisions.iter().rev().map(|head| head.number);
            let to = asked.to.or_else(|| before.find(|number| *number < wanted));
            let to = to.ok_or_else(|| Fault::not_found(format!("earlier revision of `{key}`")))?;
            let old = core.records().revision_of(&key, to);
            let old = old.ok_or_else(|| Fault::not_found(format!("revision {to} of `{key}`")))?;
            (to, old.clone(), app.wanted)
        };
        let accept_old = Accept {
            namespace: asked.namespace.clone(),
            revision: Some(old),
            cause: format!("rollback to {to}"),
            expected: Some(wanted.unwrap_or(0)),
            dry_run: asked.dry_run,
        };
        accept(self, accept_old, Wants::It).await
    }
}

/// Whether no revision of an application has its version.
pub(crate) fn is_new_version(there: Option<&App>, application: &Application) -> Result<(), Fault> {
    let Some(version) = &application.version else { return Ok(()) };
    let taken =
        there.into_iter().flat_map(|app| &app.revisions).any(|head| head.name() == *version);
    if taken {
        let name = application.name.to_string();
        return Err(Fault::conflict(format!("version {version} of `{name}` is there already")));
    }
    Ok(())
}

/// The record of a revision.
fn record(
    given: &Revision,
    application: &Application,
    wanted: Option<&Revision>,
    number: u64,
) -> Result<Revision, Fault> {
    let mut digests: BTreeMap<String, Digest> = BTreeMap::new();
    for (name, workload) in &given.workloads {
        let digest = workload.revision.digest.parse();
        let digest = digest.map_err(|error| Fault::invalid(format!("{name}: {error}")))?;
        digests.insert(name.clone(), digest);
    }
    let draft = Draft {
        number,
        application,
        values: &given.values,
        files: &given.files,
        digests: &digests,
    };
    let workloads = match accept::workloads(&draft, wanted) {
        Ok(workloads) => workloads,
        Err(found) => {
            checks::faults(&found)?;
            return Err(Fault::invalid("the manifest cannot be placed"));
        }
    };
    Ok(Revision {
        number,
        application: given.application.clone(),
        values: given.values.clone(),
        files: given.files.clone(),
        autoscale: autoscale(application),
        percentiles: percentiles(application),
        workloads,
        manifest: given.manifest.clone(),
        by: given.by.clone(),
    })
}

/// The application's record once a revision is accepted.
#[allow(clippy::too_many_arguments, reason = "all that a record is made of")]
fn next(
    core: &Core,
    key: &AppKey,
    app: &App,
    record: &Revision,
    wanted: Option<&Revision>,
    application: &Application,
    asked: &Accept,
    server: &Server,
) -> App {
    let records = core.records();
    let last = records.apps.values().filter_map(Kept::get).map(|app| app.accepted).max();
    let accepted = if app.accepted > 0 { app.accepted } else { last.unwrap_or(0) + 1 };
    let previous = previous_of(records, key, app, wanted, &record.workloads);
    let mut revisions = app.revisions.clone();
    revisions.push(Head {
        number: record.number,
        version: application.version.clone(),
        description: application.description.clone(),
        at: server.now(),
        cause: asked.cause.chars().take(200).collect(),
    });
    let in_use: BTreeSet<u64> =
        record
            .workloads
            .values()
            .map(|workload| workload.revision.number)
            .chain(previous.values().copied())
            .chain(app.previous.values().copied())
            .chain(app.wanted)
            .chain(wanted.into_iter().flat_map(|wanted| {
                wanted.workloads.values().map(|workload| workload.revision.number)
            }))
            .chain([record.number])
            .collect();
    let beyond = revisions.len().saturating_sub(KEPT);
    let old: BTreeSet<u64> = revisions.iter().take(beyond).map(|head| head.number).collect();
    revisions.retain(|head| !old.contains(&head.number) || in_use.contains(&head.number));
    App {
        accepted,
        wanted: Some(record.number),
        revisions,
        previous,
        next: record.number + 1,
        deleted: false,
    }
}

/// For each workload the revision before its last change, when these are wanted.
pub(super) fn previous(
    core: &Core,
    key: &AppKey,
    app: &App,
    workloads: &BTreeMap<String, Workload>,
) -> BTreeMap<String, u64> {
    let wanted = app.wanted.and_then(|number| core.records().revision_of(key, number));
    previous_of(core.records(), key, app, wanted, workloads)
}

pub(crate) fn previous_of(
    records: &Records,
    key: &AppKey,
    app: &App,
    wanted: Option<&Revision>,
    workloads: &BTreeMap<String, Workload>,
) -> BTreeMap<String, u64> {
    let mut previous = BTreeMap::new();
    let Some(wanted) = wanted.filter(|_| !app.deleted) else { return previous };
    for (name, workload) in workloads {
        let Some(present) = wanted.workloads.get(name).map(|one| one.revision.number) else {
            continue;
        };
        let earlier = app.previous.get(name).copied();
        let to = workload.revision.number;
        let before = if to == present {
            earlier
        } else {
            let rollout = records.rollouts.get(&key.workload(name)).and_then(Kept::get);
            let state = rollout.and_then(|rollout| rollout.state.as_ref());
            let complete = state.is_some_and(|state| {
                state.revision == present && state.verdict == Verdict::Complete
            });
            // What was not rolled out whole is nothing to go back to.
            if complete { Some(present) } else { earlier.or(Some(present)) }
        };
        if let Some(before) = before.filter(|before| *before != to) {
            previous.insert(name.clone(), before);
        }
    }
    previous
}
