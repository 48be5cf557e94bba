//! One accepted version of an application, and what its workloads have of each other.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
    time::{Duration, Instant},
};

use http::{Request, header};
use reef_app::{Name, Ready};
use reef_http::{Peer, RequestBody, Router, RouterBuilder};
use reef_wasi::{Handled, Next};
use wasmtime_wasi_http::WasiBody;

use super::{Applied, Chain, DeployError, Revision, Unit, order};
use crate::{Workload, serve::Mounted, task::Plan};

/// Tells units apart: the address of one that is there is nobody else's.
pub(super) fn address(unit: &Arc<Unit>) -> usize {
    Arc::as_ptr(unit).addr()
}

/// How long a workload may take to be ready, when nothing else is said.
const READY: Duration = Duration::from_secs(10);
/// The pause between two questions whether it is.
const ASK_AGAIN: Duration = Duration::from_millis(100);

impl Revision {
    pub(super) fn mounted(&self) -> impl Iterator<Item = Mounted> {
        let public = self.chains.iter().filter(|chain| chain.public);
        public.map(|chain| chain.mounted.clone()).chain(self.fixed.iter().cloned())
    }

    /// Whether a chain is of the workload that a lattice placed here, and not of a part of it.
    pub(super) fn is_placed(&self, chain: &Chain) -> bool {
        let placed = self.order.placed.as_ref().map(|placed| &placed.workload);
        chain.units.first().is_some_and(|unit| Some(&unit.name) == placed)
    }

    /// What only other workloads reach.
    pub(super) fn hidden(&self) -> impl Iterator<Item = Mounted> {
        self.chains.iter().filter(|chain| !chain.public).map(|chain| chain.mounted.clone())
    }

    /// Each workload, and each middleware as often as it was made, and what was composed of them.
    pub(super) fn all_units(&self) -> impl Iterator<Item = &Arc<Unit>> {
        let own: HashSet<_> = self.units.iter().map(address).collect();
        let others = self.chains.iter().flat_map(|chain| &chain.units);
        let others = others.filter(move |unit| !own.contains(&address(unit)));
        self.units.iter().chain(others)
    }

    /// Each workload, and what was composed of one with what stands in front of it.
    fn handlers(&self) -> impl Iterator<Item = &Arc<Unit>> {
        let own: HashSet<_> = self.units.iter().map(address).collect();
        let composed = self.chains.iter().filter_map(|chain| chain.units.first());
        let composed = composed.filter(move |unit| !own.contains(&address(unit)));
        self.units.iter().chain(composed)
    }

    pub(super) fn workloads(&self) -> impl Iterator<Item = &Arc<Workload>> {
        self.all_units().map(|unit| &unit.workload)
    }

    pub(super) fn described(&self, name: &Name) -> Option<&reef_app::Workload> {
        self.order.application.workloads.iter().find(|workload| *workload.name == *name)
    }

    /// The same as if one workload had not been made yet.
    pub(super) fn without(&self, workload: &str) -> Self {
        let other = |unit: &Arc<Unit>| unit.name.as_str() != workload;
        Self {
            number: self.number,
            since: self.since,
            order: self.order.clone(),
            units: self.units.iter().filter(|unit| other(unit)).cloned().collect(),
            chains: self
                .chains
                .iter()
                .filter(|chain| chain.units.iter().all(other))
                .cloned()
                .collect(),
            plans: Vec::new(),
            fixed: Vec::new(),
        }
    }

    /// Whether everything that was made is the other's, and nothing else is described.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        type Planned = (Arc<Unit>, Plan);
        fn alike<T>(own: &[Arc<T>], other: &[Arc<T>]) -> bool {
            own.len() == other.len()
                && own.iter().zip(other).all(|(own, one)| Arc::ptr_eq(own, one))
        }
        let same_plan =
            |(own, other): (&Planned, &Planned)| Arc::ptr_eq(&own.0, &other.0) && own.1 == other.1;
        alike(&self.units, &other.units)
            && alike(&self.chains, &other.chains)
            && self.plans.len() == other.plans.len()
            && self.plans.iter().zip(&other.plans).all(same_plan)
            && self.order.application == other.order.application
            && self.order.values == other.order.values
            && self.order.folder == other.order.folder
    }

    pub(super) fn compared(&self, before: Option<&Self>) -> Applied {
        let old: Vec<_> = before.into_iter().flat_map(Self::handlers).collect();
        let known: HashSet<_> = old.iter().map(|unit| address(unit)).collect();
        let names =
            |units: Vec<&Arc<Unit>>| units.iter().map(|unit| unit.name.to_string()).collect();
        let (kept, made): (Vec<_>, Vec<_>) =
            self.handlers().partition(|unit| known.contains(&address(unit)));
        let there: HashSet<_> = self.handlers().map(|unit| &unit.name).collect();
        let gone = old.iter().filter(|old| !there.contains(&old.name));
        Applied {
            application: self.order.application.name.to_string(),
            revision: self.number,
            changed: before.is_none_or(|before| before.number != self.number),
            made: names(made),
            kept: names(kept),
            gone: gone.map(|unit| unit.name.to_string()).collect(),
        }
    }
}

impl Revision {
    /// Lets workloads reach those that they are linked to.
    pub(super) fn connect(&self) {
        let others = self.order.placed.as_ref().map(|placed| &placed.others);
        let own: Arc<dyn Next> = match others {
            Some(others) => others.own_routes(),
            None => Arc::new(OwnRoutes(self.routes())),
        };
        for unit in self.all_units() {
            let Some(described) = self.described(&unit.name) else { continue };
            let mut hosts: BTreeMap<String, Arc<dyn Next>> = BTreeMap::new();
            for link in described.links.iter().filter(|link| order::is_http(link)) {
                let Some(workload) = &link.workload else {
                    for name in ["self", "self.alt", "https://self", "https://self.alt"] {
                        hosts.insert(name.to_owned(), own.clone());
                    }
                    continue;
                };
                let of = |chain: &&Arc<Chain>| {
                    chain.units.first().is_some_and(|unit| unit.name.as_str() == workload.as_str())
                };
                let elsewhere = others.filter(|_| !self.order.has(link));
                let target = match elsewhere {
                    // It may be here or elsewhere, and that changes.
                    Some(others) => Some(others.workload(link)),
                    None => self.chains.iter().find(of).and_then(|chain| chain.mounted.internal()),
                };
                let Some(target) = target else { continue };
                let host = link.name.clone().unwrap_or_else(|| format!("{workload}.internal"));
                hosts.insert(host.to_ascii_lowercase(), target);
            }
            unit.workload.world.set_internal(hosts);
        }
    }

    /// The routes of its guests, whatever the host.
    fn routes(&self) -> Router<Mounted> {
        let mut routes = RouterBuilder::new();
        for chain in self.chains.iter().filter(|chain| chain.public) {
            // One of several hosts' routes is enough.
            let _ = routes.add(
                chain.mounted.name(),
                chain.mounted.route().clone(),
                chain.mounted.clone(),
            );
        }
        routes.build()
    }
}

/// The application's own routes, for a guest of it.
struct OwnRoutes(Router<Mounted>);

impl Next for OwnRoutes {
    fn handle(&self, request: Request<WasiBody>) -> Handled {
        let found = self.0.find(None, request.uri().path());
        match found.and_then(|found| found.value.internal()) {
            Some(next) => next.handle(request),
            None => {
                Box::pin(std::future::ready(Err(wasmtime_wasi_http::Error::DestinationNotFound)))
            }
        }
    }
}

/// Asks the workload until it says that it is ready.
pub(super) async fn is_ready(chain: &Chain, ready: &Ready) -> Result<(), DeployError> {
    let within = ready.within.map_or(READY, |within| within.0);
    let until = Instant::now() + within;
    let workload = chain.mounted.name().clone();
    let mut why = "it did not say so in time".to_owned();
    loop {
        let request = Request::get(ready.path.as_str())
            .header(header::HOST, chain.trigger.route.host().unwrap_or("localhost"))
            .body(RequestBody::empty());
        let Ok(request) = request else {
            why = "its path is not one that can be asked for".to_owned();
            break;
        };
        let local = std::net::SocketAddr::from(([127, 0, 0, 1], 80));
        let peer = Peer { remote: local, local, tls: false };
        let asking = tokio::time::timeout_at(until.into(), chain.mounted.answer(request, peer));
        let Ok(answer) = asking.await else { break };
        if answer.status().is_success() {
            return Ok(());
        }
        why = format!("it answered with status {}", answer.status().as_u16());
        let again = Instant::now() + ASK_AGAIN;
        if again >= until {
            break;
        }
        tokio::time::sleep_until(again.into()).await;
    }
    Err(DeployError::NotReady { workload, path: ready.path.value.clone(), within, why })
}
