//! What is assigned to this host.
//!
//! An application that the store knows nothing of, not even that it was deleted, is not ended for that.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use reef_lattice::{
    Key,
    key::kind,
    record::{self, Assigned, Assignment, Scheduling, Shared as LatticeShared},
};
use reef_planner::Schedule;

use crate::{
    Shared,
    placement::{Place, Placement},
};

/// How long the store may take to be heard at a start, before the host goes on with what it was last told.
const HEARD: Duration = Duration::from_secs(2);
/// Placements that have ended are looked for this often.
const TIDY: Duration = Duration::from_millis(500);

/// Runs what is assigned, for as long as the host is there.
pub(crate) async fn follow(shared: Arc<Shared>) {
    let Ok(key) = Key::new(&[kind::WANT, &shared.id]) else { return };
    let Ok(scheduling) = Key::new(&[kind::SCHEDULING, &shared.id]) else { return };
    let Ok(lattice) = Key::new(&[kind::LATTICE]) else { return };
    let mut mirror = shared.records.mirror.clone();
    let heard = tokio::time::timeout(HEARD, async {
        while !mirror.is_current() {
            mirror.changed().await;
        }
    });
    let heard = heard.await.is_ok();
    let mut followed = Followed::default();
    if let Some(value) = shared.kept.read(&key)
        && let Ok(assignment) = record::decode::<Assignment>(key.as_str(), &value)
    {
        followed.assigned = assignment.workloads;
        if !heard {
            tracing::warn!("The lattice is not heard: what was last assigned to this host runs.");
            shared.followed.1.store(assignment.term, Ordering::Release);
            assign(&shared, &followed.all());
        }
    }
    loop {
        followed.look_at_store(&shared, &lattice);
        let entry = shared.records.mirror.get(&key);
        match &entry {
            Some(entry) if entry.revision > shared.assignment() => {
                match record::decode::<Assignment>(key.as_str(), &entry.value) {
                    // Somebody wrote it who leads no more.
                    Ok(one) if one.term < shared.followed.1.load(Ordering::Acquire) => {}
                    Ok(assignment) => {
                        shared.kept.keep(&key, &entry.value);
                        shared.followed.1.store(assignment.term, Ordering::Release);
                        shared.followed.0.store(entry.revision, Ordering::Release);
                        followed.change(&shared, assignment.workloads);
                        assign(&shared, &followed.all());
                        shared.changed.notify_one();
                    }
                    Err(failure) => tracing::error!(%failure, "What this host is to run."),
                }
            }
            // It was forgotten, and nothing is assigned; but only who is heard says so.
            None if shared.records.mirror.is_current() => {
                followed.change(&shared, Vec::new());
                assign(&shared, &followed.all());
            }
            // Somebody has said what is to become of what was held.
            Some(_) if shared.records.mirror.is_current() && followed.release(&shared) => {
                assign(&shared, &followed.all());
            }
            _ => {}
        }
        let again = tidy(&shared, &followed);
        // After what has ended is gone: nothing else may happen that it would be looked at again for.
        if let Some(entry) = shared.records.mirror.get(&scheduling)
            && let Ok(said) = record::decode::<Scheduling>(scheduling.as_str(), &entry.value)
            && said.leave
            && said.schedule == Schedule::Drained
            && shared.is_idle()
        {
            shared.released.send_replace(true);
        }
        let wait = if again { TIDY } else { Duration::from_secs(60) };
        let _ = tokio::time::timeout(wait, mirror.changed()).await;
    }
}

/// What is followed.
#[derive(Default)]
struct Followed {
    /// As it was assigned last.
    assigned: Vec<Assigned>,
    /// What was assigned before, and is of applications that the store has no record of, not even that they were deleted:
    /// it was emptied, or is another one. Nobody has said that these are not wanted any more.
    held: Vec<Assigned>,
    /// Which store that is.
    store: Option<LatticeShared>,
}

impl Followed {
    /// All that is to run.
    fn all(&self) -> Vec<Assigned> {
        self.assigned.iter().chain(&self.held).cloned().collect()
    }

    /// In another store, all is counted anew.
    fn look_at_store(&mut self, shared: &Shared, key: &Key) {
        let Some(entry) = shared.records.mirror.get(key) else { return };
        let Ok(record) = record::decode::<LatticeShared>(key.as_str(), &entry.value) else {
            return;
        };
        if self.store.as_ref().is_some_and(|before| *before != record) {
            tracing::error!(
                "The lattice's store is another one than it was: it was emptied, or another has taken its place. What \
                 runs here goes on; restore the store, or apply again what it has no record of."
            );
            shared.followed.0.store(0, Ordering::Release);
            shared.followed.1.store(0, Ordering::Release);
        }
        self.store = Some(record);
    }

    /// This is assigned from now on.
    fn change(&mut self, shared: &Shared, assigned: Vec<Assigned>) {
        let before = std::mem::replace(&mut self.assigned, assigned);
        let was = self.held.len();
        self.held.extend(before);
        let is_assigned = |one: &Assigned| {
            let same = |other: &Assigned| {
                (&other.workload, other.revision) == (&one.workload, one.revision)
            };
            self.assigned.iter().any(same)
        };
        self.held.retain(|one| is_held(shared, one) && !is_assigned(one));
        if was == 0 && !self.held.is_empty() {
            let all: BTreeSet<_> = self
                .held
                .iter()
                .map(|one| format!("{}/{}", one.workload.namespace, one.workload.app))
                .collect();
            let all: Vec<_> = all.into_iter().collect();
            tracing::error!(
                applications = all.join(", "),
                "The lattice's store knows nothing of applications that run here: it was emptied, or is another one. \
                 They go on as they are. Restore the store, or apply them again; `reef delete` ends them."
            );
        }
    }

    /// Lets go of what the store knows of now. Whether that is something.
    fn release(&mut self, shared: &Shared) -> bool {
        let before = self.held.len();
        self.held.retain(|one| is_held(shared, one));
        before != self.held.len()
    }
}

fn is_held(shared: &Shared, one: &Assigned) -> bool {
    !shared.records.has_heard_of(&one.workload.namespace, &one.workload.app)
}

/// Starts, changes and ends what differs.
fn assign(shared: &Arc<Shared>, workloads: &[Assigned]) {
    let wanted: BTreeMap<Place, u32> = workloads
        .iter()
        .filter(|one| one.instances > 0)
        .map(|one| {
            (Place { workload: one.workload.clone(), revision: one.revision }, one.instances)
        })
        .collect();
    let mut placements = shared.placements();
    for (place, placement) in placements.iter() {
        match wanted.get(place) {
            Some(instances) => placement.set(*instances),
            None => placement.end(),
        }
    }
    let before: Vec<_> = placements.keys().cloned().collect();
    for (place, instances) in wanted {
        placements
            .entry(place)
            .or_insert_with_key(|place| Placement::start(shared, place, instances));
    }
    // Each may be linked to one that has come or is about to go.
    for place in before {
        placements.get(&place).filter(|one| one.is_wanted()).iter().for_each(|one| one.look());
    }
}

/// Forgets placements that have ended; whether there are others that are about to.
fn tidy(shared: &Arc<Shared>, followed: &Followed) -> bool {
    let (before, ending, after) = {
        let mut placements = shared.placements();
        let before = placements.len();
        placements.retain(|_, placement| !placement.has_ended());
        let ending = placements.values().any(|one| !one.is_wanted() && !one.is_asleep());
        (before, ending, placements.len())
    };
    if before != after {
        shared.changed.notify_one();
        // One that was wanted again while it ended.
        assign(shared, &followed.all());
    }
    ending
}
