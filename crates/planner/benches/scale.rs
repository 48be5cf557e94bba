//! How long planning takes, and how much memory: a plan from nothing, one when everything is as it is wanted, and one
//! after a host is lost; and the last two again by a planner that knows the plan before: once the host is not heard of,
//! once its time is over, and where it is gone at once. The shortest of some times, and for what is done once, the time.
//!
//! ```sh
//! cargo bench -p reef-planner --bench scale                    # as released
//! cargo bench -p reef-planner --bench scale --profile measure  # nearly so
//! ```

use std::{
    collections::BTreeMap,
    error::Error,
    hint::black_box,
    time::{Duration, Instant},
};

use reef_planner::{
    Changed, Constraint, Desired, Host, Id, Observed, Packing, Placement, Plan, Planner, Reach,
    Resources, Revision, Rules, Scale, Spread, Time, Topology, Workload, WorkloadKey, plan,
};

const REQUESTS: Resources = Resources::new(256 << 20, 100);

fn main() -> Result<(), Box<dyn Error>> {
    println!(
        "{:>8} {:>10} {:>10} {:>12} {:>12} {:>12} {:>12} {:>12} {:>12} {:>12}",
        "hosts",
        "workloads",
        "instances",
        "from nothing",
        "as wanted",
        "host lost",
        "again",
        "silent",
        "lost",
        "gone"
    );
    for (hosts, workloads, instances) in
        [(1_000, 100, 100), (10_000, 1_000, 100), (10_000, 10_000, 10)]
    {
        let desired = desired(workloads, instances);
        let mut observed = lattice(hosts);
        let (first, from_nothing) = timed(&desired, &observed);
        let started = reach(&mut observed, &first);
        if started != workloads * instances {
            return Err(format!("{started} instances are placed").into());
        }
        let (again, as_wanted) = timed(&desired, &observed);
        if !again.is_settled() {
            return Err(format!("{} actions though all is as wanted", again.actions.len()).into());
        }
        let busiest = observed.hosts.iter().max_by_key(|(_, host)| host.placements.len());
        let lost = busiest.map(|(id, _)| id.clone()).ok_or("no hosts")?;
        let known = again_and_again(&desired, observed.clone(), &lost)?;
        observed.hosts.remove(&lost);
        let (replaced, host_lost) = timed(&desired, &observed);
        if replaced.is_settled() {
            return Err("nothing is replaced".into());
        }
        print!(
            "{hosts:>8} {workloads:>10} {:>10} {from_nothing:>12.1?} {as_wanted:>12.1?} {host_lost:>12.1?}",
            workloads * instances
        );
        known.iter().for_each(|took| print!(" {took:>12.1?}"));
        println!();
    }
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    if let Some(peak) = status.lines().find(|line| line.starts_with("VmHWM")) {
        println!("{peak}");
    }
    Ok(())
}

/// How long a planner takes that knows the plan before: when nothing changed, when a host is silent, when it is lost,
/// and when it is gone.
fn again_and_again(
    desired: &Desired,
    observed: Observed,
    lost: &Id,
) -> Result<[Duration; 4], Box<dyn Error>> {
    let mut silent = observed.clone();
    if let Some(host) = silent.hosts.get_mut(lost) {
        host.reach = Reach::Silent(Time(0));
    }
    let mut gone = observed.clone();
    gone.hosts.remove(lost);
    let nothing = Changed::default();
    let host = Changed { hosts: [lost.clone()].into(), ..Changed::default() };
    let late = Time(0).after(desired.policy.grace);
    let mut best = [Duration::MAX; 4];
    for _ in 0..10 {
        let mut planner = Planner::default();
        planner.plan(desired, &observed, &Changed { all: true, ..Changed::default() }, Time(0));
        let steps = [
            (&observed, &nothing, Time(0)),
            (&silent, &host, Time(0)),
            (&silent, &nothing, late),
            (&observed, &host, late),
            (&gone, &host, late),
        ];
        for (at, (observed, changed, now)) in steps.into_iter().enumerate() {
            let begun = Instant::now();
            let settled = planner.plan(black_box(desired), observed, changed, now).is_settled();
            let took = begun.elapsed();
            // The fourth one puts back what was.
            let Some(best) = best.get_mut([0, 1, 2, 4, 3][at]) else { continue };
            *best = took.min(*best);
            if settled != (at < 2) {
                return Err(format!("after step {at} settled is {settled}").into());
            }
        }
    }
    Ok(best)
}

/// The plan, and the shortest of some times.
fn timed(desired: &Desired, observed: &Observed) -> (Plan, Duration) {
    let mut best = Duration::MAX;
    let mut last = Plan::default();
    let all = Instant::now();
    for round in 0..50 {
        if round > 2 && all.elapsed() > Duration::from_secs(2) {
            break;
        }
        let begun = Instant::now();
        let one = black_box(plan(black_box(desired), black_box(observed), Time(0)));
        best = best.min(begun.elapsed());
        last = one;
    }
    (last, best)
}

fn label(name: &str, value: &str) -> (Id, Id) {
    (name.into(), value.into())
}

fn lattice(count: usize) -> Observed {
    let hosts = (0..count).map(|at| {
        let labels = BTreeMap::from([
            label("zone", ["a", "b", "c"][at % 3]),
            label("arch", ["amd64", "arm64"][at / 3 % 2]),
            label("hostname", &format!("host-{at}")),
        ]);
        let capacity = Resources::new(16 << 30, 8_000);
        (Id::from(format!("host-{at:05}")), Host { labels, capacity, ..Host::default() })
    });
    Observed { hosts: hosts.collect(), ..Observed::default() }
}

/// Workloads of all kinds: anywhere, over parts of a spread, over zones, packed, on one architecture.
fn desired(count: usize, instances: usize) -> Desired {
    let part = |zone: &str, weight| Spread {
        name: zone.into(),
        requirements: BTreeMap::from([label("zone", zone)]),
        weight,
    };
    let workloads = (0..count).map(|at| {
        let rules = match at % 10 {
            0..4 => Rules::default(),
            4..6 => Rules {
                spread: vec![part("a", 50), part("b", 25), part("c", 25)],
                ..Rules::default()
            },
            6 => Rules {
                spread: vec![part("a", 50), Spread { weight: 50, ..Spread::default() }],
                ..Rules::default()
            },
            7 => Rules {
                topology: Some(Topology { label: "zone".into(), max_skew: 1, required: true }),
                ..Rules::default()
            },
            8 => Rules { packing: Packing::BinPack, ..Rules::default() },
            _ => Rules {
                required: vec![Constraint::NotIn("arch".into(), ["arm64".into()].into())],
                preferred: vec![(Constraint::In("zone".into(), ["c".into()].into()), 10)],
                per_host: Some(2),
                ..Rules::default()
            },
        };
        let key = WorkloadKey::new("default", format!("app-{}", at / 10), format!("workload-{at}"));
        let revision = Revision { number: 1, digest: "sha256:0".into(), requests: REQUESTS };
        let scale = Scale::Instances(u32::try_from(instances).unwrap_or(u32::MAX));
        (key, Workload { rules, ..Workload::new(revision, scale) })
    });
    Desired { workloads: workloads.collect(), ..Desired::default() }
}

/// Does what is planned; how many instances that is.
fn reach(observed: &mut Observed, plan: &Plan) -> usize {
    let mut started = 0;
    for (workload, status) in &plan.workloads {
        for target in &status.targets {
            started += target.instances as usize;
            let placement = Placement {
                workload: workload.clone(),
                revision: target.revision,
                instances: target.instances,
                ready: target.instances,
                requests: REQUESTS,
            };
            if let Some(host) = observed.hosts.get_mut(&target.host) {
                host.placements.push(placement);
            }
        }
    }
    started
}
