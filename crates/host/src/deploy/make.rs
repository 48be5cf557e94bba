//! From a description to what can be started.

mod artifact;
mod chain;

use std::{collections::HashMap, sync::Arc};

use reef_app::{Handing, HttpTrigger, Link, Name, Workload as Described};
use reef_artifact::{Artifact, Digest};
use reef_compose::{Layer, Part};
use reef_grants::{Access, DirGrant, Grants, Limits, VolumeGrant};
use reef_wagi::routes::{DynamicRoutes, EXPORT, MAX_OUTPUT};

use super::{
    Chain, DeployError, Doing, Host, Order, Restart, Revision, STARTING, Stage, Unit,
    capabilities::{CapabilityLink, CapabilityPart},
    files, messaging,
    order::{limits, refuse},
};
use crate::{Spec, Workload, command, fetch::Fetched, serve};

/// Everything that the making of a workload depends on: alike, they are the same.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Identity {
    name: String,
    digest: Digest,
    grants: Grants,
    limits: Limits,
    links: Vec<Link>,
    /// What else it is linked to.
    pub(super) wanted: Vec<CapabilityLink>,
    /// What its parts are linked to that are workloads, too.
    pub(super) parts: Vec<CapabilityPart>,
    /// Which of those links are to workloads that are not here.
    elsewhere: Vec<Link>,
    /// What the files that it sees are: their names, lengths and times.
    files: Vec<files::Seen>,
    /// What a runtime is started with, a script among it.
    args: Vec<String>,
}

impl Identity {
    pub(super) fn digest(&self) -> &Digest {
        &self.digest
    }
}

// === impl Host ===

impl Host {
    /// Makes all that an order describes, or takes it from `before` where it is the same. `fetched` is what
    /// of it is not on this machine.
    pub(super) fn make(
        &self,
        order: Order,
        before: Option<&Revision>,
        restart: Option<&Restart>,
        fetched: &Fetched,
        doing: &Doing,
    ) -> Result<Revision, DeployError> {
        order.check_values()?;
        for described in &order.application.workloads {
            refuse(described, order.placed.is_some())?;
        }
        let target = restart.and_then(|Restart(workload)| workload.as_deref());
        let without = before.zip(target).map(|(before, target)| before.without(target));
        let old = if restart.is_some() { without.as_ref() } else { before };
        let times = HashMap::new();
        let mut making = Making { host: self, order: &order, before: old, fetched, doing, times };
        let (mut units, mut chains, mut plans) = (Vec::new(), Vec::new(), Vec::new());
        for described in &order.application.workloads {
            doing.check()?;
            doing.next(order.application.workloads.len());
            if let (Some(before), Some(target)) = (before, target)
                && !has_part(described, target)
            {
                // As it is: what it was made of may be gone.
                let (unit, own_chains) = making.as_before(before, &described.name);
                plans.extend(
                    before.plans.iter().filter(|(own, _)| own.name == *described.name).cloned(),
                );
                units.extend(unit);
                chains.extend(own_chains);
                continue;
            }
            let linked = order.is_linked(&described.name);
            // What a lattice placed here is called by others, though nothing here starts it.
            let placed = order.placed.as_ref().is_some_and(|one| one.workload == *described.name)
                && described.trigger.is_empty();
            if described.trigger.is_empty() && !linked && !placed {
                // Middleware is made for each that it stands in front of.
                continue;
            }
            let plans_of = order.plans(described)?;
            // With middleware composed in front at each route, it is never run by itself.
            let mut alone =
                linked || placed || !plans_of.is_empty() || !described.trigger.start.is_empty();
            for trigger in described.trigger.http.iter() {
                let middleware = making.middleware(trigger)?;
                alone = alone || making.composed(described, &middleware)?.is_empty();
            }
            let unit = if alone { Some(making.unit(described)?) } else { None };
            if linked && described.trigger.http.is_empty() {
                // Others of its application reach it, and nobody else.
                if let Ok(route) = "/...".parse() {
                    let handing = order.handing();
                    let trigger = HttpTrigger { handing, ..HttpTrigger::at(route) };
                    chains.push(making.chain(described, &trigger, unit.as_ref(), false)?);
                }
            }
            for trigger in described.trigger.http.iter() {
                let own = unit.as_ref().and_then(|unit| unit.routes.as_ref());
                match own.filter(|_| trigger.handing != Handing::Http) {
                    None => chains.push(making.chain(described, trigger, unit.as_ref(), true)?),
                    Some(own) => {
                        let handlers = own.under(&trigger.route).map_err(|fault| {
                            let workload = described.name.to_string();
                            DeployError::Value { workload, why: fault.to_string() }
                        })?;
                        for handler in handlers {
                            let entrypoint = handler.entrypoint.or(trigger.entrypoint.clone());
                            let route = handler.route.into();
                            let trigger = HttpTrigger { route, entrypoint, ..trigger.clone() };
                            chains.push(making.chain(described, &trigger, unit.as_ref(), true)?);
                        }
                    }
                }
            }
            let Some(unit) = unit else { continue };
            if !described.trigger.start.is_empty() {
                command::check(&unit.workload)?;
            }
            for plan in plans_of {
                match plan.sort() {
                    None => command::check(&unit.workload)?,
                    Some(sort) => messaging::check(sort, &unit.workload)?,
                }
                plans.push((unit.clone(), plan));
            }
            units.push(unit);
        }
        let since = std::time::SystemTime::now();
        let fixed = match (before, target) {
            (Some(before), Some(_)) => before.fixed.clone(),
            _ => order.fixed(self.ingress.compression())?,
        };
        Ok(Revision { number: 0, since, units, chains, plans, fixed, order })
    }
}

impl Host {
    /// Gives a workload what its links say, beyond other workloads, and a way out for what it measures.
    fn link(
        &self,
        order: &Order,
        identity: &Identity,
        workload: &Workload,
    ) -> Result<(), DeployError> {
        if let Some(signals) = self.outbox.get().and_then(|outbox| outbox.of(workload.name())) {
            workload.world.set_signals(serve::signals(signals));
        }
        self.link_capabilities(order, identity, workload)
    }

    /// The routes that a CGI-style module tells of itself, if it does (WAGI's `_routes`). It is asked
    /// without anything that was granted.
    fn own_routes(&self, workload: &Workload) -> Result<Option<DynamicRoutes>, DeployError> {
        if !workload.exports_function(EXPORT) {
            return Ok(None);
        }
        let printed =
            workload.printed_by(EXPORT, MAX_OUTPUT, STARTING, Some(self.background.clone()));
        // A worker's runtime drives its timers; this thread is one that may wait.
        let printed = self.workers.handle(0).block_on(printed)?;
        let routes = DynamicRoutes::parse(&printed);
        routes.map(Some).map_err(|fault| DeployError::Value {
            workload: workload.name().to_string(),
            why: fault.to_string(),
        })
    }
}

impl Unit {
    /// The same with another workload in it.
    fn with(&self, workload: Arc<Workload>) -> Self {
        let (identity, name) = (self.identity.clone(), self.name.clone());
        let (routes, copies) = (self.routes.clone(), self.copies.clone());
        Self { identity, name, workload, routes, copies }
    }
}

/// Whether a workload, or what stands in front of it, is the one of that name.
pub(super) fn has_part(described: &Described, name: &str) -> bool {
    let mut middleware = described.trigger.http.iter().flat_map(|trigger| &trigger.middleware);
    described.name.as_str() == name || middleware.any(|one| one.as_str() == name)
}

struct Making<'a> {
    host: &'a Host,
    order: &'a Order,
    before: Option<&'a Revision>,
    fetched: &'a Fetched,
    doing: &'a Doing,
    /// How often each workload was made. Names tell them apart in logs and metrics.
    times: HashMap<Name, usize>,
}

impl<'a> Making<'a> {
    fn unit(&mut self, described: &Described) -> Result<Arc<Unit>, DeployError> {
        let old = self.before.map(|before| &before.units[..]).unwrap_or_default();
        self.unit_or(described, old)
    }

    /// A workload that is none of those that are made anew, and the chains that it is at the end of.
    fn as_before(
        &mut self,
        before: &Revision,
        name: &Name,
    ) -> (Option<Arc<Unit>>, Vec<Arc<Chain>>) {
        let unit = before.units.iter().find(|unit| unit.name == *name).cloned();
        let ends = |chain: &&Arc<Chain>| chain.units.first().is_some_and(|unit| unit.name == *name);
        let chains: Vec<_> = before.chains.iter().filter(ends).cloned().collect();
        // Their names are taken.
        let of_chains = chains.iter().flat_map(|chain| &chain.units);
        let alone = |other: &&Arc<Unit>| unit.as_ref().is_none_or(|unit| !Arc::ptr_eq(unit, other));
        for own in unit.iter().chain(of_chains.filter(alone)) {
            *self.times.entry(own.name.clone()).or_default() += 1;
        }
        (unit, chains)
    }

    /// The workload, or one of these if it is the same.
    fn unit_or(
        &mut self,
        described: &Described,
        old: &[Arc<Unit>],
    ) -> Result<Arc<Unit>, DeployError> {
        let name = self.name(described);
        let (artifact, args) = self.artifact(described, &name)?;
        let grants = self.grants(described)?;
        self.made(described, name, artifact, args, grants, old)
    }

    /// What a workload may do, with directories for the volumes that it sees.
    fn grants(&self, described: &Described) -> Result<Grants, DeployError> {
        let mut grants = self.order.grants(described)?;
        for mount in &described.volumes {
            let VolumeGrant { volume, guest, access } = mount.value.0.clone();
            let wrong = |why: String| DeployError::Value {
                workload: described.name.to_string(),
                why: format!("its volume `{volume}`: {why}"),
            };
            // Others than `reef.toml` may not have been checked; a name that is there has no slash.
            let known = &self.order.application.volumes;
            if !known.iter().any(|known| known.name.as_str() == volume) {
                return Err(wrong("the application has none of that name".to_owned()));
            }
            let scope = self.order.scope();
            let host = self.host.backends.volume(&scope, &volume).ok_or_else(|| {
                wrong("there is no folder for data: say one with --data".to_owned())
            })?;
            std::fs::create_dir_all(&host)
                .map_err(|error| wrong(format!("{} cannot be made: {error}", host.display())))?;
            grants.dirs.push(DirGrant { host, guest, access });
        }
        Ok(grants)
    }

    /// The next name of a workload: names tell them apart in logs and metrics.
    fn name(&mut self, described: &Described) -> String {
        let times = self.times.entry(described.name.value.clone()).or_default();
        *times += 1;
        self.order.qualified_name(described, *times)
    }

    fn described(&self, name: &Name) -> Result<&'a Described, DeployError> {
        let workloads = &self.order.application.workloads;
        workloads.iter().find(|workload| *workload.name == *name).ok_or_else(|| {
            DeployError::NoWorkload {
                application: self.order.application.name.to_string(),
                workload: name.to_string(),
            }
        })
    }

    /// Makes it, or takes one of these if it is the same.
    fn made(
        &self,
        described: &Described,
        name: String,
        artifact: Artifact,
        args: Vec<String>,
        grants: Grants,
        old: &[Arc<Unit>],
    ) -> Result<Arc<Unit>, DeployError> {
        let (digest, size) = (*artifact.digest(), artifact.bytes().len());
        let parts = || self.order.described_parts(&artifact);
        let links = parts().flat_map(|(_, part)| &part.links);
        let elsewhere = links.filter(|link| self.order.is_elsewhere(link));
        let seen = files::look(&described.files, &self.order.folder).map_err(|error| {
            DeployError::Value { workload: name.clone(), why: error.to_string() }
        })?;
        let identity = Identity {
            name: name.clone(),
            digest,
            grants,
            limits: limits(described),
            links: described.links.clone(),
            wanted: self.order.wanted(described)?,
            parts: self.order.parts(&artifact)?,
            elsewhere: elsewhere.cloned().collect(),
            files: seen,
            args,
        };
        if let Some(old) = old.iter().find(|old| old.identity == identity) {
            return Ok(old.clone());
        }
        self.doing.check()?;
        self.doing.step(&name, Stage::Compiling(size));
        let copies = files::copy(&identity.files).map_err(|error| DeployError::Value {
            workload: name.clone(),
            why: error.to_string(),
        })?;
        let mut grants = identity.grants.clone();
        if let Some(copies) = &copies {
            let (host, guest) = (copies.path().to_owned(), "/".to_owned());
            grants.dirs.push(DirGrant { host, guest, access: Access::ReadOnly });
        }
        let mut remote = self.order.elsewhere(described, None);
        remote.extend(parts().flat_map(|(part, of)| self.order.elsewhere(of, Some(part))));
        let limits = identity.limits.clone();
        let spec = Spec { name: name.into(), grants, limits, remote };
        let workload = Workload::prepare(self.host.engine.clone(), &artifact, spec)?;
        self.host.link(self.order, &identity, &workload)?;
        let routes = match described.trigger.http.is_empty() {
            true => None,
            false => self.host.own_routes(&workload)?,
        };
        let name = described.name.value.clone();
        let copies = copies.map(Arc::new);
        Ok(Arc::new(Unit { identity, name, workload: Arc::new(workload), routes, copies }))
    }

    /// What a request goes through before, outermost first.
    fn middleware(&self, trigger: &HttpTrigger) -> Result<Vec<&'a Described>, DeployError> {
        trigger.middleware.iter().map(|name| self.described(name)).collect()
    }

    /// A handler with middleware in front of it as one component, which has the grants of them all.
    fn in_one(
        &mut self,
        described: &Described,
        middleware: Vec<(&Described, Artifact)>,
        old: &[Arc<Unit>],
    ) -> Result<Arc<Unit>, DeployError> {
        let name = self.name(described);
        let (handler, args) = self.artifact(described, &name)?;
        let mut grants = self.grants(described)?;
        for (one, _) in &middleware {
            let more = self.grants(one)?;
            for (key, value) in more.env {
                if !grants.env.iter().any(|(known, _)| *known == key) {
                    grants.env.push((key, value));
                }
            }
            grants.config.extend(more.config);
            grants.dirs.extend(more.dirs);
            grants.egress.extend(more.egress);
            grants.listen.extend(more.listen);
        }
        fn layer(artifact: &Artifact) -> Layer<'_> {
            let component = Part { name: artifact.name(), bytes: artifact.bytes() };
            Layer { component, inherit: true }
        }
        let layers: Vec<_> = middleware.iter().map(|(_, artifact)| layer(artifact)).collect();
        let composed = reef_compose::in_front(&layers, layer(&handler)).map_err(|cause| {
            DeployError::Compose { workload: name.clone(), cause: cause.into() }
        })?;
        let artifact = self.read(&name, composed)?;
        tracing::debug!(
            workload = name,
            parts = layers.len() + 1,
            "Composed; its parts share their grants."
        );
        self.made(described, name, artifact, args, grants, old)
    }
}
