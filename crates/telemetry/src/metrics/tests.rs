use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;
use reef_capability::{Failure, Gate, Operation, Policy};
use reef_meter::{Finished, Histogram, Meter};

use super::process::Stat;
use super::*;

/// Sample name and labels.
type Key = (String, BTreeMap<String, String>);

#[derive(Debug, Default, Clone, PartialEq)]
struct Parsed {
    kind: String,
    help: String,
    /// With the value as text.
    samples: Vec<(Key, String)>,
}

/// A reader of the text format, strict about what this crate writes.
fn parse(text: &str) -> BTreeMap<String, Parsed> {
    let mut families: BTreeMap<String, Parsed> = BTreeMap::new();
    let mut current = String::new();
    assert!(text.ends_with('\n'));
    for line in text.strip_suffix('\n').unwrap().split('\n') {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, help) = help.split_once(' ').unwrap();
            let help = help.replace("\\n", "\n").replace("\\\\", "\\");
            let fresh = Parsed { help, ..Parsed::default() };
            assert!(families.insert(name.to_owned(), fresh).is_none(), "{name} twice");
            current = name.to_owned();
        } else if let Some(kind) = line.strip_prefix("# TYPE ") {
            let (name, kind) = kind.split_once(' ').unwrap();
            assert_eq!(name, current);
            families.get_mut(name).unwrap().kind = kind.to_owned();
        } else {
            let (key, value) = parse_sample(line);
            assert!(key.0.starts_with(&current), "{line} in {current}");
            families.get_mut(&current).unwrap().samples.push((key, value));
        }
    }
    families
}

fn parse_sample(line: &str) -> (Key, String) {
    let end = line.find(['{', ' ']).unwrap();
    let (name, mut rest) = line.split_at(end);
    let mut labels = BTreeMap::new();
    if rest.starts_with('{') {
        loop {
            let (label, quoted) = rest[1..].split_once("=\"").unwrap();
            let mut value = String::new();
            let mut chars = quoted.char_indices();
            let closed = loop {
                match chars.next().unwrap() {
                    (at, '"') => break at,
                    (_, '\\') => value.push(match chars.next().unwrap().1 {
                        'n' => '\n',
                        c @ ('"' | '\\') => c,
                        c => panic!("escape of {c:?} in {line}"),
                    }),
                    (_, c) => value.push(c),
                }
            };
            assert!(labels.insert(label.to_owned(), value).is_none(), "{label} twice in {line}");
            rest = &quoted[closed + 1..];
            if let Some(after) = rest.strip_prefix('}') {
                rest = after;
                break;
            }
            assert!(rest.starts_with(','), "{line}");
        }
    }
    ((name.to_owned(), labels), rest.strip_prefix(' ').unwrap().to_owned())
}

fn label(name: &str, value: &str) -> BTreeMap<String, String> {
    BTreeMap::from([(name.to_owned(), value.to_owned())])
}

fn find<'a>(
    families: &'a BTreeMap<String, Parsed>,
    family: &str,
    name: &str,
    labels: &BTreeMap<String, String>,
) -> &'a str {
    let samples = &families[family].samples;
    &samples.iter().find(|((n, l), _)| n == name && l == labels).unwrap().1
}

proptest! {
    #[test]
    fn any_label_value_and_help_comes_back(values in prop::collection::hash_set(any::<String>(), 1..20)) {
        let mut family = Family::new("reef_x", Kind::Gauge, "a \\ and\na line");
        for (i, value) in values.iter().enumerate() {
            family.push(&[("first", "1"), ("value", value)], Value::Integer(i as u64));
        }
        let families = parse(&text::render(vec![family]));
        prop_assert_eq!(&families["reef_x"].help, "a \\ and\na line");
        for (i, value) in values.iter().enumerate() {
            let mut labels = label("value", value);
            labels.insert("first".to_owned(), "1".to_owned());
            prop_assert_eq!(find(&families, "reef_x", "reef_x", &labels), i.to_string());
        }
    }

    #[test]
    fn numbers_come_back(value in any::<f64>()) {
        let family = Family::new("reef_x", Kind::Gauge, "").with(&[], Value::Float(value));
        let families = parse(&text::render(vec![family]));
        let read: f64 = find(&families, "reef_x", "reef_x", &BTreeMap::new()).parse().unwrap();
        prop_assert!(read == value || read.is_nan() && value.is_nan());
    }

    #[test]
    fn histograms_are_cumulated(micros in prop::collection::vec(0_u64..100_000_000, 0..50)) {
        let histogram = Histogram::new();
        for micros in &micros {
            histogram.observe(Duration::from_micros(*micros));
        }
        let family = Family::new("reef_x_seconds", Kind::Histogram, "")
            .with(&[("workload", "a")], Value::Histogram(histogram.snapshot()));
        let families = parse(&text::render(vec![family]));
        let samples = &families["reef_x_seconds"].samples;
        let mut buckets = 0;
        for ((name, labels), count) in samples {
            if name == "reef_x_seconds_bucket" {
                let bound: f64 = labels["le"].parse().unwrap();
                let within = micros.iter().filter(|micros| **micros as f64 <= bound * 1e6 + 1e-3).count();
                prop_assert_eq!(count, &within.to_string());
                buckets += 1;
            }
        }
        prop_assert_eq!(buckets, reef_meter::BUCKETS);
        let workload = label("workload", "a");
        let count = find(&families, "reef_x_seconds", "reef_x_seconds_count", &workload);
        prop_assert_eq!(count, micros.len().to_string());
        let sum: f64 = find(&families, "reef_x_seconds", "reef_x_seconds_sum", &workload).parse().unwrap();
        prop_assert!((sum - micros.iter().sum::<u64>() as f64 / 1e6).abs() < 1e-6);
    }
}

#[test]
fn a_meter_is_shown_under_its_workload() {
    let meter = Meter::new();
    meter.begin();
    meter.finish(&Finished {
        status: Some(404),
        latency: Duration::from_millis(3),
        guest_cpu: Duration::from_millis(2),
    });
    meter.begin();
    meter.finish(&Finished {
        status: Some(502),
        latency: Duration::from_millis(4),
        guest_cpu: Duration::ZERO,
    });
    meter.trap();
    let metrics = Metrics::new();
    let snapshot = meter.snapshot();
    metrics.register(move |out| {
        workload_families(out, [("shop", snapshot.clone()), ("blog", Meter::new().snapshot())]);
    });
    let families = parse(&metrics.render());
    let shop = label("workload", "shop");
    let value = |family: &str, labels: &BTreeMap<String, String>| {
        find(&families, family, family, labels).to_owned()
    };
    assert_eq!(value("reef_requests_total", &shop), "2");
    assert_eq!(value("reef_requests_total", &label("workload", "blog")), "0");
    assert_eq!(value("reef_traps_total", &shop), "1");
    assert_eq!(value("reef_guest_cpu_seconds_total", &shop), "0.002");
    let mut class = shop.clone();
    class.insert("class".to_owned(), "4xx".to_owned());
    assert_eq!(value("reef_responses_total", &class), "1");
    let count = "reef_request_duration_seconds_count";
    let duration = |labels| find(&families, "reef_request_duration_seconds", count, labels);
    assert_eq!(duration(&shop), "1");
    let mut failed = shop.clone();
    failed.insert("error_type".to_owned(), "5xx".to_owned());
    assert_eq!(duration(&failed), "1", "those that failed are beside the others");
}

#[test]
fn names_follow_the_conventions() {
    let metrics = Metrics::new();
    metrics.register(|out| workload_families(out, [("a", Meter::new().snapshot())]));
    for (name, family) in parse(&metrics.render()) {
        assert_eq!(name.ends_with("_total"), family.kind == "counter", "{name}");
        assert!(family.kind != "histogram" || name.ends_with("_seconds"), "{name}");
        let ours = ["reef_", "process_"];
        assert!(ours.iter().any(|prefix| name.starts_with(prefix)), "{name}");
        assert!(name.bytes().all(|c| c.is_ascii_lowercase() || c == b'_'), "{name}");
        assert!(family.help.ends_with('.') && !family.samples.is_empty(), "{name}");
    }
}

#[test]
fn families_of_one_name_are_joined_and_of_two_kinds_counted() {
    let metrics = Metrics::new();
    let one = |kind, value: &'static str| {
        move |out: &mut Vec<Family>| {
            out.push(Family::new("reef_x", kind, "").with(&[("a", value)], Value::Integer(1)));
        }
    };
    metrics.register(one(Kind::Gauge, "1"));
    metrics.register(one(Kind::Gauge, "2"));
    metrics.register(one(Kind::Counter, "3"));
    let families = parse(&metrics.render());
    assert_eq!(families["reef_x"].samples.len(), 2);
    let dropped = "reef_metrics_samples_dropped";
    assert_eq!(find(&families, dropped, dropped, &BTreeMap::new()), "1");
}

#[test]
fn a_label_gone_wild_is_cut_off() {
    let mut family = Family::new("reef_x", Kind::Gauge, "");
    for i in 0..MAX_SAMPLES_PER_FAMILY + 7 {
        family.push(&[("path", &i.to_string())], Value::Integer(1));
    }
    let families = parse(&text::render(vec![family]));
    assert_eq!(families["reef_x"].samples.len(), MAX_SAMPLES_PER_FAMILY);
    let dropped = "reef_metrics_samples_dropped";
    assert_eq!(find(&families, dropped, dropped, &BTreeMap::new()), "7");
}

#[test]
fn this_process_has_sensible_numbers() {
    let families = parse(&Metrics::new().render());
    let value = |name: &str| find(&families, name, name, &BTreeMap::new()).parse::<f64>().unwrap();
    assert!(value("process_resident_memory_bytes") > 1e5);
    assert!(value("process_virtual_memory_bytes") >= value("process_resident_memory_bytes"));
    assert!(value("process_threads") >= 1.0);
    assert!(value("process_open_fds") >= 3.0);
    assert!(value("process_max_fds") >= value("process_open_fds"));
    assert!(value("process_cpu_seconds_total") >= 0.0);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let age = now.as_secs_f64() - value("process_start_time_seconds");
    assert!((-2.0..86_400.0).contains(&age), "{age} s old");
}

#[test]
fn a_program_name_may_contain_anything() {
    let stat = "7 (a) b (c) S 1 7 7 0 -1 4194560 91 0 0 0 11 5 0 0 20 0 3 0 4242 8192 21 18446744073709551615 1 1";
    let want = Stat {
        cpu_ticks: 16,
        threads: 3,
        start_ticks: 4242,
        virtual_bytes: 8192,
        resident_pages: 21,
    };
    assert_eq!(Stat::parse(stat), Some(want));
    assert_eq!(Stat::parse("7 (a"), None);
    assert_eq!(Stat::parse("7 (a) S 1"), None);
}

static GET: Operation = Operation::repeatable("get");
static PUBLISH: Operation = Operation::once("publish");

fn gate(workload: &str, capability: &'static str, system: &'static str) -> Gate {
    let operations = [&GET, &PUBLISH];
    Gate::new(workload.into(), "cache".into(), (capability, system), Policy::default(), &operations)
}

#[test]
fn uses_of_links_have_the_names_of_the_conventions() {
    let (store, again) = (gate("shop", "key-value", "redis"), gate("shop", "key-value", "redis"));
    let bus = gate("shop", "messaging", "nats");
    let unused = gate("blog", "key-value", "redis");
    store.note(&GET, Duration::from_millis(3), None);
    again.note(&GET, Duration::from_millis(4), Some(&Failure::Backend("no".into())));
    again.note(&GET, Duration::from_millis(4), Some(&Failure::Backend("no".into())));
    store.note(&GET, Duration::from_millis(4), Some(&Failure::Timeout(Duration::from_secs(1))));
    bus.note(&PUBLISH, Duration::from_millis(5), None);
    let mut out = Vec::new();
    gate_families(&mut out, [&store, &bus, &again, &unused].map(GateSnapshot::from));
    let families = parse(&text::render(out));

    let link = |more: &[(&str, &str)]| -> BTreeMap<String, String> {
        let all = [("reef_workload", "shop"), ("reef_link", "cache")];
        let all = all.iter().chain(more);
        all.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    };
    let of = [
        ("reef_capability", "key-value"),
        ("db_system_name", "redis"),
        ("db_operation_name", "get"),
    ];
    let name = "db_client_operation_duration_seconds";
    let value = |suffix: &str, error: Option<&'static str>| {
        let of: Vec<_> = of.into_iter().chain(error.map(|kind| ("error_type", kind))).collect();
        find(&families, name, &format!("{name}{suffix}"), &link(&of)).to_owned()
    };
    for (error, count, sum) in
        [(None, "1", "0.003"), (Some("backend"), "2", "0.008"), (Some("timeout"), "1", "0.004")]
    {
        assert_eq!(value("_count", error), count, "both gates of one name are one: {error:?}");
        assert_eq!(value("_sum", error), sum, "{error:?}");
    }
    let name = "messaging_client_operation_duration_seconds";
    let of = [
        ("reef_capability", "messaging"),
        ("messaging_system", "nats"),
        ("messaging_operation_name", "publish"),
    ];
    assert_eq!(find(&families, name, &format!("{name}_count"), &link(&of)), "1");
    let name = "reef_link_failures_total";
    for (kind, count) in [("backend", "2"), ("timeout", "1")] {
        let of = [("reef_capability", "key-value"), ("operation", "get"), ("error_type", kind)];
        assert_eq!(find(&families, name, name, &link(&of)), count, "{kind}");
    }
    assert_eq!(families[name].samples.len(), 2, "what did not happen is not shown");
}

#[test]
fn links_that_nobody_uses_add_nothing() {
    let mut out = Vec::new();
    gate_families(&mut out, [&gate("shop", "key-value", "redis")].map(GateSnapshot::from));
    assert_eq!(out, []);
}
