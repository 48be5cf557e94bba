//! What a manifest says of many hosts.

use super::*;

/// A workload that has it all.
const PLACED: &str = r#"
name = "shop"
namespace = "team-a"

[[workload]]
name = "front"
source = "front.wasm"
trigger.http.route = "/..."
limits = { memory = "64MiB", cpu = 0.25 }
link = [
    { import = "acme:pay/charge", workload = "charge", application = "pay", namespace = "money", idempotent = true },
    { import = "wasi:keyvalue", capability = "key-value", offline = "queue", merge = "first-writer" },
    { import = "wasmcloud:messaging", capability = "messaging", offline = "queue" },
]

[workload.scale]
reuse = 10
instances = 6
require = [{ label = "arch", in = ["x86", "arm"] }, { label = "gpu", exists = false }, { label = "os", not-in = "bsd" }]
prefer = [{ label = "disk", in = "ssd", weight = 10 }, { label = "fast", exists = true }]
topology = { label = "zone", max-skew = 2, required = true }
per-host = 4
packing = "bin-pack"
max-unavailable = "25%"
priority = -10
spread = [{ name = "east", labels = { region = "us-east" }, weight = 80 }, { name = "west", labels = { region = "us-west" } }]
auto = { min = 2, max = 20, target = { concurrency = 0.8 } }

[workload.rollout]
strategy = "canary"
steps = [{ weight = 5, hold = "5m" }, { weight = 50, hold = "10m" }]
deadline = "10m"
gates = { max-error-rate = "0.5%", max-latency = "250ms", percentile = 99.9, max-traps = 0, min-requests = 100 }

[[workload]]
name = "agent"
source = "agent.wasm"
trigger.timer.every = "10s"
scale = { daemon = 2, auto = { max = 3, target = { queue-time = "50ms" } } }
rollout = { max-unavailable = 1, max-surge = 0 }
"#;

fn placed() -> String {
    PLACED
        .replace("daemon = 2, auto = { max = 3, target = { queue-time = \"50ms\" } }", "daemon = 2")
}

#[test]
fn what_is_said_of_many_hosts_is_read_and_written_again() {
    let (application, said) = read(&placed(), None);
    assert_eq!(said, Vec::<String>::new());
    let application = application.unwrap();
    assert_eq!(application.namespace(), "team-a");
    let front = &application.workloads[0];
    let scale = &front.scale;
    assert_eq!(scale.require[0].holds(), Some(Holds::In(&["x86".to_owned(), "arm".to_owned()])));
    assert_eq!(scale.require[1].holds(), Some(Holds::Missing));
    assert_eq!(scale.require[2].holds(), Some(Holds::NotIn(&["bsd".to_owned()])));
    assert_eq!(scale.prefer[1].holds(), Some(Holds::Exists));
    assert_eq!(scale.max_unavailable.as_ref().map(|one| one.value.0), Some(Amount::Percent(25)));
    let auto = scale.auto.as_ref().unwrap();
    assert_eq!((auto.least(), auto.target.target()), (2, Some(Target::Concurrency(0.8))));
    let rollout = front.rollout.as_ref().unwrap();
    assert_eq!(rollout.strategy(), crate::Strategy::Canary);
    let gates = rollout.gates.as_ref().unwrap();
    assert_eq!(gates.max_error_rate.unwrap().millionths(), 5_000);
    assert_eq!(gates.percentile(), 99.9);
    assert!(front.links[0].own_workload().is_none());
    assert!(scale.is_placed() && !Scale { reuse: Some(1), ..Scale::default() }.is_placed());

    let text = toml::to_string(&application).unwrap();
    assert_eq!(read(&text, None), (Some(application), Vec::new()), "{text}");
}

#[test]
fn what_is_not_said_is_as_on_one_machine() {
    let (application, _) = read("name = 'a'\n[[workload]]\nname = 'a'\nsource = 'a'\n", None);
    let application = application.unwrap();
    assert_eq!(application.namespace(), "default");
    assert!(!application.workloads[0].scale.is_placed());
    assert_eq!(application.workloads[0].rollout, None);
}

#[test]
fn what_cannot_be_together_is_said_where_it_stands() {
    let workload =
        "name = 'a'\n[[workload]]\nname = 'a'\nsource = 'a.wasm'\ntrigger.http.route = '/'\n";
    let auto = |what: &str| format!("scale.auto = {{ max = 3, {what} }}");
    let target = "target = { concurrency = 1 }";
    for (line, says) in [
        // Placement.
        (
            "scale = { instances = 1, daemon = 1 }",
            "6:35: `a` has both `daemon` and `instances` (a daemon",
        ),
        (
            "scale = { daemon = 1, topology = { label = 'z' } }",
            "6:20: `a` has both `daemon` and `topology`",
        ),
        (
            "scale.instances = 2000000",
            "6:19: 2000000 instances are more than can be planned (write 1000000",
        ),
        (
            "scale.spread = [{ name = 'x', weight = 0 }, { name = 'y', weight = 0 }]",
            "6:40: the parts of the spread of `a` weigh nothing together",
        ),
        ("scale.spread = [{ weight = 4000000000 }]", "6:28: 4000000000 is no weight of a part"),
        (
            "scale.require = [{ label = 'z' }]",
            "6:28: the condition on `z` does not say one thing (write one of",
        ),
        ("scale.require = [{ label = 'z', in = [] }]", "6:28: the condition on `z` does not"),
        (
            "scale.require = [{ label = 'z', in = 'a', exists = true }]",
            "6:28: the condition on `z` does not",
        ),
        ("scale.require = [{ label = '', exists = true }]", "6:28: a label of hosts has a name"),
        (
            "scale.require = [{ label = 'z', in = 'a', weight = 2 }]",
            "6:52: what is required has no weight",
        ),
        (
            "scale.prefer = [{ label = 'z', in = 'a', weight = 101 }]",
            "6:51: 101 is no weight of a preference",
        ),
        ("scale.require = [{ label = 'z', equals = 'a' }]", "6:33: `equals` is not a known field"),
        ("scale.topology = { label = 'z', max-skew = 0 }", "6:44: `max-skew` is 1 at least"),
        ("scale.per-host = 0", "6:18: `a` may run on no host"),
        ("scale.packing = 'binpack'", "6:17: `binpack`"),
        ("scale.max-unavailable = '101%'", "6:25: 101% of the instances cannot be missing"),
        (
            "scale.max-unavailable = 'few'",
            "6:25: `few` is no number of instances: write `2`, or `25%`",
        ),
        // Autoscaling.
        (&auto(&format!("min = 4, {target}")), "6:31: `a` has at least 4 instances, and at most 3"),
        (
            &auto(&format!("min = 0, {target}")),
            "6:31: it is not said when there are to be no instances (add how",
        ),
        (
            &auto(&format!("min = 1, scale-to-zero = '5m', {target}")),
            "6:50: `a` has at least 1 instances, and none without work",
        ),
        (&auto("target = {}"), "6:34: the target does not say one thing (write one of"),
        (&auto("target = { concurrency = 0 }"), "6:34: the target does not say one thing"),
        (&auto("target = { metric = 'x' }"), "6:34: the target does not say one thing"),
        (&auto("target = { concurrency = 1, queue-time = '1s' }"), "6:34: the target does not"),
        (
            "scale = { instances = 9, auto = { max = 3, target = { concurrency = 1 } } }",
            "6:23: 9 instances are not between `min` and `max`",
        ),
        (
            "scale.auto = { max = 0, target = { concurrency = 1 } }",
            "6:22: `a` has at least 1 instances, and at most 0",
        ),
        // Rollouts.
        ("rollout.strategy = 'bluegreen'", "6:20: `bluegreen`"),
        (
            "rollout = { hold = '1m' }",
            "6:20: `hold` is of the strategy `blue-green`, not of `rolling` (write `strategy = \"blue-green\"`",
        ),
        (
            "rollout = { strategy = 'blue-green', max-surge = 1 }",
            "6:50: `max-surge` is of the strategy `rolling`, not of `blue-green`",
        ),
        (
            "rollout = { steps = [{ weight = 5, hold = '1m' }] }",
            "6:33: `steps` is of the strategy `canary`",
        ),
        ("rollout = { strategy = 'canary' }", "6:24: a canary has steps (write `steps = "),
        (
            "rollout = { strategy = 'canary', steps = [{ weight = 50, hold = '1m' }, { weight = 20, hold = '1m' }] }",
            "6:84: the steps do not rise: 20 comes after 50",
        ),
        (
            "rollout = { strategy = 'canary', steps = [{ weight = 101, hold = '1m' }] }",
            "6:54: 101 is no share of the traffic",
        ),
        (
            "rollout = { max-unavailable = 0, max-surge = '0%' }",
            "6:31: no instance may be missing, and none be beyond",
        ),
        ("rollout.gates.max-error-rate = 0.01", "6:32: `0.01` is no share: write it in percent"),
        ("rollout.gates.max-error-rate = '101%'", "6:32: `101%` is no share"),
        ("rollout.gates = { max-latency = '1s', percentile = 100 }", "6:52: 100 is no percentile"),
        (
            "rollout.gates = { percentile = 99 }",
            "6:32: there is no latency that the percentile is of",
        ),
        // Links.
        (
            "link = [{ import = 'a:b', workload = 'x', namespace = 'n' }]",
            "6:38: there is no workload `x`",
        ),
        ("link = [{ import = 'a:b', application = 'x' }]", "6:20: the link of `a:b` has 0 targets"),
        (
            "link = [{ import = 'a:b', workload = 'x', application = 'a' }]",
            "6:57: `a` is this application itself",
        ),
        (
            "link = [{ import = 'a:b', component = 'b.wasm', idempotent = true }]",
            "6:62: nothing of `a:b` is called on other hosts",
        ),
        (
            "link = [{ import = 'a:b', capability = 'sql', offline = 'queue' }]",
            "6:57: `a:b` cannot be kept while the host is cut off",
        ),
        (
            "link = [{ import = 'a:b', capability = 'messaging', offline = 'queue', merge = 'last-writer' }]",
            "6:80: nothing of `a:b` is merged",
        ),
    ] {
        let (application, said) = read(&format!("{workload}{line}\n"), None);
        assert_eq!(application, None, "{line}");
        assert!(said.iter().any(|said| said.starts_with(says)), "{line}: {said:?}");
    }
    let (_, said) = read(PLACED, None);
    assert!(said[0].contains("`agent` has both `daemon` and `auto`"), "{said:?}");
    // Not wrong, but not what happens.
    let twice = "scale.spread = [{ name = 'x' }, { name = 'x' }]";
    let (application, said) = read(&format!("{workload}{twice}"), None);
    assert!(application.is_some());
    assert!(said[0].starts_with("6:42: two parts of the spread of `a` are called `x`"), "{said:?}");
    let canary = "scale.daemon = 1\nrollout = { strategy = 'blue-green', hold = '1m' }\n";
    let (application, said) = read(&format!("{workload}{canary}"), None);
    assert!(application.is_some());
    assert!(said[0].contains("the daemon `a` is rolled out a few at a time"), "{said:?}");
}

#[test]
fn none_without_work_is_none_at_least() {
    let text = "name = 'a'\n[[workload]]\nname = 'a'\nsource = 'a'\ntrigger.http.route = '/'\n\
        scale.auto = { max = 3, scale-to-zero = '5m', target = { metric = 'jobs', value = 10 } }\n";
    let (application, said) = read(text, None);
    assert_eq!(said, Vec::<String>::new());
    let application = application.unwrap();
    let auto = application.workloads[0].scale.auto.as_ref().unwrap();
    assert_eq!((auto.least(), auto.target.target()), (0, Some(Target::Metric("jobs", 10.0))));
}

proptest! {
    #[test]
    fn amounts_are_written_as_they_are_read(number: u32, percent: bool) {
        let amount = if percent { Amount::Percent(number) } else { Amount::Count(number) };
        prop_assert_eq!(Amount::read(&amount.write()), Ok(amount));
    }

    /// Against arithmetic without a point.
    #[test]
    fn shares_are_exact(millionths in 0_u32..=1_000_000) {
        let text = format!("{}.{:04}%", millionths / 10_000, millionths % 10_000);
        let rate = Rate::read(&text).unwrap();
        prop_assert_eq!(rate.millionths(), millionths);
        prop_assert_eq!(Rate::read(&rate.write()), Ok(rate));
    }

    #[test]
    fn what_is_no_share_panics_nobody(text in "[0-9.%-]{0,9}") {
        if let Ok(rate) = Rate::read(&text) {
            prop_assert!(rate.millionths() <= 1_000_000);
        }
        let _ = Amount::read(&text);
    }
}
