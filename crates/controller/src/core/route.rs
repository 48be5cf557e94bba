//! Where requests go.

use std::collections::BTreeMap;

use reef_lattice::record::{Backend, Entry, Routing};
use reef_planner::{Id, Weights, WorkloadKey};

use super::{
    Core,
    hosts::{Counts, Slot},
    records::{AppKey, Kept, Records},
};

/// The label that names the failure domain of a host.
const ZONE: &str = "zone";

impl Core {
    /// Where the requests of an application go: to instances that are ready, that stay, and that get traffic at all.
    /// `next` is what hosts are about to be told, `weights` what shares of the traffic are about to be.
    pub(super) fn routing(
        &self,
        term: u64,
        app: &AppKey,
        next: &BTreeMap<Id, Counts>,
        weights: &BTreeMap<WorkloadKey, Option<Weights>>,
    ) -> Routing {
        let mut routing = Routing { term, ..Routing::default() };
        let planned = self.planner.planned().workloads.range(app.workload("")..);
        let workloads = planned.map(|(one, _)| one).take_while(|one| AppKey::of(one) == *app);
        for workload in workloads {
            let about_to_be = weights.get(workload).map(Option::as_ref);
            let weights = about_to_be.unwrap_or_else(|| self.observed.weights.get(workload));
            let mut backends = Vec::new();
            for (id, revision) in self.planner.placed(workload) {
                let heard = self.hosts.all.get(id).filter(|host| host.is_heard);
                let heard = heard.and_then(|host| Some((host, &host.heard.as_ref()?.0)));
                let Some((host, beat)) = heard else { continue };
                let slot = (workload.clone(), revision);
                // What a host is told already, and whether it stays, is in what there is.
                let ready = host.there_of(&slot).ready;
                let stays = next.get(id).map(|next| next.get(&slot).copied().unwrap_or(0));
                let ready = stays.map_or(ready, |stays| ready.min(stays));
                let weighted = weights
                    .is_none_or(|weights| weights.get(&revision).is_some_and(|share| *share > 0));
                if ready == 0 || !weighted {
                    continue;
                }
                backends.push(Backend {
                    host: id.to_string(),
                    http: beat.http.clone(),
                    zone: beat.labels.get(ZONE).cloned(),
                    revision,
                    ready,
                });
            }
            if !backends.is_empty() {
                let entry = Entry { weights: weights.cloned(), backends };
                routing.workloads.insert(workload.workload.to_string(), entry);
            }
        }
        routing
    }
}

/// How many instances of a slot get traffic on a host, by what the store has, or may come to have.
pub(super) fn routed(
    records: &Records,
    sent: &BTreeMap<AppKey, Vec<Routing>>,
    host: &Id,
    (workload, revision): &Slot,
) -> u32 {
    let app = AppKey::of(workload);
    let stored = records.routes.get(&app).and_then(Kept::get);
    let sent = sent.get(&app).into_iter().flatten();
    let ready = |routing: &Routing| {
        let entry = routing.workloads.get(&*workload.workload);
        let backends = entry.into_iter().flat_map(|entry| &entry.backends);
        backends
            .filter(|one| one.revision == *revision && *one.host == **host)
            .fold(0u32, |sum, one| sum.saturating_add(one.ready))
    };
    stored.into_iter().chain(sent).map(ready).max().unwrap_or(0)
}
