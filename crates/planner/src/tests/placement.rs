use super::*;
use crate::{Packing, Policy, Quota, Reach, Schedule, plan};

const FOUR: [(&str, &str); 4] = [
    ("node1", "region=us-east-1 cloud=real"),
    ("node2", "region=us-east-2 cloud=real"),
    ("node3", "region=us-west-1 cloud=real"),
    ("node4", "region=us-west-2 cloud=real"),
];

fn overlapping() -> Rules {
    let spread = vec![
        part("eastcoast", "region=us-east-1", 25),
        part("westcoast", "region=us-west-1", 25),
        part("realcloud", "cloud=real", 50),
    ];
    Rules { spread, ..Rules::default() }
}

// See https://github.com/wasmCloud/wadm/issues/432: rules that overlap were reconciled for ever.
#[test]
fn overlapping_rules_are_solved_once() {
    let desired = desired(workload(12, overlapping()));
    let mut observed = hosts(&FOUR);
    let first = plan(&desired, &observed, NOW);
    assert_eq!(targets(&first), "node1:3 node2:3 node3:3 node4:3");
    let spread: Vec<_> = web(&first).spread.iter().map(|part| (part.wanted, part.placed)).collect();
    assert_eq!(spread, [(3, 3), (3, 3), (6, 6)]);
    reach(&mut observed, &first);
    assert_deployed(&plan(&desired, &observed, NOW));
}

#[test]
fn what_overlapping_rules_allow_is_left_as_it_is() {
    // Three count towards the coasts, and all the others towards the cloud, wherever they are.
    let desired = desired(workload(12, overlapping()));
    for counts in [[9, 0, 3, 0], [3, 0, 9, 0], [3, 6, 3, 0], [5, 1, 4, 2]] {
        let mut observed = hosts(&FOUR);
        run_web(&mut observed, &counts);
        assert_deployed(&plan(&desired, &observed, NOW));
    }
    // Of these, one belongs on the east coast.
    let mut observed = hosts(&FOUR);
    run_web(&mut observed, &[2, 5, 5, 0]);
    let plan = plan(&desired, &observed, NOW);
    assert_eq!(web(&plan).targets.iter().map(|one| one.instances).sum::<u32>(), 12);
    assert!(actions(&plan).contains(&"web revision 1 on node1: 2 -> 3".to_owned()), "{plan:#?}");
}

/// Runs so many instances of revision 1 on the hosts, in their order.
fn run_web(observed: &mut Observed, counts: &[u32]) {
    for (host, count) in observed.hosts.values_mut().zip(counts).filter(|(_, count)| **count > 0) {
        host.placements.push(Placement {
            workload: key("web"),
            revision: 1,
            instances: *count,
            ready: *count,
            requests: Resources::new(64 * MIB, 100),
        });
    }
}

#[test]
fn parts_that_only_fit_crosswise_all_fit() {
    // Each part has two hosts of three, and each host has room for one: only some of the choices work.
    let spread = vec![part("ab", "ab=y", 1), part("bc", "bc=y", 1), part("c", "c=y", 1)];
    let rules = Rules { spread, per_host: Some(1), ..Rules::default() };
    let observed = hosts(&[("a", "ab=y"), ("b", "ab=y bc=y"), ("c", "bc=y c=y")]);
    let plan = plan(&desired(workload(3, rules)), &observed, NOW);
    assert_eq!(targets(&plan), "a:1 b:1 c:1");
}

#[test]
fn a_part_without_hosts_says_so_and_the_others_are_placed() {
    let spread = vec![part("east", "zone=east", 1), part("west", "zone=west", 1)];
    let observed = hosts(&[("a", "zone=west"), ("b", "zone=north")]);
    let plan = plan(&desired(workload(4, Rules { spread, ..Rules::default() })), &observed, NOW);
    assert_eq!(targets(&plan), "a:2");
    assert_eq!(
        reasons(&plan),
        "2 instances have no host (spread east: zone=east): none of 2 hosts fits the rules; label some, or change the \
         rules"
    );
    assert_eq!(web(&plan).phase, Phase::Failed);
}

#[test]
fn instances_are_even_and_stay_when_a_host_joins() {
    let desired = desired(workload(7, Rules::default()));
    let mut observed = hosts(&[("a", ""), ("b", "")]);
    let first = plan(&desired, &observed, NOW);
    assert_eq!(targets(&first), "a:4 b:3");
    reach(&mut observed, &first);
    observed.hosts.extend(hosts(&[("c", "")]).hosts);
    assert_deployed(&plan(&desired, &observed, NOW));
}

#[test]
fn what_a_lost_host_ran_starts_elsewhere_and_nothing_else_moves() {
    let desired = desired(workload(9, Rules::default()));
    let mut observed = hosts(&[("a", ""), ("b", ""), ("c", "")]);
    let first = plan(&desired, &observed, NOW);
    reach(&mut observed, &first);
    if let Some(host) = observed.hosts.get_mut("b") {
        host.reach = Reach::Silent(NOW);
    }
    let silent = plan(&desired, &observed, NOW);
    assert!(silent.is_settled());
    assert_eq!(silent.wake, Some(NOW.after(Policy::default().grace)));
    assert_eq!(web(&silent).phase, Phase::Unhealthy);
    let lost = plan(&desired, &observed, silent.wake.unwrap_or_default());
    assert_eq!(actions(&lost), ["web revision 1 on a: 3 -> 5", "web revision 1 on c: 3 -> 4"]);
    // It comes back and runs what it ran: as many as are too many stop.
    reach(&mut observed, &lost);
    if let Some(host) = observed.hosts.get_mut("b") {
        host.reach = Reach::Reachable;
        host.placements =
            hosts(&[]).hosts.into_values().flat_map(|host: Host| host.placements).collect();
    }
    assert_deployed(&plan(&desired, &observed, NOW));
}

#[test]
fn hosts_are_filled_before_the_next_one_is_used() {
    let rules = Rules { packing: Packing::BinPack, ..Rules::default() };
    let observed = hosts(&[("a", ""), ("b", ""), ("c", "")]);
    let plan = plan(&desired(workload(25, rules)), &observed, NOW);
    assert_eq!(targets(&plan), "b:5 c:20");
}

#[test]
fn what_has_no_room_says_what_is_missing() {
    let mut observed = hosts(&[("a", ""), ("b", ""), ("c", ""), ("d", "")]);
    for (id, schedule) in [("a", Schedule::Cordoned), ("b", Schedule::Draining)] {
        if let Some(host) = observed.hosts.get_mut(id) {
            host.schedule = schedule;
        }
    }
    if let Some(host) = observed.hosts.get_mut("d") {
        host.capacity.cpu = 300;
    }
    let plan = plan(&desired(workload(30, Rules::default())), &observed, NOW);
    assert_eq!(targets(&plan), "c:20 d:3");
    assert_eq!(
        reasons(&plan),
        "7 instances have no host: of 4 hosts that fit the rules, 2 are cordoned or drained, 1 lack memory (64MiB are \
         asked for), 1 lack CPU (0.1 cores are asked for)"
    );
    assert_eq!(actions(&plan).last().map(String::as_str), Some("let b leave"));
}

#[test]
fn required_domains_are_even_and_hold_each_other_back() {
    let rules = Rules { topology: zones(1, true), ..Rules::default() };
    let mut observed = hosts(&[("a", "zone=a"), ("b", "zone=b"), ("c", "zone=c"), ("x", "")]);
    let whole = plan(&desired(workload(7, rules.clone())), &observed, NOW);
    assert_eq!(targets(&whole), "a:3 b:2 c:2");
    if let Some(host) = observed.hosts.get_mut("b") {
        host.capacity.memory = 64 * MIB;
    }
    let plan = plan(&desired(workload(7, rules)), &observed, NOW);
    assert_eq!(targets(&plan), "a:2 b:1 c:2");
    assert_eq!(
        reasons(&plan),
        "2 instances have no host: of 3 hosts that fit the rules, 1 lack memory (64MiB are asked for), 2 are in a \
         failure domain too far ahead of the emptiest; b is the emptiest"
    );
}

#[test]
fn a_domain_that_comes_back_is_used_again_only_where_that_is_required() {
    for (required, expected) in [(true, "a:2 b:1 c:2"), (false, "a:3 c:2")] {
        let rules = Rules { topology: zones(1, required), ..Rules::default() };
        let mut observed = hosts(&[("a", "zone=a"), ("b", "zone=b"), ("c", "zone=c")]);
        run_web(&mut observed, &[3, 0, 2]);
        let plan = plan(&desired(workload(5, rules)), &observed, NOW);
        let sorted = targets(&plan);
        if required {
            assert_eq!(sorted.len(), expected.len(), "{sorted}");
            assert!(sorted.contains("b:1") || sorted.contains("b:2"), "{sorted}");
        } else {
            assert_eq!(sorted, expected);
        }
    }
}

#[test]
fn preferences_are_for_what_is_new() {
    let rules = Rules {
        preferred: vec![(one_of("disk", &["ssd"]), 10)],
        required: vec![one_of("arch", &["arm", "amd"])],
        ..Rules::default()
    };
    let mut observed = hosts(&[
        ("a", "arch=arm"),
        ("b", "arch=amd disk=ssd"),
        ("c", "arch=amd"),
        ("d", "disk=ssd"),
    ]);
    let desired = desired(workload(4, rules));
    assert_eq!(targets(&plan(&desired, &observed, NOW)), "b:4");
    run_web(&mut observed, &[2, 0, 1]);
    assert_eq!(targets(&plan(&desired, &observed, NOW)), "a:2 b:1 c:1");
}

#[test]
fn a_label_that_goes_takes_the_instances_with_it() {
    let rules = Rules { required: vec![one_of("zone", &["a"])], ..Rules::default() };
    let mut observed = hosts(&[("a", "zone=a"), ("b", "zone=b")]);
    run_web(&mut observed, &[0, 4]);
    let plan = plan(&desired(workload(4, rules)), &observed, NOW);
    // One beyond those that are wanted, and nothing stops before it is ready.
    assert_eq!(actions(&plan), ["web revision 1 on a: 0 -> 1"]);
    assert_eq!(targets(&plan), "a:4");
}

#[test]
fn a_drain_starts_the_new_before_the_old_stops_unless_the_budget_allows_otherwise() {
    let mut observed = hosts(&[("a", ""), ("b", "")]);
    run_web(&mut observed, &[4, 0]);
    if let Some(host) = observed.hosts.get_mut("a") {
        host.schedule = Schedule::Draining;
    }
    let mut one = workload(4, Rules::default());
    assert_eq!(
        actions(&plan(&desired(one.clone()), &observed, NOW)),
        ["web revision 1 on b: 0 -> 1"]
    );
    one.max_unavailable = Some(crate::Amount::Count(2));
    assert_eq!(
        actions(&plan(&desired(one), &observed, NOW)),
        ["web revision 1 on b: 0 -> 1", "web revision 1 on a: 4 -> 2"]
    );
}

#[test]
fn a_daemon_is_on_each_host_that_fits_and_takes_what_is_not_closed() {
    let mut daemon = workload(0, Rules::default());
    daemon.scale = Scale::Daemon(2);
    daemon.rules.spread = vec![part("a", "zone=a", 1), part("all", "kind=edge", 1)];
    let mut observed =
        hosts(&[("a", "zone=a kind=edge"), ("b", "kind=edge"), ("c", "zone=c"), ("d", "zone=a")]);
    if let Some(host) = observed.hosts.get_mut("d") {
        host.capacity.memory = 64 * MIB;
    }
    let first = plan(&desired(daemon.clone()), &observed, NOW);
    assert_eq!(targets(&first), "a:2 b:2 d:1");
    assert!(reasons(&first).starts_with("1 hosts, among them d, have no room"), "{first:#?}");
    observed.hosts.remove("d");
    if let Some(host) = observed.hosts.get_mut("b") {
        host.schedule = Schedule::Cordoned;
    }
    let first = plan(&desired(daemon.clone()), &observed, NOW);
    assert_eq!(targets(&first), "a:2");
    reach(&mut observed, &first);
    assert_deployed(&plan(&desired(daemon), &observed, NOW));
}

#[test]
fn a_quota_is_given_in_order() {
    let mut desired = desired(workload(4, Rules::default()));
    let late = Workload { accepted: 1, ..workload(4, Rules::default()) };
    desired.workloads.insert(key("another"), late);
    let quota = Quota { instances: Some(6), ..Quota::default() };
    desired.quotas.insert("default".into(), quota);
    let mut observed = hosts(&[("a", "")]);
    let first = plan(&desired, &observed, NOW);
    assert_eq!(web(&first).phase, Phase::Reconciling);
    assert_eq!(
        first.workloads[&key("another")].reasons[0].to_string(),
        "2 instances are left out: the quota of namespace default is 6 instances, and all of it is given: raise it, or \
         scale something down"
    );
    reach(&mut observed, &first);
    let second = plan(&desired, &observed, NOW);
    assert!(second.is_settled());
    assert_eq!(second.workloads[&key("another")].phase, Phase::Waiting);
    let memory = Quota { memory: Some(5 * 64 * MIB), ..Quota::default() };
    desired.quotas.insert("default".into(), memory);
    let third = plan(&desired, &observed, NOW);
    let reason = third.workloads[&key("another")].reasons[0].to_string();
    assert!(reason.starts_with("3 instances") && reason.contains("320MiB of memory"), "{reason}");
}

#[test]
fn what_nobody_wants_stops() {
    let mut observed = hosts(&[("a", ""), ("b", "")]);
    run_web(&mut observed, &[2, 1]);
    let plan = plan(&Desired::default(), &observed, NOW);
    assert_eq!(actions(&plan), ["web revision 1 on a: 2 -> 0", "web revision 1 on b: 1 -> 0"]);
    assert_eq!(web(&plan).phase, Phase::Undeployed);
}

#[test]
fn more_than_any_host_could_have_is_a_reason_and_takes_no_time() {
    let mut one = workload(u32::MAX, Rules::default());
    one.revision.requests = Resources::default();
    one.rules.spread = vec![part("a", "", u32::MAX), part("b", "", u32::MAX)];
    let observed = hosts(&[("a", ""), ("b", "")]);
    let plan = plan(&desired(one), &observed, NOW);
    assert!(reasons(&plan).contains("1000000 are the most"), "{}", reasons(&plan));
    assert_eq!(web(&plan).targets.iter().map(|one| one.instances).sum::<u32>(), 1_000_000);
}

#[test]
fn there_are_no_hosts() {
    let plan = plan(&desired(workload(1, Rules::default())), &Observed::default(), NOW);
    assert_eq!(reasons(&plan), "1 instances have no host: there are no hosts; start one");
}

#[test]
fn what_goes_in_can_be_written_and_read() -> Result<(), serde_json::Error> {
    let desired = desired(workload(2, overlapping()));
    let mut observed = hosts(&FOUR);
    run_web(&mut observed, &[1, 1]);
    let read: Desired = serde_json::from_str(&serde_json::to_string(&desired)?)?;
    assert_eq!(read, desired);
    let read: Observed = serde_json::from_str(&serde_json::to_string(&observed)?)?;
    assert_eq!(read, observed);
    Ok(())
}
