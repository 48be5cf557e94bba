//! `reef serve`: an application that flags describe.

use std::{
    collections::{BTreeMap, HashMap},
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use reef_app::{
    Application, HttpTrigger, Limits, Name, Route, Scale, Source, Template, Triggers, Workload,
    Written,
};
use reef_grants::Grants;
use reef_host::deploy::Order;

use crate::{
    args::{Log, Serve},
    guest, server, source,
};

/// Serves until a signal says to stop.
pub(crate) fn serve(args: &Serve, log: &Log) -> anyhow::Result<i32> {
    let application = application(args)?;
    let order = Order {
        application,
        folder: PathBuf::new(),
        values: BTreeMap::new(),
        sourced: BTreeMap::new(),
        qualified: false,
        placed: None,
        tried: false,
    };
    server::serve(&args.server, log, vec![order], None)
}

fn application(args: &Serve) -> anyhow::Result<Application> {
    let grants = guest::grants(&args.grants)?;
    // Names tell workloads apart in logs and metrics: a file that is served twice has two.
    let mut names = HashMap::<String, usize>::new();
    let mut workload = |path: &Path, trigger: Triggers| {
        let mut name = Name::lenient(&source::name_of(path)).to_string();
        let times = names.entry(name.clone()).or_default();
        *times += 1;
        if *times > 1 {
            name = format!("{name}-{times}");
        }
        Ok::<_, anyhow::Error>(Workload {
            source: source::of(path)?.into(),
            ..describe(args, &grants, Name::lenient(&name), path, trigger)
        })
    };
    let mut workloads = Vec::new();
    let mut middleware = Vec::new();
    for path in &args.middleware {
        let one = workload(path, Triggers::default())?;
        middleware.push(one.name.clone());
        workloads.push(one);
    }
    for file in &args.files {
        let (route, path) = mount_of(file)?;
        let trigger = HttpTrigger { middleware: middleware.clone(), ..HttpTrigger::at(route) };
        workloads.push(workload(&path, Triggers::http(vec![trigger]))?);
    }
    Ok(Application { workloads, ..Application::new(Name::lenient("serve")) })
}

fn describe(args: &Serve, grants: &Grants, name: Name, path: &Path, trigger: Triggers) -> Workload {
    let literal = |text: String| Template::literal(text).into();
    Workload {
        trigger,
        env: grants.env.iter().map(|(key, value)| (key.clone(), literal(value.clone()))).collect(),
        dirs: grants.dirs.iter().map(|dir| Written(dir.clone()).into()).collect(),
        egress: grants.egress.iter().map(|to| literal(to.to_string())).collect(),
        listen: grants.listen.iter().map(|addr| Written(*addr).into()).collect(),
        limits: Limits {
            deadline: args.limits.deadline.map(Into::into),
            memory: args.limits.memory.map(Into::into),
            cpu: args.limits.cpu.map(Into::into),
            requests: Some(args.instances.max_requests),
            queue: Some(args.instances.max_queue),
            queue_timeout: Some(args.instances.queue_timeout.into()),
            outgoing: None,
        },
        scale: Scale {
            reuse: args.instances.reuse,
            concurrent: args.instances.concurrent,
            idle: Some(args.instances.instance_idle.into()),
            ..Scale::default()
        },
        ..Workload::new(name, Source::File(path.to_owned()))
    }
}

/// `ROUTE=FILE`, or a file alone for everything.
fn mount_of(text: &str) -> anyhow::Result<(Route, PathBuf)> {
    let (route, file) = match text.split_once('=') {
        // An address may hold a `=`, and so may a file's own name.
        _ if reef_registry::is_remote(text) => ("/...", text),
        Some((route, file)) if route.contains('/') && !Path::new(text).exists() => (route, file),
        _ => ("/...", text),
    };
    let route = route.parse().with_context(|| format!("cannot serve {text}"))?;
    Ok((route, file.into()))
}
