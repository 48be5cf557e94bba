//! What an order says, with everything decided that it leaves open.

use std::{
    io::Read as _,
    path::{Path, PathBuf},
    time::Duration,
};

use jiff::tz::TimeZone;
use reef_app::{Handing, Link, Name, Template, Workload as Described};
use reef_capability::Secret;
use reef_document::At;
use reef_grants::{DirGrant, Grants, Limits, PemFile};
use reef_http::{Compression, FileOptions, Fixed, Redirect, StaticFiles};

use super::{DeployError, Order, capabilities::capability, files, messaging};
use crate::{
    serve::{Mounted, Queueing, Reuse, ServeOptions},
    task::{Plan, When},
    workload::Remote,
};

/// Wall time of a request where nothing else is said.
const DEADLINE: Duration = Duration::from_secs(30);
/// Wall time of a run that a start or a time begins, where nothing else is said.
pub(super) const RUN_DEADLINE: Duration = Duration::from_secs(600);
/// How long a connection may be silent, where nothing else is said.
const IDLE: Duration = Duration::from_secs(300);

/// The capability to send requests to the application's own routes.
const OWN_ROUTES: &str = "own-routes";

/// The label of a worker that says which file of its site it is.
pub const WORKER: &str = "workers.file";

impl Order {
    /// What a variable is.
    fn value(&self, name: &Name) -> Option<&str> {
        let given = self.values.get(name).map(String::as_str);
        let given = given.or_else(|| self.sourced.get(name).map(Secret::expose));
        given.or_else(|| self.application.variables.get(&name.clone().into())?.default.as_deref())
    }

    /// One without a value is an error here, before anything runs.
    pub(super) fn check_values(&self) -> Result<(), DeployError> {
        for name in self.application.variables.keys() {
            if self.value(name).is_none() {
                return Err(DeployError::NoValue {
                    application: self.application.name.to_string(),
                    name: name.to_string(),
                    environment: environment_name(name),
                });
            }
        }
        Ok(())
    }

    pub(super) fn text(&self, template: &Template) -> Result<String, DeployError> {
        template.resolve(|name| self.value(name)).map_err(|unresolved| DeployError::NoValue {
            application: self.application.name.to_string(),
            environment: environment_name(&unresolved.0),
            name: unresolved.0.to_string(),
        })
    }

    /// Arguments with the values of variables in them.
    pub(super) fn resolved(&self, args: &[At<Template>]) -> Result<Vec<String>, DeployError> {
        args.iter().map(|arg| self.text(arg)).collect()
    }

    /// What it is known as here.
    pub(super) fn key(&self) -> &str {
        match &self.placed {
            Some(placed) => &placed.key,
            None => self.application.name.as_str(),
        }
    }

    /// What its stores and volumes are kept by: applications of one name in two namespaces share nothing.
    pub(super) fn scope(&self) -> String {
        let name = self.application.name.as_str();
        match self.application.namespace() {
            reef_app::NAMESPACE => name.to_owned(),
            // No name has such a character in it.
            namespace => format!("{namespace}={name}"),
        }
    }

    /// Whether a link is to a workload that is not a part here, and is called wherever it is.
    pub(super) fn is_elsewhere(&self, link: &Link) -> bool {
        self.placed.is_some() && link.workload.is_some() && !is_http(link) && !self.has(link)
    }

    /// What of a workload is answered elsewhere. `part`: which part of a composition it is, if it is one.
    pub(super) fn elsewhere(&self, described: &Described, part: Option<u32>) -> Vec<Remote> {
        let Some(placed) = &self.placed else { return Vec::new() };
        let links = described.links.iter().filter(|link| self.is_elsewhere(link));
        let remote = links.map(|link| Remote {
            part,
            import: link.import.value.clone(),
            callee: placed.others.callee(link),
        });
        remote.collect()
    }

    /// Whether a link is to a workload that is described here.
    pub(super) fn has(&self, link: &Link) -> bool {
        let own = link.application.is_none() && link.namespace.is_none();
        let mut there = self.application.workloads.iter();
        own && link.workload.as_ref().is_some_and(|name| there.any(|one| *one.name == **name))
    }

    /// Whether another workload sends requests to it.
    pub(super) fn is_linked(&self, name: &Name) -> bool {
        if self.placed.as_ref().is_some_and(|placed| placed.linked && placed.workload == *name) {
            return true;
        }
        let links = self.application.workloads.iter().flat_map(|workload| &workload.links);
        let mut http = links.filter(|link| is_http(link));
        http.any(|link| link.workload.as_ref().is_some_and(|workload| **workload == *name))
    }

    /// How requests between workloads are handed to guests: as those from outside.
    pub(super) fn handing(&self) -> Handing {
        let triggers = self.application.workloads.iter().flat_map(|w| w.trigger.http.iter());
        let spin = triggers.map(|trigger| trigger.handing).any(|handing| handing == Handing::Spin);
        if spin { Handing::Spin } else { Handing::Auto }
    }

    /// What a workload is called beside all others, and beside itself when it is made several times.
    pub(super) fn qualified_name(&self, described: &Described, times: usize) -> String {
        let mut name = self.qualified(described.name.as_str());
        if times > 1 {
            name = format!("{name}-{times}");
        }
        name
    }

    /// A workload's name with its application's before it, where there may be others beside that.
    pub(super) fn qualified(&self, workload: &str) -> String {
        match self.qualified {
            true => format!("{}/{workload}", self.application.name),
            false => workload.to_owned(),
        }
    }

    pub(super) fn grants(&self, described: &Described) -> Result<Grants, DeployError> {
        let mut env = Vec::new();
        for (key, template) in &described.env {
            env.push((key.clone(), self.text(template)?));
        }
        let mut config = Vec::new();
        for (key, template) in &described.config {
            config.push((key.clone(), self.text(template)?));
        }
        let mut egress = Vec::new();
        for template in &described.egress {
            let text = self.text(template)?;
            // With variables in it, one may be turned off (as Spin has it).
            if matches!(text.trim(), "" | "http://" | "https://") {
                continue;
            }
            egress.push(text.parse().map_err(|error: reef_grants::DestinationError| {
                let workload = described.name.to_string();
                DeployError::Value { workload, why: error.to_string() }
            })?);
        }
        let dirs = described.dirs.iter().map(|dir| {
            let host: PathBuf = self.folder.join(&dir.host);
            DirGrant { host, ..dir.value.0.clone() }
        });
        let listen = described.listen.iter().map(|addr| addr.value.0);
        let scratch = described.scratch.as_ref().map(|scratch| scratch.value.0.clone());
        let (dirs, listen) = (dirs.collect(), listen.collect());
        let tls = self.tls(described)?;
        Ok(Grants { dirs, scratch, env, config, egress, listen, tls })
    }

    /// Whom a workload trusts, and as whom it comes: files are read now.
    pub(super) fn tls(
        &self,
        described: &Described,
    ) -> Result<Option<reef_grants::Tls>, DeployError> {
        let Some(tls) = &described.tls else { return Ok(None) };
        let read = |file: &String| {
            let path = self.folder.join(file);
            match read_at_most(&path, MOST_PEM) {
                Ok(text) => Ok(PemFile { path, text }),
                Err(error) => Err(DeployError::Value {
                    workload: described.name.to_string(),
                    why: format!("cannot read {}, which `tls` names: {error}", path.display()),
                }),
            }
        };
        let roots = tls.roots.as_ref().map(|file| read(&file.value)).transpose()?;
        let identity = match (&tls.cert, &tls.key) {
            (Some(cert), Some(key)) => Some((read(&cert.value)?, read(&key.value)?)),
            _ => None,
        };
        Ok(Some(reef_grants::Tls { roots, identity }))
    }
}

impl Order {
    /// What is answered without a guest.
    pub(super) fn fixed(&self, compression: &Compression) -> Result<Vec<Mounted>, DeployError> {
        let application = &self.application;
        let mut all = Vec::new();
        for files in &application.statics {
            let name = format!("{}/{}", application.name, files.dir.display());
            let wrong = |why: String| DeployError::Value { workload: name.clone(), why };
            let folder = self.served(&files.dir.value).map_err(&wrong)?;
            let compression = Some(compression.clone());
            let options = FileOptions { compression, ..FileOptions::from(files) };
            let opened = StaticFiles::open(folder, options);
            let opened = opened.map_err(|error| wrong(error.to_string()))?;
            all.push(Mounted::files(name.clone(), files.route.value.clone(), opened));
        }
        for one in &application.redirects {
            let name = format!("{}/redirect", application.name);
            let wrong = |why: String| DeployError::Value { workload: name.clone(), why };
            let redirect = Redirect::try_from(one).map_err(|error| wrong(error.to_string()))?;
            all.push(Mounted::redirect(name.clone(), one.route.value.clone(), redirect));
        }
        for one in &application.responses {
            let name = format!("{}/response", application.name);
            let wrong = |why: String| DeployError::Value { workload: name.clone(), why };
            let fixed = Fixed::try_from(one).map_err(|error| wrong(error.to_string()))?;
            all.push(Mounted::fixed(name.clone(), one.route.value.clone(), fixed));
        }
        let triggers =
            application.workloads.iter().flat_map(|workload| workload.trigger.http.iter());
        if triggers.into_iter().any(|trigger| trigger.handing == Handing::Spin) {
            // Each application of Spin's has these routes; of several on one listener, the first does.
            for one in reef_spin::reserved::responses(application) {
                let name = format!("{}/spin", application.name);
                let wrong = |why: String| DeployError::Value { workload: name.clone(), why };
                let fixed = Fixed::try_from(&one).map_err(|error| wrong(error.to_string()))?;
                all.push(Mounted::fixed_unless_taken(name.clone(), one.route.value, fixed));
            }
        }
        Ok(all)
    }

    /// A folder that is served from as it is.
    pub(super) fn served(&self, dir: &Path) -> Result<PathBuf, String> {
        let folder = self.folder.join(dir);
        if folder.exists() {
            files::inside(&self.folder, dir).map_err(|error| error.to_string())?;
        }
        Ok(folder)
    }

    /// What runs beside requests.
    pub(super) fn plans(&self, described: &Described) -> Result<Vec<Plan>, DeployError> {
        let limit = described.limits.deadline.map(|deadline| deadline.0);
        let run = limit.or(Some(RUN_DEADLINE));
        let mut plans = Vec::new();
        for trigger in described.trigger.service.iter() {
            let when = When::Service {
                restarts: trigger.restarts.unwrap_or(10),
                window: trigger.window.map_or(Duration::from_secs(600), |window| window.0),
                backoff: trigger.backoff.map_or(Duration::from_millis(500), |backoff| backoff.0),
            };
            // It is to go on.
            plans.push(Plan { when, args: self.resolved(&trigger.args)?, deadline: None });
        }
        for trigger in described.trigger.cron.iter() {
            let zone = match &trigger.timezone {
                None => TimeZone::UTC,
                Some(name) => TimeZone::get(name).map_err(|error| DeployError::Value {
                    workload: described.name.to_string(),
                    why: format!(
                        "`{}` is no time zone that this machine knows: {error}",
                        name.value
                    ),
                })?,
            };
            let when = When::Cron { schedule: trigger.schedule.value.clone().into(), zone };
            plans.push(Plan { when, args: self.resolved(&trigger.args)?, deadline: run });
        }
        for trigger in described.trigger.timer.iter() {
            let when = When::Timer { every: trigger.every.value.0.max(Duration::from_millis(1)) };
            plans.push(Plan { when, args: self.resolved(&trigger.args)?, deadline: run });
        }
        for trigger in described.trigger.tcp.iter() {
            let when = When::Tcp {
                addr: trigger.addr.value.0,
                idle: trigger.idle.map_or(IDLE, |idle| idle.0),
                most: options(described).queueing.concurrent as usize,
            };
            plans.push(Plan { when, args: self.resolved(&trigger.args)?, deadline: limit });
        }
        for trigger in described.trigger.redis.iter() {
            let source = self.redis(described, trigger)?;
            plans.push(messaging::feed_plan(described, source, run));
        }
        for trigger in described.trigger.mqtt.iter() {
            let source = self.mqtt(described, trigger)?;
            plans.push(messaging::feed_plan(described, source, run));
        }
        for trigger in described.trigger.message.iter() {
            plans.push(self.messages(described, trigger, run)?);
        }
        for trigger in described.trigger.watch.iter() {
            plans.push(self.watch(described, trigger, run)?);
        }
        Ok(plans)
    }
}

/// Whether a link is for requests, which do not leave the process.
pub(super) fn is_http(link: &Link) -> bool {
    let import = link
        .import
        .strip_prefix("wasi:http")
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/') || rest.starts_with('@'));
    let own = link.capability.as_ref().is_some_and(|name| name.as_str() == OWN_ROUTES);
    import && (link.workload.is_some() || own)
}

/// Most bytes of a file with certificates: a bundle of all roots has a fifth of that.
const MOST_PEM: u64 = 1 << 20;

fn read_at_most(path: &Path, most: u64) -> std::io::Result<Vec<u8>> {
    let mut text = Vec::new();
    std::fs::File::open(path)?.take(most + 1).read_to_end(&mut text)?;
    if u64::try_from(text.len()).is_ok_and(|length| length > most) {
        return Err(std::io::Error::other(format!("it has more than {most} bytes")));
    }
    Ok(text)
}

/// Where the environment holds a variable's value.
pub fn environment_name(name: &Name) -> String {
    let name = name.as_str().to_uppercase();
    format!("REEF_VAR_{}", name.replace(['-', '.'], "_"))
}

/// Says no to what would otherwise be passed over in silence. `placed`: it is on a host of a lattice, where there are
/// other applications.
pub(super) fn refuse(described: &Described, placed: bool) -> Result<(), DeployError> {
    let known = |link: &Link| is_http(link) || capability(link).is_some();
    let other = |link: &&Link| link.capability.is_some() && !known(link);
    let elsewhere = |link: &&Link| link.application.is_some();
    let workload = described.name.to_string();
    if let Some(link) = described.links.iter().find(elsewhere).filter(|_| !placed) {
        let import = link.import.value.to_string();
        return Err(DeployError::Elsewhere { workload, import });
    }
    let what = if let Some(link) = described.links.iter().find(other) {
        match &link.capability {
            Some(capability) => format!("the capability `{capability}`"),
            None => format!("the link of `{}`", link.import.value),
        }
    } else {
        return Ok(());
    };
    Err(DeployError::NotYet { workload, what })
}

pub(super) fn limits(described: &Described) -> Limits {
    let limits = &described.limits;
    let default = Limits { deadline: Some(DEADLINE), ..Limits::default() };
    Limits {
        deadline: limits.deadline.map(|deadline| deadline.0).or(default.deadline),
        memory: limits.memory.map_or(default.memory, |memory| memory.0),
        cpu: limits.cpu.map(|cpu| cpu.0),
        outgoing: limits.outgoing,
        ..default
    }
}

pub(super) fn options(described: &Described) -> ServeOptions {
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
        instances: None,
    }
}
