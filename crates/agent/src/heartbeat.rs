//! What a host says of itself.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use reef_lattice::record::{self, HEARTBEAT, Heartbeat, Measured};
use reef_meter::{MeterSnapshot, ResponseClass};
use reef_planner::Resources;

use crate::Shared;

/// Between two heartbeats that something changed for, at least: after a quiet time, and while things go on changing.
const APART: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(20));
/// Turns of other tasks, before something that changed is told.
const TURNS: usize = 4;

/// Says how this host is, for as long as it is there.
pub(crate) async fn beat(shared: Arc<Shared>) {
    let (first, most) = APART;
    let mut pause = first;
    loop {
        say(&shared, false).await;
        tokio::time::sleep(pause).await;
        // Who waits for one thing to change hears of it at once; of many that do, several are told together.
        let at_once = Instant::now();
        let changed = shared.changed.notified();
        // In time or late does not matter: a host that is not heard of is not lost at once.
        let _ = tokio::time::timeout(HEARTBEAT - pause, changed).await;
        // What comes of it at once is told with it: an assignment, and that it is ready.
        for _ in 0..TURNS {
            tokio::task::yield_now().await;
        }
        pause = if at_once.elapsed() > most { first } else { (pause * 2).min(most) };
    }
}

/// Says it once. `left`: for the last time.
pub(crate) async fn say(shared: &Shared, left: bool) {
    let heartbeat = shared.heartbeat(left);
    let subject = format!("reef.{}.heartbeat.{}", shared.lattice.name, shared.id);
    let said = match record::encode(&heartbeat) {
        Ok(body) => reef_bus::Message::new(&subject, body).map_err(|error| error.to_string()),
        Err(failure) => Err(failure.to_string()),
    };
    let published = match said {
        Ok(message) => {
            let publishing = shared.lattice.bus.publish(message);
            match tokio::time::timeout(HEARTBEAT, publishing).await {
                Ok(published) => published.map(drop).map_err(|error| error.to_string()),
                Err(_) => Err("the bus did not take it in time".to_owned()),
            }
        }
        Err(why) => Err(why),
    };
    if let Err(why) = published {
        tracing::debug!(why, "Nobody was told how this host is.");
    }
}

impl Shared {
    fn heartbeat(&self, left: bool) -> Heartbeat {
        let placements = if left { Vec::new() } else { self.reports() };
        let used = |of: fn(&Measured) -> u64| placements.iter().map(|one| of(&one.measured)).sum();
        let cpu: u64 = used(|measured| measured.cpu);
        // In this order: what is missing is said before it is said that routes are followed.
        let routed = self.routed.load(std::sync::atomic::Ordering::Acquire);
        let missing = self.missing().clone();
        let load = Resources::new(used(|measured| measured.memory), self.cores_since_last(cpu));
        Heartbeat {
            host: self.id.clone(),
            name: self.options.name.clone(),
            boot: self.boot,
            sequence: self.next_sequence(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            labels: self.options.labels.clone(),
            capacity: self.options.capacity,
            load,
            http: self.options.http.clone(),
            up: self.since.elapsed().as_secs(),
            left,
            leaving: self.is_leaving(),
            assignment: self.assignment(),
            routed,
            missing,
            placements,
        }
    }
}

/// What a meter counted.
pub(crate) fn measured(meter: &MeterSnapshot) -> Measured {
    let failed = ResponseClass::ServerError as usize;
    let mut durations = meter.latency.counts.to_vec();
    while durations.last() == Some(&0) {
        durations.pop();
    }
    Measured {
        requests: meter.latency.count(),
        errors: meter.responses.get(failed).copied().unwrap_or_default(),
        traps: meter.traps,
        running: meter.in_flight,
        waiting: meter.queued,
        durations,
        cpu: meter.guest_cpu_nanos,
        memory: meter.memory,
        metrics: std::collections::BTreeMap::new(),
    }
}
