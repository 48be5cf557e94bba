//! From a description to what can be started.

use std::{collections::HashMap, sync::Arc};

use reef_app::{Handing, HttpTrigger, Link, Name, Source, Workload as Described};
use reef_artifact::{Artifact, Digest, Form, Import};
use reef_compose::{ComposeError, Layer, Own, Part, Plug, check_no_own};
use reef_document::At;
use reef_grants::{Access, DirGrant, Grants, Limits, VolumeGrant};
use reef_http::{FileOptions, StaticFiles};
use reef_wagi::routes::{DynamicRoutes, EXPORT, MAX_OUTPUT};

use super::{
    Chain, DeployError, Doing, Host, Order, Restart, Revision, STARTING, Stage, Unit,
    capabilities::{CapabilityLink, CapabilityPart},
    files, messaging,
    order::{WORKER, is_http, limits, options, refuse},
    runtime,
};
use crate::{
    Spec, Workload, command,
    fetch::{self, FetchError, Fetched, Wanted},
    serve::SharedEntries,
    serve::{Mount, Script},
    workload::import_names,
};

/// Everything that the making of a workload depends on: alike, they are the same.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Identity {
    name: String,
    digest: Digest,
    grants: Grants,
    limits: Limits,
    links: Vec<Link>,
    /// Where it may publish.
    /// What else it is linked to.
    pub(super) wanted: Vec<CapabilityLink>,
    /// What its parts are linked to that are workloads, too.
    pub(super) parts: Vec<CapabilityPart>,
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
            refuse(described)?;
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
            if described.trigger.is_empty() && !linked {
                // Middleware is made for each that it stands in front of.
                continue;
            }
            let plans_of = order.plans(described)?;
            // With middleware composed in front at each route, it is never run by itself.
            let mut alone = linked || !plans_of.is_empty() || !described.trigger.start.is_empty();
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

    /// The same at the same place, with instances of its own: those that it had have ended.
    pub(super) fn mount_again(
        &self,
        order: &Order,
        chain: &Chain,
    ) -> Result<Arc<Chain>, DeployError> {
        let [handler, middleware @ ..] = &chain.units[..] else { return Err(DeployError::Stopped) };
        // What stands in front knows what is behind it, which is made anew.
        let front = middleware.iter().map(|unit| {
            let workload = Arc::new(unit.workload.again()?);
            self.link(order, &unit.identity, &workload)?;
            Ok(Arc::new(unit.with(workload)))
        });
        let front = front.collect::<Result<Vec<_>, DeployError>>()?;
        let mounted = self.ingress.mount(&Mount {
            script: chain.script.clone(),
            files: chain.files.clone(),
            trigger: chain.trigger.clone(),
            base: chain.base.clone(),
            workload: handler.workload.clone(),
            middleware: front.iter().map(|unit| unit.workload.clone()).collect(),
            options: chain.options,
        })?;
        let units = std::iter::once(handler.clone()).chain(front).collect();
        Ok(Arc::new(Chain {
            base: chain.base.clone(),
            public: chain.public,
            script: chain.script.clone(),
            files: chain.files.clone(),
            trigger: chain.trigger.clone(),
            options: chain.options,
            units,
            mounted,
        }))
    }
}

impl Host {
    /// Gives a workload what its links say, beyond other workloads.
    fn link(
        &self,
        order: &Order,
        identity: &Identity,
        workload: &Workload,
    ) -> Result<(), DeployError> {
        self.link_capabilities(order, identity, workload)
    }

    /// What a worker of a site needs to know.
    fn script(&self, described: &Described, unit: &Unit) -> Result<Script, DeployError> {
        let link = unit.workload.world.capabilities().key_value.iter().next();
        let entries = link.map(|link| SharedEntries::new(link.clone())).transpose();
        let entries = entries.map_err(|failure| DeployError::Value {
            workload: described.name.to_string(),
            why: failure.to_string(),
        })?;
        let file = described.labels.get(WORKER).cloned();
        Ok(Script { file, args: unit.identity.args.clone(), entries })
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
            let application = self.order.application.name.as_str();
            let host = self.host.backends.volume(application, &volume).ok_or_else(|| {
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

    /// What a workload is made from, whole; and the arguments of its runtime.
    fn artifact(
        &self,
        described: &Described,
        name: &str,
    ) -> Result<(Artifact, Vec<String>), DeployError> {
        if let Some(runtime) = &described.runtime {
            self.doing.step(name, Stage::Evaluating);
            let variables: Vec<_> = described.env.keys().map(String::as_str).collect();
            let scripted = runtime::prepare(
                &self.host.engine,
                &self.host.background,
                self.host.workers.handle(0),
                &self.host.snapshots,
                runtime.as_str(),
                &described.source,
                &self.order.folder,
                &variables,
            );
            let scripted = scripted.map_err(|error| DeployError::Value {
                workload: name.to_owned(),
                why: error.to_string(),
            })?;
            return Ok((scripted.artifact, scripted.args));
        }
        let artifact = self.fetched(described, &described.source, &described.digest, name)?;
        let artifact = self.componentized(artifact, name)?;
        Ok((self.linked(described, artifact, name)?, Vec::new()))
    }

    /// A core module that was built against a WIT world as the component that it is meant to be: what
    /// Spin's SDKs up to version 5 build. Any other artifact as it is.
    fn componentized(&self, artifact: Artifact, name: &str) -> Result<Artifact, DeployError> {
        let bound = artifact.exports().iter().any(|export| reef_compose::is_binding(export.name()));
        if artifact.form() != Form::Module || !bound {
            return Ok(artifact);
        }
        let part = Part { name: artifact.name(), bytes: artifact.bytes() };
        match reef_compose::componentize(part) {
            Ok(bytes) => self.read(name, bytes.into_owned()),
            // What only looks like one is run as what it is.
            Err(ComposeError::NoWorld { .. }) => Ok(artifact),
            Err(cause) => {
                let workload = name.to_owned();
                Err(DeployError::Compose { workload, cause: cause.into() })
            }
        }
    }

    /// An artifact of a workload, if it is the one that is pinned.
    fn fetched(
        &self,
        of: &Described,
        source: &Source,
        pinned: &Option<At<String>>,
        name: &str,
    ) -> Result<Artifact, DeployError> {
        let wanted = Wanted::of(of, source, pinned.as_ref());
        let artifact = fetch::source(&wanted, &self.order.folder, self.fetched);
        let artifact = artifact.map_err(|cause| DeployError::Fetch {
            workload: name.to_owned(),
            cause: cause.into(),
        })?;
        let imports = import_names(&artifact).map(|name| name.to_string());
        check_no_own(name, imports).map_err(|cause| DeployError::Compose {
            workload: name.to_owned(),
            cause: cause.into(),
        })?;
        if let Some(pinned) = pinned
            && !pinned.eq_ignore_ascii_case(&artifact.digest().to_string())
        {
            return Err(DeployError::Digest {
                workload: name.to_owned(),
                artifact: source.to_string(),
                is: artifact.digest().to_string(),
                pinned: pinned.value.clone(),
            });
        }
        Ok(artifact)
    }

    /// The artifact with the components in it that it is linked to.
    fn linked(
        &self,
        described: &'a Described,
        artifact: Artifact,
        name: &str,
    ) -> Result<Artifact, DeployError> {
        let mut parts = Vec::new();
        for link in &described.links {
            let other = link.workload.as_ref().filter(|_| !is_http(link));
            let (part, own) = match (&link.component, other) {
                (Some(part), _) => (self.fetched(described, part, &link.digest, name)?, None),
                (None, Some(workload)) => {
                    // With its own links, which may be to workloads again.
                    let other = self.described(workload)?;
                    let part = self.artifact(other, other.name.as_str())?.0;
                    (part, Some(self.order.own(other, link.inherit)))
                }
                (None, None) => continue,
            };
            parts.push((link, part, own));
        }
        if parts.is_empty() {
            return Ok(artifact);
        }
        let plugs: Vec<_> = parts
            .iter()
            .map(|(link, part, own)| Plug {
                component: Part { name: part.name(), bytes: part.bytes() },
                import: &link.import.value,
                export: link.export.as_deref(),
                inherit: link.inherit,
                own: own.as_ref().map(|(part, imports)| Own { part: *part, imports }),
            })
            .collect();
        let whole = Part { name: artifact.name(), bytes: artifact.bytes() };
        let composed = reef_compose::plug(whole, &plugs).map_err(|cause| DeployError::Compose {
            workload: name.to_owned(),
            cause: cause.into(),
        })?;
        self.read(name, composed)
    }

    fn read(&self, name: &str, bytes: Vec<u8>) -> Result<Artifact, DeployError> {
        Artifact::read(name, bytes).map_err(|error| DeployError::Fetch {
            workload: name.to_owned(),
            cause: Box::new(FetchError::Artifact(error)),
        })
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
        let spec = Spec { name: name.into(), grants, limits: identity.limits.clone() };
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

    /// The middleware of WASI 0.2 that stands next to a handler, outermost first: a component that imports
    /// what it exports. It becomes one component with the handler; that of 0.3 is linked by the host.
    fn composed(
        &self,
        described: &Described,
        middleware: &[&'a Described],
    ) -> Result<Vec<(&'a Described, Artifact)>, DeployError> {
        let mut composed = Vec::new();
        if described.runtime.is_some() {
            return Ok(composed);
        }
        for one in middleware.iter().rev() {
            let (artifact, _) = self.artifact(one, one.name.as_str())?;
            let takes_next = artifact.imports().iter().any(|import| match import {
                Import::Component { name, .. } => name.name == "wasi:http/incoming-handler",
                Import::Core { .. } => false,
            });
            if !takes_next {
                break;
            }
            composed.insert(0, (*one, artifact));
        }
        Ok(composed)
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

    fn chain(
        &mut self,
        described: &Described,
        trigger: &HttpTrigger,
        alone: Option<&Arc<Unit>>,
        public: bool,
    ) -> Result<Arc<Chain>, DeployError> {
        let options = options(described);
        let base = described.labels.get("spin.base-path").map_or("/", String::as_str).to_owned();
        let middleware = self.middleware(trigger)?;
        let composed = self.composed(described, &middleware)?;
        let host_linked = middleware.len() - composed.len();
        let before = self.before.into_iter().flat_map(|before| &before.chains);
        let same: Vec<_> = before
            .filter(|chain| chain.trigger == *trigger && chain.options == options)
            .filter(|chain| chain.base == base && chain.public == public)
            .collect();
        let unit = match (alone, composed.is_empty()) {
            (Some(unit), true) => unit.clone(),
            (None, true) => self.unit(described)?,
            (_, false) => {
                let old: Vec<_> =
                    same.iter().filter_map(|chain| chain.units.first().cloned()).collect();
                self.in_one(described, composed, &old)?
            }
        };
        let old = same
            .into_iter()
            .find(|chain| chain.units.first().is_some_and(|first| Arc::ptr_eq(first, &unit)));
        let unit = &unit;
        let mut units = vec![unit.clone()];
        // One of each a route: middleware knows what is behind it.
        for described in &middleware[..host_linked] {
            let old = old.map(|old| &old.units[1..]).unwrap_or_default();
            units.push(self.unit_or(described, old)?);
        }
        if let Some(old) = old
            && old.units.len() == units.len()
            && old.units.iter().zip(&units).all(|(old, unit)| Arc::ptr_eq(old, unit))
        {
            return Ok(old.clone());
        }
        // What stood in front of something else cannot be used again: it knows that still.
        for unit in units.iter_mut().skip(1) {
            if old.is_some_and(|old| old.units.iter().any(|other| Arc::ptr_eq(other, unit))) {
                let workload = Arc::new(unit.workload.again()?);
                self.host.link(self.order, &unit.identity, &workload)?;
                *unit = Arc::new(unit.with(workload));
            }
        }
        let script = self.host.script(described, unit)?;
        let folder = trigger.files.as_ref().map(|files| self.order.served(&files.value));
        let folder = folder
            .transpose()
            .map_err(|why| DeployError::Value { workload: described.name.to_string(), why })?;
        let compression = Some(self.host.ingress.compression().clone());
        let options_of = FileOptions { compression, ..FileOptions::default() };
        let files = folder.map(|folder| StaticFiles::open(folder, options_of)).transpose();
        let files = files.map_err(|error| DeployError::Value {
            workload: described.name.to_string(),
            why: error.to_string(),
        })?;
        let mounted = self.host.ingress.mount(&Mount {
            script: script.clone(),
            files: files.clone(),
            trigger: trigger.clone(),
            base: base.clone(),
            workload: unit.workload.clone(),
            middleware: units.iter().skip(1).map(|unit| unit.workload.clone()).collect(),
            options,
        })?;
        Ok(Arc::new(Chain {
            trigger: trigger.clone(),
            base,
            options,
            public,
            script,
            files,
            units,
            mounted,
        }))
    }
}
