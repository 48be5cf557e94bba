//! Which revisions are to run and to be used at this moment of a rollout, and whether it goes on.

use crate::{
    desired::{Amount, CanaryStep, Gates, Revision, Scale, Strategy, Workload},
    id::Time,
    observed::{Measure, RollbackCause, RolloutState, Verdict, Weights},
    reason::Reason,
};

/// What is known of a workload beside what is wanted.
#[derive(Debug)]
pub(crate) struct Facts<'a> {
    /// Instances that are wanted and may be.
    pub(crate) instances: u32,
    /// Ready instances of the new revision.
    pub(crate) ready: u32,
    /// Whether instances of any other revision are there.
    pub(crate) others: bool,
    pub(crate) state: Option<&'a RolloutState>,
    pub(crate) measure: Option<&'a Measure>,
    pub(crate) now: Time,
}

/// What is to be at this moment of a rollout.
#[derive(Debug)]
pub(crate) struct Course<'a> {
    /// Revisions, and how many instances of each. What else runs gives way to them.
    pub(crate) sets: Vec<(&'a Revision, u32)>,
    /// Where there is one set, and `Some`: what runs of other revisions is not replaced; gaps have this one.
    pub(crate) frozen: Option<&'a Revision>,
    pub(crate) weights: Option<Weights>,
    /// What is to be written down.
    pub(crate) record: Option<RolloutState>,
    pub(crate) max_unavailable: u32,
    pub(crate) max_surge: u32,
    pub(crate) reasons: Vec<Reason>,
    pub(crate) wake: Option<Time>,
    /// Whether a rollout is under way.
    pub(crate) going: bool,
}

/// Finds out what is to be at this moment of the rollout of a workload.
pub(crate) fn course<'a>(workload: &'a Workload, facts: &Facts<'_>) -> Course<'a> {
    let new = &workload.revision;
    let (max_unavailable, max_surge) = bounds(workload, facts);
    let mut course = Course {
        sets: vec![(new, facts.instances)],
        frozen: None,
        weights: None,
        record: None,
        max_unavailable,
        max_surge,
        reasons: Vec::new(),
        wake: None,
        going: false,
    };
    let Some(old) = workload.previous.as_ref().filter(|old| old.number != new.number) else {
        return course;
    };
    let known = facts.state.filter(|state| state.revision == new.number);
    let mut state = known.cloned().unwrap_or(RolloutState {
        revision: new.number,
        step: 0,
        serving: false,
        since: facts.now,
        verdict: Verdict::Going,
    });
    if matches!(state.verdict, Verdict::Going | Verdict::Paused) {
        advance(workload, facts, &mut state, &mut course);
    }
    let strategy = strategy(workload);
    let all_to = |number: u64| Some(Weights::from([(number, 100)]));
    match &state.verdict {
        Verdict::Complete => {
            // The traffic stays where it is until the old ones are gone.
            let last = match strategy {
                Strategy::BlueGreen { .. } => 100,
                Strategy::Canary { steps } => steps.last().map_or(0, |step| step.weight),
                _ => 0,
            };
            if last >= 100 && facts.others {
                course.weights = all_to(new.number);
            }
        }
        Verdict::RolledBack(cause) => {
            course.sets = vec![(old, facts.instances)];
            course.reasons.push(Reason::RolledBack { revision: new.number, cause: cause.clone() });
            if facts.ready > 0
                && matches!(strategy, Strategy::BlueGreen { .. } | Strategy::Canary { .. })
            {
                course.weights = all_to(old.number);
            }
        }
        Verdict::Going | Verdict::Paused => {
            course.going = true;
            if state.verdict == Verdict::Paused {
                course.reasons.push(Reason::Paused);
            }
            match strategy {
                Strategy::AllAtOnce | Strategy::Rolling { .. } => {
                    if state.verdict == Verdict::Paused {
                        course.frozen = Some(old);
                    }
                }
                Strategy::BlueGreen { .. } => {
                    course.sets = vec![(old, facts.instances), (new, facts.instances)];
                    course.weights = all_to(if state.serving { new.number } else { old.number });
                }
                Strategy::Canary { steps } => {
                    let step = steps.get(state.step as usize).copied().unwrap_or(NO_STEP);
                    let count = canaries(step, facts.instances);
                    course.sets = vec![(old, facts.instances), (new, count)];
                    let new_weight = weight(steps, &state, facts).min(100);
                    let mut weights = Weights::from([(old.number, 100 - new_weight)]);
                    weights.insert(new.number, new_weight);
                    weights.retain(|_, weight| *weight > 0);
                    course.weights = Some(weights);
                }
            }
        }
    }
    if known != Some(&state) {
        course.record = Some(state);
    }
    course
}

const NO_STEP: CanaryStep = CanaryStep { weight: 0, hold: std::time::Duration::ZERO };

/// How a workload is rolled out. A daemon has no room for two sets of instances on each of its hosts.
fn strategy(workload: &Workload) -> &Strategy {
    match (&workload.rollout.strategy, workload.scale) {
        (Strategy::BlueGreen { .. } | Strategy::Canary { .. }, Scale::Daemon(_)) => {
            &Strategy::DEFAULT
        }
        (strategy, _) => strategy,
    }
}

/// How many instances may be missing, and how many there may be beyond.
fn bounds(workload: &Workload, facts: &Facts<'_>) -> (u32, u32) {
    let all = facts.instances;
    let budget = workload.max_unavailable.map(|amount| amount.down(all));
    let (missing, surge) = match strategy(workload) {
        Strategy::AllAtOnce if facts.others => (all, all),
        Strategy::Rolling { max_unavailable, max_surge } => {
            (max_unavailable.down(all), max_surge.up(all))
        }
        _ => (0, Amount::Percent(25).up(all)),
    };
    let missing = match budget {
        Some(budget) if facts.others => missing.min(budget),
        Some(budget) => budget,
        None => missing,
    };
    (missing, if missing == 0 { surge.max(1) } else { surge })
}

/// Takes the step that is due, at most one.
fn advance(
    workload: &Workload,
    facts: &Facts<'_>,
    state: &mut RolloutState,
    course: &mut Course<'_>,
) {
    let gates = &workload.rollout.gates;
    let measure = facts.measure.filter(|measure| measure.since >= state.since);
    let measure = measure.copied().unwrap_or_default();
    let mut wake = |at: Time| course.wake = Some(course.wake.map_or(at, |other| other.min(at)));
    let rolled_back = |state: &mut RolloutState, cause| {
        state.verdict = Verdict::RolledBack(cause);
        state.since = facts.now;
    };
    if let Some(cause) = violated(gates, &measure) {
        return rolled_back(state, cause);
    }
    if state.verdict == Verdict::Paused {
        return;
    }
    let (needed, hold, last) = match strategy(workload) {
        Strategy::AllAtOnce | Strategy::Rolling { .. } => {
            if facts.ready >= facts.instances && !facts.others {
                state.verdict = Verdict::Complete;
                state.since = facts.now;
                return;
            }
            (u32::MAX, NO_STEP.hold, true)
        }
        Strategy::BlueGreen { hold } => (facts.instances, *hold, true),
        Strategy::Canary { steps } => match steps.get(state.step as usize) {
            None => (0, NO_STEP.hold, true),
            Some(step) => {
                let last = state.step as usize + 1 >= steps.len();
                (canaries(*step, facts.instances), step.hold, last)
            }
        },
    };
    if !state.serving {
        if facts.ready >= needed {
            state.serving = true;
            state.since = facts.now;
            wake(facts.now.after(hold));
        } else if let Some(deadline) = workload.rollout.deadline {
            let until = state.since.after(deadline);
            if facts.now >= until {
                rolled_back(state, RollbackCause::Deadline);
            } else {
                wake(until);
            }
        }
        return;
    }
    let until = state.since.after(hold);
    let judged = gates.max_errors_per_million.is_some() || gates.max_latency_ms.is_some();
    if facts.now < until {
        wake(until);
    } else if judged && measure.requests < gates.min_requests {
        let (measured, wanted) = (measure.requests, gates.min_requests);
        course.reasons.push(Reason::TooFewRequests { measured, wanted });
    } else if last {
        state.verdict = Verdict::Complete;
        state.since = facts.now;
    } else {
        *state = RolloutState {
            step: state.step + 1,
            serving: false,
            since: facts.now,
            ..state.clone()
        };
    }
}

/// Which gate is not met.
fn violated(gates: &Gates, measure: &Measure) -> Option<RollbackCause> {
    if let Some(limit) = gates.max_traps.filter(|limit| measure.traps > *limit) {
        return Some(RollbackCause::Traps { measured: measure.traps, limit });
    }
    if measure.requests == 0 || measure.requests < gates.min_requests {
        return None;
    }
    let share = u128::from(measure.errors) * 1_000_000 / u128::from(measure.requests);
    let share = u64::try_from(share).unwrap_or(u64::MAX);
    if let Some(limit) = gates.max_errors_per_million.map(u64::from).filter(|limit| share > *limit)
    {
        return Some(RollbackCause::Errors { measured: share, limit });
    }
    let limit = gates.max_latency_ms.filter(|limit| measure.latency_ms > *limit)?;
    Some(RollbackCause::Latency { measured: measure.latency_ms, limit })
}

/// How many new instances a step has.
fn canaries(step: CanaryStep, all: u32) -> u32 {
    match step.weight {
        0 => 0,
        weight => Amount::Percent(weight.min(100)).up(all),
    }
}

/// The share of the traffic that new instances get: that of the last step for which enough are ready.
fn weight(steps: &[CanaryStep], state: &RolloutState, facts: &Facts<'_>) -> u32 {
    let present = state.step as usize;
    let steps = steps.iter().enumerate().take(present + usize::from(state.serving));
    let carried = |(at, step): &(usize, &CanaryStep)| {
        let serves = state.serving && *at == present && facts.ready > 0;
        serves || facts.ready >= canaries(**step, facts.instances).max(1)
    };
    steps.rev().find(carried).map_or(0, |(_, step)| step.weight)
}
