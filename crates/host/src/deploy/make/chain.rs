//! A workload at a route, with what stands in front of it.

use std::sync::{Arc, atomic::Ordering};

use reef_app::{HttpTrigger, Workload as Described};
use reef_http::{FileOptions, StaticFiles};

use super::Making;
use crate::{
    deploy::{
        Chain, DeployError, Host, Order, Unit,
        order::{WORKER, options},
    },
    serve::{Mount, Script, ServeOptions, SharedEntries},
};

impl Host {
    /// The same at the same place, with instances of its own: those that it had have ended.
    pub(in crate::deploy) fn mount_again(
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
}

impl Making<'_> {
    pub(super) fn chain(
        &mut self,
        described: &Described,
        trigger: &HttpTrigger,
        alone: Option<&Arc<Unit>>,
        public: bool,
    ) -> Result<Arc<Chain>, DeployError> {
        let mut options = options(described);
        let placed = self.order.placed.as_ref();
        options.instances = placed.map(|placed| placed.instances.load(Ordering::Relaxed));
        let base = described.labels.get("spin.base-path").map_or("/", String::as_str).to_owned();
        let middleware = self.middleware(trigger)?;
        let composed = self.composed(described, &middleware)?;
        let host_linked = middleware.len() - composed.len();
        let before = self.before.into_iter().flat_map(|before| &before.chains);
        let same: Vec<_> = before
            .filter(|chain| chain.trigger == *trigger && alike(chain.options, options))
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

/// Whether a chain can go on: how many instances it may have is changed while it runs.
fn alike(own: ServeOptions, other: ServeOptions) -> bool {
    ServeOptions { instances: None, ..own } == ServeOptions { instances: None, ..other }
}
