//! A thousand seeds, and more where they are asked for.

use super::{Checked, World, scenario::Scenario};

/// Seeds of a usual run.
const SEEDS: u64 = 1000;

fn run(scenario: &Scenario, tells: bool) -> (Checked, Vec<String>) {
    let mut world = World::new(scenario.clone(), tells);
    let checked = world.run();
    (checked, world.trace)
}

/// The fewest things that still end badly.
fn shrunk(mut scenario: Scenario) -> Scenario {
    let fails = |scenario: &Scenario| run(scenario, false).0.is_err();
    let mut at = scenario.ops.len();
    while at > 0 {
        at -= 1;
        let mut fewer = scenario.clone();
        fewer.ops.remove(at);
        if fails(&fewer) {
            scenario = fewer;
            at = at.min(scenario.ops.len());
        }
    }
    for simpler in [
        Scenario { loss: 0, twice: 0, ..scenario.clone() },
        Scenario { controllers: 1, ..scenario.clone() },
        Scenario { delay: 0, ..scenario.clone() },
    ] {
        let known = |scenario: &Scenario| {
            use super::{scenario::Op, store::Watcher::Controller};
            scenario.ops.iter().all(|(_, op)| match op {
                Op::CrashController(at, _)
                | Op::StopController(at, _)
                | Op::Stall(at, _)
                | Op::CutStore(Controller(at), ..)
                | Op::CutBus(Controller(at), _) => *at < scenario.controllers,
                _ => true,
            })
        };
        if known(&simpler) && fails(&simpler) {
            scenario = simpler;
        }
    }
    scenario
}

fn fail(seed: u64, why: &str) -> ! {
    let scenario = shrunk(Scenario::of(seed));
    let (checked, trace) = run(&scenario, true);
    let last = trace.len().saturating_sub(400);
    let trace = trace[last..].join("\n");
    panic!(
        "seed {seed}: {why}\nshrunk: {scenario:#?}\n{trace}\n=> {}",
        checked.err().unwrap_or_default()
    );
}

fn seeds(seeds: impl Iterator<Item = u64>) {
    let mut first = None;
    for seed in seeds {
        if let (Err(why), _) = run(&Scenario::of(seed), false) {
            println!("seed {seed}: {why}");
            first.get_or_insert((seed, why));
        }
    }
    if let Some((seed, why)) = first {
        fail(seed, &why);
    }
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// Each part has its own test, so that they run beside each other.
fn part(which: u64) {
    const PARTS: u64 = 4;
    if let Some(seed) = number("REEF_SEED") {
        return if seed % PARTS == which {
            seeds([seed].into_iter())
        };
    }
    let all = number("REEF_SEEDS").unwrap_or(SEEDS);
    let first = number("REEF_FIRST_SEED").unwrap_or(0);
    seeds((first..first.saturating_add(all)).filter(|seed| seed % PARTS == which));
}

#[test]
fn a_thousand_seeds_first_part() {
    part(0);
}

#[test]
fn a_thousand_seeds_second_part() {
    part(1);
}

#[test]
fn a_thousand_seeds_third_part() {
    part(2);
}

#[test]
fn a_thousand_seeds_fourth_part() {
    part(3);
}
