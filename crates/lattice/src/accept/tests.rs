#![allow(clippy::unwrap_used, reason = "tests")]

use std::time::Duration;

use proptest::prelude::*;
use reef_app::Manifest;
use reef_document::Source;
use reef_planner::{
    Amount, CanaryStep, Constraint, Gates, Packing, Resources, Rollout, Rules, Scale, Spread,
    Strategy, Topology,
};

use super::*;

fn manifest(text: &str) -> Application {
    let mut found = Diagnostics::default();
    let manifest = Manifest::parse(&Source::new("reef.toml", text)).unwrap();
    let application = manifest.application(None, &mut found);
    assert!(!found.has_errors(), "{found:?}\n{text}");
    application.unwrap()
}

fn digest(of: char) -> Digest {
    format!("sha256:{}", of.to_string().repeat(64)).parse().unwrap()
}

/// What is accepted with a manifest, all artifacts being `a`.
#[derive(Clone)]
struct Apply {
    manifest: String,
    values: BTreeMap<String, String>,
    files: Vec<File>,
    digests: BTreeMap<String, Digest>,
}

impl Apply {
    fn of(manifest: &str) -> Self {
        let application = self::manifest(manifest);
        let digests = application.workloads.iter();
        Self {
            manifest: manifest.to_owned(),
            values: BTreeMap::new(),
            files: Vec::new(),
            digests: digests.map(|one| (one.name.to_string(), digest('a'))).collect(),
        }
    }

    fn file(mut self, path: &str, of: char) -> Self {
        self.files.retain(|file| file.path != path);
        self.files.push(File { path: path.to_owned(), digest: digest(of), size: 1 });
        self
    }

    fn value(mut self, name: &str, value: &str) -> Self {
        self.values.insert(name.to_owned(), value.to_owned());
        self
    }

    fn with(mut self, from: &str, to: &str) -> Self {
        assert!(self.manifest.contains(from), "{from}");
        self.manifest = self.manifest.replace(from, to);
        self
    }

    fn artifact(mut self, workload: &str, of: char) -> Self {
        self.digests.insert(workload.to_owned(), digest(of));
        self
    }

    fn accept(&self, number: u64, previous: Option<&record::Revision>) -> record::Revision {
        let mut application = manifest(&self.manifest);
        let draft = Draft {
            number,
            application: &application,
            values: &self.values,
            files: &self.files,
            digests: &self.digests,
        };
        let workloads = workloads(&draft, previous).unwrap();
        for workload in &mut application.workloads {
            let digest = &self.digests[workload.name.as_str()];
            workload.digest = Some(digest.to_string().into());
        }
        record::Revision {
            number,
            application: serde_json::to_value(&application).unwrap(),
            values: self.values.clone(),
            files: self.files.clone(),
            workloads,
            autoscale: autoscale(&application),
            percentiles: percentiles(&application),
            manifest: None,
            by: None,
        }
    }
}

const SHOP: &str = r#"
name = "shop"
[variables.greeting]
default = "hello"
[variables.unused]
default = "x"

[[workload]]
name = "front"
source = "front.wasm"
trigger.http = { route = "/...", middleware = ["auth"] }
env = { GREET = "{{ greeting }}" }
files = [{ from = "pages/*.html", except = ["pages/draft.html"] }, { from = "data" }]
link = [
    { import = "acme:tax/rate", workload = "tax" },
    { import = "acme:jobs/run", workload = "jobs" },
    { import = "acme:pay/charge", workload = "charge", application = "pay", namespace = "money" },
]
scale = { reuse = 10, instances = 3 }

[[workload]]
name = "auth"
source = "auth.wasm"

[[workload]]
name = "tax"
source = "tax.wasm"

[[workload]]
name = "jobs"
source = "jobs.wasm"
trigger.timer.every = "10s"
"#;

#[test]
fn what_is_placed_by_itself_is_what_starts_or_has_a_scale() {
    let application = manifest(SHOP);
    let parts = Parts::of(&application);
    let placed: Vec<_> = parts.placed().map(|one| one.name.as_str()).collect();
    assert_eq!(placed, ["front", "jobs"]);
    let names = |name| parts_of(&application, name).iter().map(|one| one.to_string()).collect();
    let of: Vec<String> = names("front");
    assert_eq!(of, ["front", "auth", "tax"]);
    let of: Vec<String> = names("jobs");
    assert_eq!(of, ["jobs"]);

    let scaled = SHOP.replace("\"tax.wasm\"", "\"tax.wasm\"\nscale.instances = 2");
    let application = manifest(&scaled);
    let placed: Vec<_> = Parts::of(&application).placed().map(|one| one.name.to_string()).collect();
    assert_eq!(placed, ["front", "jobs", "tax"]);

    assert_eq!(
        references(&application),
        [Reference {
            from: "front".into(),
            namespace: "money".into(),
            application: "pay".into(),
            workload: "charge".into()
        }]
    );
}

#[test]
fn what_a_manifest_says_is_what_the_planner_is_told() {
    let apply = Apply::of(
        r#"
name = "shop"
[[workload]]
name = "front"
source = "front.wasm"
trigger.http.route = "/..."
limits = { memory = "64MiB", cpu = 0.25 }
[workload.scale]
instances = 6
require = [{ label = "arch", in = ["x86", "arm"] }, { label = "gpu", exists = false }]
prefer = [{ label = "disk", not-in = "hdd", weight = 10 }, { label = "fast", exists = true }]
topology = { label = "zone", required = true }
per-host = 4
packing = "bin-pack"
max-unavailable = "25%"
priority = -10
spread = [{ name = "east", labels = { region = "us-east" }, weight = 80 }, { labels = { region = "us-west" } }]
[workload.rollout]
strategy = "canary"
steps = [{ weight = 5, hold = "5m" }, { weight = 50, hold = "10m" }]
deadline = "1h"
gates = { max-error-rate = "0.5%", max-latency = "1500us", max-traps = 0, min-requests = 100 }

[[workload]]
name = "agent"
source = "agent.wasm"
scale.daemon = 2
rollout.max-unavailable = 1

[[workload]]
name = "elastic"
source = "elastic.wasm"
scale.auto = { max = 5, scale-to-zero = "5m", target = { concurrency = 2 } }
rollout = { strategy = "blue-green", hold = "1m" }
"#,
    );
    let planned = apply.accept(3, None).workloads;
    let id = |text: &str| Id::from(text);
    let revision = Revision {
        number: 3,
        digest: id(digest('a').as_str()),
        requests: Resources::new(64 << 20, 250),
    };
    let mut front = Workload::new(revision, Scale::Instances(6));
    front.rules = Rules {
        spread: vec![
            Spread {
                name: id("east"),
                requirements: [(id("region"), id("us-east"))].into(),
                weight: 80,
            },
            Spread {
                name: id("2"),
                requirements: [(id("region"), id("us-west"))].into(),
                weight: 100,
            },
        ],
        required: vec![
            Constraint::In(id("arch"), [id("x86"), id("arm")].into()),
            Constraint::Missing(id("gpu")),
        ],
        preferred: vec![
            (Constraint::NotIn(id("disk"), [id("hdd")].into()), 10),
            (Constraint::Exists(id("fast")), 1),
        ],
        topology: Some(Topology { label: id("zone"), max_skew: 1, required: true }),
        per_host: Some(4),
        packing: Packing::BinPack,
    };
    let step =
        |weight, minutes: u64| CanaryStep { weight, hold: Duration::from_secs(60 * minutes) };
    front.rollout = Rollout {
        strategy: Strategy::Canary { steps: vec![step(5, 5), step(50, 10)] },
        gates: Gates {
            max_errors_per_million: Some(5_000),
            max_latency_ms: Some(2),
            max_traps: Some(0),
            min_requests: 100,
        },
        deadline: Some(Duration::from_secs(3600)),
    };
    front.max_unavailable = Some(Amount::Percent(25));
    front.priority = -10;
    assert_eq!(planned["front"], front);

    let agent = &planned["agent"];
    assert_eq!(agent.scale, Scale::Daemon(2));
    assert_eq!(
        agent.rollout.strategy,
        Strategy::Rolling { max_unavailable: Amount::Count(1), max_surge: Amount::Percent(25) }
    );
    assert_eq!(agent.revision.requests, Resources::default());
    let elastic = &planned["elastic"];
    assert_eq!(elastic.scale, Scale::Instances(1));
    assert_eq!(elastic.rollout.strategy, Strategy::BlueGreen { hold: Duration::from_secs(60) });
    // What says nothing is what the planner does by itself.
    let plain = Apply::of("name = 'a'\n[[workload]]\nname = 'a'\nsource = 'a'\n").accept(1, None);
    let expected = Workload::new(plain.workloads["a"].revision.clone(), Scale::Instances(1));
    assert_eq!(plain.workloads["a"], expected);
}

#[test]
fn what_runs_is_touched_only_by_what_it_is_made_of() {
    let base = Apply::of(SHOP)
        .file("front.wasm", 'a')
        .file("pages/index.html", 'a')
        .file("pages/draft.html", 'a')
        .file("pages/deep/index.html", 'a')
        .file("data/one.txt", 'a')
        .file("database", 'a')
        .value("unused", "x");
    let first = base.accept(1, None);
    assert_eq!(first.workloads["front"].revision.number, 1);
    let b = || base.clone();
    for (what, changed, front, jobs) in [
        ("nothing", b(), 1, 1),
        ("how many", b().with("instances = 3", "instances = 9, per-host = 2"), 1, 1),
        (
            "a rollout",
            b().with("reuse = 10,", "priority = 3, reuse = 10,")
                .with("trigger.timer", "rollout.strategy = 'all-at-once'\ntrigger.timer"),
            1,
            1,
        ),
        (
            "words",
            b().with("name = \"shop\"", "name = \"shop\"\nversion = '2'")
                .with("name = \"tax\"", "name = \"tax\"\ndescription = 'Taxes'"),
            1,
            1,
        ),
        ("reuse", b().with("reuse = 10", "reuse = 11"), 2, 1),
        (
            "a limit",
            b().with(
                "reuse = 10",
                "reuse = 10 }\nlimits = { cpu = 1 }\nbuild = { command = 'make'",
            )
            .with(", instances = 3", ""),
            2,
            1,
        ),
        ("its artifact", b().artifact("front", 'b'), 2, 1),
        ("a part's artifact", b().artifact("tax", 'b'), 2, 1),
        ("its middleware", b().artifact("auth", 'b'), 2, 1),
        ("one that is linked and placed by itself", b().artifact("jobs", 'b'), 1, 2),
        ("a trigger", b().with("10s", "20s"), 1, 2),
        ("a value that it uses", b().value("greeting", "moin"), 2, 1),
        ("a default that it uses", b().with("\"hello\"", "\"moin\""), 2, 1),
        ("the same value, given", b().value("greeting", "hello"), 1, 1),
        ("a value that nobody uses", b().value("unused", "y"), 1, 1),
        (
            "where values come from",
            b().with(
                "[variables.unused]",
                "[[variable-source]]\nbackend = 'env'\nconfig.prefix = 'X_'\n[variables.unused]",
            ),
            2,
            1,
        ),
        ("a file that it sees", b().file("pages/index.html", 'b'), 2, 1),
        ("one that is left out", b().file("pages/draft.html", 'b'), 1, 1),
        ("one that the pattern is not of", b().file("pages/deep/index.html", 'b'), 1, 1),
        ("one in a folder that it sees", b().file("data/one.txt", 'b'), 2, 1),
        ("one more there", b().file("data/two/three.txt", 'b'), 2, 1),
        ("one whose name begins like that", b().file("database", 'b'), 1, 1),
        (
            "a link that goes elsewhere",
            b().with("namespace = \"money\"", "namespace = \"bank\""),
            2,
            1,
        ),
    ] {
        let second = changed.accept(2, Some(&first));
        let number = |name: &str| second.workloads[name].revision.number;
        assert_eq!((number("front"), number("jobs")), (front, jobs), "{what}");
        // What did not change keeps its number from then on, too.
        let third = changed.accept(3, Some(&second));
        assert_eq!(third.workloads["front"].revision.number, front, "{what}");
    }
    // One that was away and comes back is new.
    let gone = Apply::of("name = 'shop'\n[[response]]\nroute = '/'\n").accept(2, Some(&first));
    assert!(gone.workloads.is_empty());
    assert_eq!(base.accept(3, Some(&gone)).workloads["front"].revision.number, 3);
    // So is one beside a record that cannot be understood.
    let mut strange = first.clone();
    strange.application = serde_json::json!({ "name": 7, "workload": "none" });
    assert_eq!(base.accept(2, Some(&strange)).workloads["jobs"].revision.number, 2);
    let said = application(&strange).unwrap_err().to_string();
    assert!(said.contains("the manifest of revision 1 cannot be understood"), "{said}");
}

#[test]
fn what_is_missing_is_said() {
    let application = manifest(SHOP);
    let (values, digests) = (BTreeMap::new(), BTreeMap::new());
    let draft = Draft {
        number: 1,
        application: &application,
        values: &values,
        files: &[],
        digests: &digests,
    };
    let said: Vec<_> =
        workloads(&draft, None).unwrap_err().iter().map(ToString::to_string).collect();
    assert_eq!(said, ["the digest of `front` is not known", "the digest of `jobs` is not known"]);
}

#[test]
fn a_record_has_the_manifest_that_was_written() {
    let base = Apply::of(SHOP);
    let revision = base.accept(1, None);
    let mut expected = manifest(SHOP);
    for workload in &mut expected.workloads {
        workload.digest = Some(digest('a').to_string().into());
    }
    assert_eq!(application(&revision).unwrap(), expected);
    let kept = record::encode(&revision).unwrap();
    let read: record::Revision = record::decode("it", &kept).unwrap();
    assert_eq!(application(&read).unwrap(), expected);
}

#[test]
fn differences_are_told_in_words() {
    let base = Apply::of(SHOP).file("data/one.txt", 'a').value("greeting", "hello");
    let first = base.accept(1, None);
    assert_eq!(diff(&first, &first), Vec::new());
    let changed = base
        .with("instances = 3", "per-host = 2")
        .with("10s", "20s")
        .with("namespace = \"money\"", "namespace = \"bank\"")
        .with("name = \"auth\"", "name = \"login\"")
        .with("middleware = [\"auth\"]", "middleware = [\"login\"]")
        .artifact("jobs", 'b')
        .artifact("login", 'a')
        .file("data/one.txt", 'b')
        .value("greeting", "moin");
    let second = changed.accept(2, Some(&first));
    let said: Vec<_> = diff(&first, &second).iter().map(ToString::to_string).collect();
    let (a, b) = (digest('a'), digest('b'));
    assert_eq!(
        said,
        [
            "value of greeting: hello -> moin".to_owned(),
            format!("file data/one.txt: {a} -> {b}"),
            "front: link[acme:pay/charge].namespace: money -> bank".to_owned(),
            "front: scale.instances: gone, was 3".to_owned(),
            "front: scale.per-host: new, 2".to_owned(),
            "front: trigger.http.middleware: auth -> login".to_owned(),
            format!("jobs: digest: {a} -> {b}"),
            "jobs: trigger.timer.every: 10s -> 20s".to_owned(),
            "login: new, auth.wasm".to_owned(),
            "auth: gone, was auth.wasm".to_owned(),
        ]
    );
    let back = diff(&second, &first);
    assert_eq!(back.len(), said.len());
}

#[test]
fn secrets_are_not_kept() {
    let application = manifest(
        "name = 'a'\n[variables.open]\n[variables.token]\nsecret = true\n\
         [[workload]]\nname = 'a'\nsource = 'a'\ntrigger.http.route = '/'\n",
    );
    let given = |name: &str| BTreeMap::from([(name.to_owned(), "hunter2".to_owned())]);
    assert!(check_values(&application, &given("open")).is_ok());
    for (name, says, helps) in [
        ("token", "the secret `token` would be kept", "`[[variable-source]]`"),
        ("other", "there is no variable `other`", "`[variables.other]`"),
        ("", "there is no variable ``", "leave its value out"),
    ] {
        let wrong = check_values(&application, &given(name)).unwrap_err();
        let wrong = wrong.iter().next().unwrap();
        assert!(wrong.message().contains(says), "{wrong}");
        assert!(wrong.help_text().unwrap().contains(helps), "{wrong:?}");
        assert!(!format!("{wrong:?}").contains("hunter2"));
    }
}

proptest! {
    /// Whatever is linked to whatever: each workload runs by itself, or in one that does.
    #[test]
    fn nothing_is_left_out(
        links in proptest::collection::btree_set((0_usize..6, 0_usize..6), 0..12),
        middleware in proptest::collection::btree_set((0_usize..6, 0_usize..6), 0..6),
        starts in proptest::collection::btree_set(0_usize..6, 0..6),
        scaled in proptest::collection::btree_set(0_usize..6, 0..3),
    ) {
        let mut application = Application::new("a".parse().unwrap());
        for at in 0..6 {
            let name = format!("w{at}").parse().unwrap();
            let mut one = reef_app::Workload::new(name, reef_app::Source::File("a.wasm".into()));
            let before = middleware.iter().filter(|(from, to)| *from == at && from != to);
            let before: Vec<_> =
                before.map(|(_, to)| format!("w{to}").parse::<Name>().unwrap().into()).collect();
            if starts.contains(&at) || !before.is_empty() {
                let mut trigger = reef_app::HttpTrigger::at("/".parse().unwrap());
                trigger.middleware = before;
                one.trigger = reef_app::Triggers::http(vec![trigger]);
            }
            if scaled.contains(&at) {
                one.scale.instances = Some(1.into());
            }
            for (_, to) in links.iter().filter(|(from, _)| *from == at) {
                let mut link = reef_app::Link::of("wasi:http");
                link.workload = Some(format!("w{to}").parse::<Name>().unwrap().into());
                one.links.push(link);
            }
            application.workloads.push(one);
        }
        let parts = Parts::of(&application);
        let placed: Vec<_> = parts.placed().map(|one| one.name.as_str()).collect();
        let mut runs: Vec<_> =
            placed.iter().flat_map(|name| parts.all_of(name)).map(|one| one.name.as_str()).collect();
        runs.sort_unstable();
        runs.dedup();
        prop_assert_eq!(runs.len(), 6);
        for one in &application.workloads {
            let by_itself = placed.contains(&one.name.as_str());
            prop_assert!(by_itself || (one.trigger.is_empty() && !one.scale.is_placed()));
        }
        // What is a part by a link has no life of its own.
        for name in &placed {
            let all = parts.all_of(name);
            let middleware: Vec<_> = application
                .workloads
                .iter()
                .flat_map(|one| one.trigger.http.iter())
                .flat_map(|trigger| trigger.middleware.iter().map(|name| name.as_str()))
                .collect();
            for part in all.iter().skip(1) {
                let part = part.name.as_str();
                prop_assert!(!placed.contains(&part) || middleware.contains(&part));
            }
        }
    }
}
