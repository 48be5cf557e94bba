//! From the load of a workload to a number of instances.
//!
//! What is looked at is the mean over a window. More instances are made at once; fewer only when fewer would have done
//! for a while, and when it is a tenth less: so load that goes up and down does not take instances up and down with it.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use reef_lattice::record::{Autoscale, AutoscaleTarget};
use reef_planner::{Time, WorkloadKey};

/// What a workload has to do at a moment, over all hosts.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Load {
    /// Requests in progress.
    pub running: u64,
    /// Requests that wait for an instance.
    pub waiting: u64,
    /// Requests that have ended, ever.
    pub ended: u64,
    /// The metric that it is scaled by, summed.
    pub metric: f64,
}

/// Over how long the load is averaged.
pub const WINDOW: Duration = Duration::from_secs(10);
/// For how long fewer instances have to be enough, before there are fewer, where nothing else is said.
pub const DOWN: Duration = Duration::from_secs(60);
/// How often the load is looked at.
pub const EVERY: Duration = Duration::from_secs(1);

/// What is remembered of a workload's load.
#[derive(Clone, Debug, Default)]
struct Memory {
    samples: VecDeque<(Time, Load)>,
    /// What would have been enough, at the moments of the last while.
    enough: VecDeque<(Time, u32)>,
    /// When there was last something to do.
    busy: Option<Time>,
    instances: u32,
}

/// The workloads that are scaled by their load.
#[derive(Clone, Debug, Default)]
pub struct Autoscaler {
    all: BTreeMap<WorkloadKey, Memory>,
}

impl Autoscaler {
    /// How many instances a workload is to have; `there`, where nothing was decided yet.
    pub fn instances(&self, workload: &WorkloadKey, scale: &Autoscale, there: u32) -> u32 {
        let known = self.all.get(workload).map(|memory| memory.instances);
        bounded(scale, known.unwrap_or(there))
    }

    /// Looks at the load, once a second. Whether the number of instances is another one now.
    pub fn look(
        &mut self,
        workload: &WorkloadKey,
        scale: &Autoscale,
        load: Load,
        there: u32,
        now: Time,
    ) -> bool {
        let memory = self.all.entry(workload.clone()).or_insert_with(|| Memory {
            instances: bounded(scale, there),
            busy: Some(now),
            ..Memory::default()
        });
        if memory.samples.back().is_some_and(|(at, _)| now < at.after(EVERY / 2)) {
            return false;
        }
        memory.look(scale, load, now)
    }

    /// A host has work for a workload of which nothing runs. Whether there are to be more now.
    pub fn demand(&mut self, workload: &WorkloadKey, scale: &Autoscale, now: Time) -> bool {
        let memory = self.all.entry(workload.clone()).or_default();
        memory.busy = Some(now);
        let before = memory.instances;
        memory.instances = bounded(scale, before.max(1));
        memory.instances != before
    }

    /// Forgets workloads that are not scaled any more.
    pub fn keep(&mut self, scaled: impl Fn(&WorkloadKey) -> bool) {
        self.all.retain(|workload, _| scaled(workload));
    }
}

impl Memory {
    fn look(&mut self, scale: &Autoscale, load: Load, now: Time) -> bool {
        let before = self.instances;
        let ended = self.samples.back().is_some_and(|(_, last)| last.ended != load.ended);
        if load.running > 0 || load.waiting > 0 || ended {
            self.busy = Some(now);
        }
        let down = scale.down.unwrap_or(DOWN);
        let window = WINDOW.min(down.max(EVERY * 2));
        self.samples.push_back((now, load));
        while self.samples.len() > 1
            && self.samples.front().is_some_and(|(at, _)| now > at.after(window))
        {
            self.samples.pop_front();
        }
        let wanted = bounded(scale, wanted(&self.samples, &scale.target, self.instances)).max(1);
        self.enough.push_back((now, wanted));
        while self.enough.front().is_some_and(|(at, _)| now > at.after(down)) {
            self.enough.pop_front();
        }
        let most = self.enough.iter().map(|(_, wanted)| *wanted).max().unwrap_or(wanted);
        let since = self.enough.front().map_or(now, |(at, _)| *at);
        if wanted > self.instances {
            self.instances = wanted;
        } else if now >= since.after(down.saturating_sub(EVERY)) && is_less(most, self.instances) {
            self.instances = most;
        }
        let idle = |busy: Time| scale.to_zero.is_some_and(|after| now >= busy.after(after));
        self.instances = match self.busy {
            Some(busy) if idle(busy) => 0,
            None if scale.to_zero.is_some() && self.instances == 0 => 0,
            _ => bounded(scale, self.instances).max(1.min(scale.max)),
        };
        self.instances != before
    }
}

/// How many instances the load asks for.
fn wanted(samples: &VecDeque<(Time, Load)>, target: &AutoscaleTarget, present: u32) -> u32 {
    let count = of(samples.len()).max(1.0);
    let mean =
        |value: fn(&Load) -> f64| samples.iter().map(|(_, load)| value(load)).sum::<f64>() / count;
    // A burst is not averaged away by the quiet before it.
    let last = |value: fn(&Load) -> f64| samples.back().map_or(0.0, |(_, load)| value(load));
    let work = |load: &Load| of(load.running.saturating_add(load.waiting));
    match target {
        AutoscaleTarget::Concurrency(each) => {
            let most = mean(work).max(last(work) / 2.0);
            ceil(most / positive(*each))
        }
        AutoscaleTarget::Metric(_, each) => ceil(mean(|load| load.metric) / positive(*each)),
        AutoscaleTarget::QueueTime(limit) => {
            let (Some((from, first)), Some((to, end))) = (samples.front(), samples.back()) else {
                return present;
            };
            let seconds = of(to.0.saturating_sub(from.0)) / 1000.0;
            let ended = of(end.ended.saturating_sub(first.ended));
            let waiting = mean(|load| of(load.waiting));
            if waiting <= 0.0 || seconds <= 0.0 {
                // Nobody waits: as many as have something to do, and one in five more.
                return ceil(mean(|load| of(load.running)) * 1.2).min(present);
            }
            // Little's law: who waits is the rate times the time that each waits.
            let waited = waiting / (ended / seconds).max(0.001);
            let over = waited / positive(limit.as_secs_f64());
            // By half as much again at most, so that what is new has a say first.
            let most = present.saturating_add(present / 2).saturating_add(1);
            ceil(of(present.max(1)) * over).clamp(1, most)
        }
    }
}

/// At least a tenth less.
fn is_less(wanted: u32, present: u32) -> bool {
    wanted < present && u64::from(present - wanted) * 10 >= u64::from(present)
}

fn bounded(scale: &Autoscale, instances: u32) -> u32 {
    let least = if scale.to_zero.is_some() { 0 } else { scale.min.max(1) };
    let bounded = instances.clamp(least.min(scale.max), scale.max);
    // None, or as many as there have to be.
    if bounded == 0 { 0 } else { bounded.max(scale.min.min(scale.max)) }
}

fn positive(value: f64) -> f64 {
    if value.is_finite() && value > 0.0 { value } else { 1.0 }
}

/// Counts as what can be divided. Beyond 2^52 it is not exact, and need not be.
fn of(count: impl TryInto<u64>) -> f64 {
    #[allow(clippy::cast_precision_loss, reason = "see above")]
    let value = count.try_into().unwrap_or(u64::MAX) as f64;
    value
}

fn ceil(value: f64) -> u32 {
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "saturating, as wanted"
    )]
    let count = value.max(0.0).ceil() as u32;
    count
}

#[cfg(test)]
mod tests;
