//! From an application to workloads at their routes: the one way from a manifest to running code.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, bail};
use reef_app::{Application, Name, Source, Template, Workload as Described};
use reef_artifact::Artifact;
use reef_engine::Engine;
use reef_grants::{DirGrant, Grants, Limits};
use reef_host::{
    Workload,
    serve::{Mount, Queueing, Reuse, ServeOptions},
};

use crate::guest;

/// Wall time of a request where nothing else is said.
const DEADLINE: Duration = Duration::from_secs(30);

/// An application to be run from a folder.
pub(crate) struct Deployment<'a> {
    pub(crate) application: &'a Application,
    /// What its paths start from.
    pub(crate) folder: &'a Path,
    /// Whether the application's name stands before its workloads', as there are others beside it.
    pub(crate) qualified: bool,
}

impl Deployment<'_> {
    /// Compiles and links what answers requests. `value` knows the values of variables, except for
    /// defaults.
    pub(crate) fn mounts<'s>(
        &'s self,
        engine: &Arc<Engine>,
        value: impl Fn(&Name) -> Option<String>,
    ) -> anyhow::Result<Vec<Mount>> {
        let values = self.values(value)?;
        let value = |name: &Name| {
            values.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
        };
        let mut mounts = Vec::new();
        // Names tell workloads apart in logs and metrics: middleware at a second route has another.
        let mut made = HashMap::<&Name, usize>::new();
        let mut prepare = |described: &'s Described| {
            let times = made.entry(&described.name.value).or_default();
            *times += 1;
            self.prepare(engine, described, self.qualified_name(described, *times), &value)
        };
        for described in &self.application.workloads {
            let mut workload = None;
            for trigger in described.trigger.http.iter() {
                let workload = match &workload {
                    Some(workload) => Arc::clone(workload),
                    None => workload.insert(prepare(described)?).clone(),
                };
                // One of each a route: middleware knows what is behind it.
                let middleware =
                    trigger.middleware.iter().map(|name| prepare(self.workload(name)?));
                let middleware = middleware.collect::<anyhow::Result<_>>()?;
                let route = trigger.route.value.clone();
                mounts.push(Mount { route, workload, middleware, options: options(described) });
            }
        }
        Ok(mounts)
    }

    fn workload(&self, name: &Name) -> anyhow::Result<&Described> {
        let workloads = &self.application.workloads;
        let found = workloads.iter().find(|workload| *workload.name == *name);
        found.with_context(|| format!("there is no workload `{name}`"))
    }

    /// What each variable is. One without a value is an error here, before anything runs.
    fn values(
        &self,
        value: impl Fn(&Name) -> Option<String>,
    ) -> anyhow::Result<Vec<(Name, String)>> {
        let mut values = Vec::new();
        for (name, variable) in &self.application.variables {
            let Some(value) = value(name).or_else(|| variable.default.clone()) else {
                bail!(
                    "{}: the variable `{name}` has no value; give it one with --var {name}=VALUE or {}",
                    self.application.name,
                    environment_name(name),
                );
            };
            values.push((name.value.clone(), value));
        }
        Ok(values)
    }

    /// What a workload is called beside all others, and beside itself when it is made several times.
    fn qualified_name(&self, described: &Described, times: usize) -> String {
        let mut name = described.name.to_string();
        if self.qualified {
            name = format!("{}/{name}", self.application.name);
        }
        if times > 1 {
            name = format!("{name}-{times}");
        }
        name
    }

    fn prepare<'v>(
        &self,
        engine: &Arc<Engine>,
        described: &Described,
        name: String,
        value: &impl Fn(&Name) -> Option<&'v str>,
    ) -> anyhow::Result<Arc<Workload>> {
        let artifact = self.artifact(described).with_context(|| name.clone())?;
        let grants = self.grants(described, value).with_context(|| name.clone())?;
        let limits = &described.limits;
        let default = Limits { deadline: Some(DEADLINE), ..Limits::default() };
        let limits = Limits {
            deadline: limits.deadline.map(|deadline| deadline.0).or(default.deadline),
            memory: limits.memory.map_or(default.memory, |memory| memory.0),
            cpu: limits.cpu.map(|cpu| cpu.0),
            ..default
        };
        guest::prepare(engine, &artifact, name, grants, limits)
    }

    fn artifact(&self, described: &Described) -> anyhow::Result<Artifact> {
        let file = match &described.source.value {
            Source::File(file) if file == Path::new("-") => file.clone(),
            Source::File(file) => self.folder.join(file),
            Source::Url(_) | Source::Oci(_) | Source::Bindle(_) => bail!(
                "{} cannot be fetched yet; download it, and name the file",
                described.source.value
            ),
        };
        let artifact = guest::read(&file)?;
        if let Some(digest) = &described.digest
            && !digest.eq_ignore_ascii_case(&artifact.digest().to_string())
        {
            bail!(
                "{} is not what the manifest pins: its digest is {}, not {}",
                file.display(),
                artifact.digest(),
                digest.value
            );
        }
        Ok(artifact)
    }

    fn grants<'v>(
        &self,
        described: &Described,
        value: &impl Fn(&Name) -> Option<&'v str>,
    ) -> anyhow::Result<Grants> {
        let text = |template: &Template| template.resolve(value);
        let mut env = Vec::new();
        for (key, template) in &described.env {
            env.push((key.clone(), text(template)?));
        }
        let mut egress = Vec::new();
        for template in &described.egress {
            egress.push(text(template)?.parse()?);
        }
        let dirs = described.dirs.iter().map(|dir| {
            let host: PathBuf = self.folder.join(&dir.host);
            DirGrant { host, ..dir.value.0.clone() }
        });
        let listen = described.listen.iter().map(|addr| addr.value.0);
        Ok(Grants { dirs: dirs.collect(), env, egress, listen: listen.collect() })
    }
}

/// Where the environment holds a variable's value.
pub(crate) fn environment_name(name: &Name) -> String {
    let name = name.as_str().to_uppercase();
    format!("REEF_VAR_{}", name.replace(['-', '.'], "_"))
}

fn options(described: &Described) -> ServeOptions {
    let (limits, scale, default) = (&described.limits, &described.scale, Queueing::default());
    ServeOptions {
        reuse: Reuse {
            requests: scale.reuse,
            concurrent: scale.concurrent,
            idle: scale.idle.map(|idle| idle.0),
        },
        queueing: Queueing {
            concurrent: limits.requests.unwrap_or(default.concurrent),
            waiting: limits.queue.unwrap_or(default.waiting),
            patience: limits.queue_timeout.map_or(default.patience, |timeout| timeout.0),
        },
    }
}
