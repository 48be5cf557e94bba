//! `reef apply`, `diff`, `rollback`: what is wanted of a lattice.

use std::{
    collections::BTreeMap,
    io::{self, IsTerminal as _, Write as _},
    path::Path,
    time::Duration,
};

use anyhow::{Context as _, bail};
use reef_controller::api::{Accept, Accepted, Rollback, Unrouted};
use reef_host::deploy::environment_name;
use reef_lattice::{
    Digest,
    record::{File, Revision, Status},
};
use reef_planner::{Id, Resources, Scale, Workload};

use super::{Asking, asked, pin, print_json, say};
use crate::{
    args::{self, CacheArgs, SourceArgs},
    manifest, source,
};

/// What is to be applied.
struct Wanted<'a> {
    path: &'a Path,
    profile: Option<&'a str>,
    var: &'a [(String, String)],
    sources: &'a SourceArgs,
    namespace: Option<&'a str>,
    dry_run: bool,
    json: bool,
}

/// Has an application run in a lattice as its manifest says.
pub(crate) fn apply(args: &args::Apply) -> anyhow::Result<i32> {
    let path = args.file.as_deref().or(args.path.as_deref()).unwrap_or(Path::new("."));
    asked(args.place(), async |asking| {
        let wanted = Wanted {
            path,
            profile: args.profile.as_deref(),
            var: &args.var,
            sources: &args.sources,
            namespace: args.namespace.as_deref(),
            dry_run: args.dry_run,
            json: args.json,
        };
        let Some((namespace, app, accepted)) = accept(&asking, &wanted).await? else {
            return Ok(1);
        };
        if args.json && !args.wait {
            print_json(&accepted)?;
            return Ok(0);
        }
        if !args.json {
            tell(&app, &accepted, args.dry_run)?;
        }
        if args.wait && !args.dry_run {
            wait(&asking, &namespace, &app, accepted.of, args.timeout, args.json).await?;
        }
        Ok(0)
    })
}

/// Says what applying a manifest would change.
pub(crate) fn diff(args: &args::Diff) -> anyhow::Result<i32> {
    let path = args.file.as_deref().or(args.path.as_deref()).unwrap_or(Path::new("."));
    asked(args.asked.place(), async |asking| {
        let wanted = Wanted {
            path,
            profile: args.profile.as_deref(),
            var: &args.var,
            sources: &args.sources,
            namespace: Some(&args.asked.namespace)
                .filter(|name| *name != reef_app::NAMESPACE)
                .map(String::as_str),
            dry_run: true,
            json: false,
        };
        let Some((_, app, accepted)) = accept(&asking, &wanted).await? else { return Ok(2) };
        if accepted.unchanged {
            say(&format!("{app} is as the manifest says."))?;
            return Ok(0);
        }
        for line in &accepted.differences {
            say(line)?;
        }
        // As `diff` says it.
        Ok(1)
    })
}

/// Goes back to an earlier revision.
pub(crate) fn rollback(args: &args::Rollback) -> anyhow::Result<i32> {
    asked(args.place(), async |asking| {
        let request = Rollback {
            namespace: args.namespace.clone(),
            app: args.application.clone(),
            to: args.to,
            dry_run: false,
        };
        let accepted = asking.client.call(&request).await?;
        if args.json {
            print_json(&accepted)?;
        } else {
            tell(&args.application, &accepted, false)?;
        }
        Ok(0)
    })
}

/// Namespace, name, and what became of it; none where the manifest is wrong, which has been said.
async fn accept(
    asking: &Asking,
    wanted: &Wanted<'_>,
) -> anyhow::Result<Option<(String, String, Accepted)>> {
    let mut found = reef_document::Diagnostics::default();
    let loaded = manifest::load(wanted.path, wanted.profile, &mut found)?;
    crate::check::show(&wanted.path.display().to_string(), &found)?;
    let Some(mut loaded) = loaded else { return Ok(None) };
    let values = values(&loaded.application, wanted.var)?;
    if let Some(namespace) = wanted.namespace {
        let name: reef_app::Name = namespace.parse()?;
        loaded.application.namespace = Some(name.into());
    }
    let fetcher = source::fetcher(&CacheArgs::default(), wanted.sources);
    let pinned = pin(loaded.application, &loaded.folder, &fetcher).await?;
    // The controller looks, too. Here it is known where it is written, and nothing was sent yet.
    let mut found = pinned.carried()?;
    if !found.is_empty() {
        if let Ok(text) = manifest::read(&manifest::manifest_of(wanted.path)) {
            found.settle(&text);
        }
        crate::check::show(&wanted.path.display().to_string(), &found)?;
        return Ok(None);
    }
    if !wanted.dry_run {
        let shown = io::stderr().is_terminal() && !wanted.json;
        let tell = |file: &File| {
            if shown {
                let _ = writeln!(io::stderr(), "Sending {} ({} bytes)", file.path, file.size);
            }
        };
        pinned.upload(&*asking.objects, tell).await?;
    }
    let namespace = pinned.application.namespace().to_owned();
    let app = pinned.application.name.to_string();
    let revision = Revision {
        number: 0,
        application: serde_json::to_value(&pinned.application)?,
        values,
        files: pinned.files.clone(),
        workloads: pinned
            .digests
            .iter()
            .map(|(name, digest)| (name.clone(), known(digest)))
            .collect(),
        autoscale: BTreeMap::new(),
        percentiles: BTreeMap::new(),
        manifest: None,
        by: None,
    };
    let request = Accept {
        namespace: namespace.clone(),
        revision: Some(revision),
        cause: manifest::read(wanted.path)
            .map_or("files", |text| manifest::Kind::of(&text).word())
            .to_owned(),
        expected: None,
        dry_run: wanted.dry_run,
    };
    let accepted = asking.client.call(&request).await?;
    Ok(Some((namespace, app, accepted)))
}

/// Values of variables: as flags give them, or the environment.
fn values(
    application: &reef_app::Application,
    var: &[(String, String)],
) -> anyhow::Result<BTreeMap<String, String>> {
    for (name, _) in var {
        if !application.variables.keys().any(|known| known.as_str() == name) {
            bail!("--var {name}: `{}` has no variable `{name}`", application.name);
        }
    }
    let value = |name: &reef_app::Name| {
        let given = var.iter().rev().find(|(given, _)| given == name.as_str());
        given.map(|(_, value)| value.clone()).or_else(|| std::env::var(environment_name(name)).ok())
    };
    let names = application.variables.iter();
    let names = names.filter(|(name, variable)| {
        // What is secret hosts have themselves; one that is given is refused, and not passed over.
        !variable.secret || var.iter().any(|(given, _)| given == name.as_str())
    });
    Ok(names.filter_map(|(name, _)| Some((name.to_string(), value(&name.value)?))).collect())
}

/// Of a workload, its digest is all that is known here.
fn known(digest: &Digest) -> Workload {
    let revision = reef_planner::Revision {
        number: 0,
        digest: Id::from(digest.as_str()),
        requests: Resources::default(),
    };
    Workload::new(revision, Scale::Instances(1))
}

fn tell(app: &str, accepted: &Accepted, dry_run: bool) -> anyhow::Result<()> {
    let number = accepted.number;
    if accepted.unchanged {
        say(&format!("{app} is at revision {number}, as before: nothing has changed."))?;
        return Ok(());
    }
    for line in accepted.differences.iter().chain(&accepted.plan) {
        say(&format!("  {line}"))?;
    }
    match dry_run {
        true => say(&format!("{app} would be at revision {number}. Nothing was changed."))?,
        false => say(&format!("{app} is to be at revision {number}."))?,
    }
    Ok(())
}

/// Waits until an application is as it is wanted, and says what happens meanwhile.
pub(super) async fn wait(
    asking: &Asking,
    namespace: &str,
    app: &str,
    of: u64,
    within: Duration,
    json: bool,
) -> anyhow::Result<()> {
    let mut last = String::new();
    let seen = |status: &Status, without: &[Unrouted]| {
        let line = progress(status, without);
        if !json && line != last {
            let _ = say(&line);
            last = line;
        }
    };
    let status = asking.client.wait(namespace, app, of, within, seen).await;
    let status = status.with_context(|| format!("{app} is not ready"))?;
    if json {
        print_json(&status)?;
    } else {
        say(&format!("{app} is ready."))?;
    }
    Ok(())
}

fn progress(status: &Status, without: &[Unrouted]) -> String {
    let workloads = status.workloads.iter().map(|(name, one)| {
        let why = one.reasons.first().map(|reason| format!(" ({reason})")).unwrap_or_default();
        format!("{name} {}/{}{why}", one.ready, one.wanted)
    });
    let without = without.iter().map(Unrouted::to_string);
    workloads.chain(without).collect::<Vec<_>>().join(", ")
}
