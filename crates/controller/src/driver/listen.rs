//! What a controller hears: the store, the hosts, itself.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use futures::StreamExt as _;
use reef_bus::{Capacity, Interest, Message, Subscription};
use reef_lattice::record::{HEARTBEAT, Heartbeat, decode};
use reef_planner::WorkloadKey;
use tokio::time::{Instant, sleep, timeout};

use super::Shared;

/// Before something that failed is tried again.
const AGAIN: Duration = Duration::from_millis(250);
/// How often it is said that something goes on failing.
const SAID: Duration = Duration::from_secs(60);
/// What may wait of heartbeats: a second's of a large lattice.
const BEATS: Capacity = Capacity { messages: 20_000, bytes: 128 << 20 };
/// What is told to the core at once.
const BATCH: usize = 1024;

/// Follows the store.
pub(super) async fn store(shared: Arc<Shared>) {
    let mut outage = Outage::default();
    loop {
        match shared.lattice.store.watch(&[""]).await {
            Ok(changes) => {
                outage.ended();
                let mut changes = changes.ready_chunks(BATCH);
                while let Some(batch) = changes.next().await {
                    shared.tell(|core, now| {
                        batch.iter().for_each(|change| core.change(now, change));
                    });
                }
            }
            Err(failure) if outage.is_to_be_said() => {
                tracing::warn!(%failure, "The lattice's store cannot be followed; it is tried again until it can.");
            }
            Err(_) => {}
        }
        shared.tell(|core, now| core.change(now, &reef_lattice::Change::Lost));
        sleep(AGAIN).await;
    }
}

/// Hears hosts.
pub(super) async fn heartbeats(shared: Arc<Shared>) {
    let subject = format!("reef.{}.heartbeat.*", shared.lattice.name);
    each(&shared, &subject, BEATS, Some(&shared.hears), |messages| {
        let beats: Vec<Heartbeat> = messages
            .iter()
            .filter_map(|message| match decode(message.subject(), message.body()) {
                Ok(beat) => Some(beat),
                Err(failure) => {
                    tracing::debug!(%failure, "A heartbeat.");
                    None
                }
            })
            .collect();
        shared.tell(|core, now| beats.into_iter().for_each(|beat| core.heartbeat(now, beat)));
    })
    .await;
}

/// Hears of work for workloads of which nothing runs: `namespace/app/workload`.
pub(super) async fn demand(shared: Arc<Shared>) {
    let subject = format!("reef.{}.demand", shared.lattice.name);
    each(&shared, &subject, Capacity::default(), None, |messages| {
        let wanted: Vec<_> = messages.iter().filter_map(|one| workload(one.body())).collect();
        shared.tell(|core, now| wanted.iter().for_each(|one| core.demand(now, one)));
    })
    .await;
}

fn workload(body: &[u8]) -> Option<WorkloadKey> {
    let mut parts = std::str::from_utf8(body).ok()?.splitn(3, '/');
    Some(WorkloadKey::new(parts.next()?, parts.next()?, parts.next()?))
}

/// Hears itself: as long as it does, who is not heard of is silent.
pub(super) async fn pulse(shared: Arc<Shared>) {
    let subject = format!("reef.{}.pulse.{}", shared.lattice.name, shared.holder);
    let say = async {
        loop {
            if let Ok(message) = Message::new(&subject, Vec::new()) {
                let _ = timeout(HEARTBEAT, shared.lattice.bus.publish(message)).await;
            }
            sleep(HEARTBEAT / 2).await;
        }
    };
    let hear = each(&shared, &subject, Capacity::default(), None, |_| {
        shared.tell(|core, now| core.pulse(now));
    });
    tokio::join!(say, hear);
}

/// Has each message about a subject, many at once where they came at once. `since`: told when they are heard at first.
async fn each(
    shared: &Shared,
    subject: &str,
    capacity: Capacity,
    since: Option<&OnceLock<Instant>>,
    mut take: impl FnMut(Vec<Message>),
) {
    let Ok(parsed) = subject.parse() else { return };
    let interest = Interest { name: "controller".into(), subject: parsed, queue: None, capacity };
    let mut outage = Outage::default();
    loop {
        match shared.lattice.bus.subscribe(interest.clone()).await {
            Ok(subscription) => {
                outage.ended();
                if let Some(since) = since {
                    since.get_or_init(Instant::now);
                }
                while let Some(first) = subscription.next().await {
                    take(batch(first, &subscription));
                }
            }
            Err(error) if outage.is_to_be_said() => {
                tracing::warn!(%error, subject, "The lattice's bus cannot be heard; it is tried again until it can.");
            }
            Err(_) => {}
        }
        sleep(AGAIN).await;
    }
}

/// What fails for a while, and is said seldom.
#[derive(Default)]
pub(crate) struct Outage(Option<Instant>);

impl Outage {
    pub(crate) fn is_to_be_said(&mut self) -> bool {
        let is = self.0.is_none_or(|said| said.elapsed() >= SAID);
        if is {
            self.0 = Some(Instant::now());
        }
        is
    }

    pub(crate) fn ended(&mut self) {
        self.0 = None;
    }
}

fn batch(first: Message, subscription: &Subscription) -> Vec<Message> {
    let rest = std::iter::from_fn(|| subscription.try_next()).take(BATCH);
    std::iter::once(first).chain(rest).collect()
}
