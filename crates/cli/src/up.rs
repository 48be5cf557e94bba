//! `reef up`: applications on this machine.

use anyhow::bail;
use reef_app::Name;
use reef_document::Diagnostics;

use crate::{
    args::{Log, Up},
    check,
    deploy::{Deployment, environment_name},
    manifest, server,
};

/// Runs applications until a signal says to stop.
pub(crate) fn up(args: &Up, log: &Log) -> anyhow::Result<i32> {
    let mut paths = args.paths.clone();
    if paths.is_empty() {
        paths.push(".".into());
    }
    let mut loaded = Vec::new();
    let mut usable = true;
    for path in &paths {
        let mut found = Diagnostics::default();
        let application = manifest::load(path, args.profile.as_deref(), &mut found)?;
        check::show(&path.display().to_string(), &found)?;
        match application {
            Some(application) => loaded.push(application),
            None => usable = false,
        }
    }
    if !usable {
        // What is wrong has been said, at its place.
        return Ok(1);
    }
    for (at, one) in loaded.iter().enumerate() {
        let name = &one.application.name;
        if loaded[..at].iter().any(|other| other.application.name == *name) {
            bail!("two applications are called `{name}`; give one of them another name");
        }
    }
    let declared = |name: &str| {
        loaded
            .iter()
            .flat_map(|l| l.application.variables.keys())
            .any(|known| known.as_str() == name)
    };
    if let Some((name, _)) = args.var.iter().find(|(name, _)| !declared(name)) {
        bail!("--var {name}: no application here has a variable `{name}`");
    }
    let value = |name: &Name| {
        let given = args.var.iter().rev().find(|(given, _)| given == name.as_str());
        given.map(|(_, value)| value.clone()).or_else(|| std::env::var(environment_name(name)).ok())
    };
    server::serve(&args.server, log, |engine| {
        let mut mounts = Vec::new();
        for one in &loaded {
            let deployment = Deployment {
                application: &one.application,
                folder: &one.folder,
                qualified: loaded.len() > 1,
            };
            mounts.extend(deployment.mounts(engine, value)?);
        }
        if mounts.is_empty() {
            bail!("nothing here answers requests: give a workload `trigger.http.route = \"/...\"`");
        }
        Ok(mounts)
    })
}
