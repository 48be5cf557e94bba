#![allow(clippy::unwrap_used, reason = "tests")]

use proptest::prelude::*;
use reef_document::{Diagnostics, Source as Text};

use super::*;
use crate::text::Grammar;

mod lattice;

fn read(text: &str, profile: Option<&str>) -> (Option<Application>, Vec<String>) {
    let source = Text::new("reef.toml", text);
    let mut found = Diagnostics::default();
    let application = match Manifest::parse(&source) {
        Ok(manifest) => manifest.application(profile, &mut found),
        Err(wrong) => {
            found.extend(wrong);
            None
        }
    };
    let said = found.iter().map(|diagnostic| {
        let (line, column) = diagnostic.line_and_column().unwrap_or_default();
        let help = diagnostic.help_text().map(|help| format!(" ({help})")).unwrap_or_default();
        format!("{line}:{column}: {diagnostic}{help}")
    });
    (application, said.collect())
}

const WHOLE: &str = r#"
name = "shop"
version = "1.2.0"
description = "Sells things"

[variables.greeting]
default = "hello"
[variables.token]
description = "Of the payment service"
secret = true

[[variable-source]]
backend = "vault"
config = { url = "https://vault.example.com", path = "{{ greeting }}" }

[[workload]]
name = "auth"
source = "oci://ghcr.io/shop/auth:1.0"
digest = "sha256:0000000000000000000000000000000000000000000000000000000000000000"

[[workload]]
name = "front"
description = "What people see"
source = "front.wasm"
env = { TOKEN = "{{ token }}", GREET = "{{ greeting }}, you" }
dirs = ["./assets::/assets:ro"]
egress = ["pay.example.com:443", "{{ greeting }}:*"]
listen = ["127.0.0.1:0"]
limits = { deadline = "10s", memory = "64MiB", cpu = 0.5, requests = 100, queue-timeout = "1s" }
scale = { reuse = 10, concurrent = 4, idle = "1m" }
build = { command = "cargo build --release", watch = ["src/**"] }

[[workload.trigger.http]]
route = "/..."
middleware = ["auth"]

[[workload.trigger.http]]
route = "*.example.com/users/:id"

[[workload]]
name = "jobs"
source = "jobs.wasm"
config = { greeting = "{{ greeting }}" }
files = [{ from = "templates/*.html", except = ["templates/old-*"] }, { from = "data", to = "/data" }]
ready = { path = "/ready", within = "5s" }
labels = { team = "billing" }
trigger.start.args = ["migrate", "{{ greeting }}"]
trigger.service = { restarts = 3, window = "1m", backoff = "100ms" }
trigger.cron = { schedule = "*/5 * * * *", timezone = "Europe/Berlin", args = ["sweep"] }
trigger.timer.every = "10s"
trigger.tcp = { addr = "127.0.0.1:2323", idle = "1m" }
trigger.message = { subject = "orders.>", queue = "jobs" }
trigger.redis = { address = "redis://localhost", channel = "orders" }
trigger.mqtt = { address = "mqtt://localhost", topic = "orders/#", qos = 1 }
trigger.watch = [
    { store = "default", prefix = "order/", max-deliver = 3, backoff = "100ms" },
    { store = "default", key = "last", only = "set" },
]

[[workload.link]]
import = "wasi:http"
workload = "auth"
[[workload.link]]
import = "acme:math/add"
component = "math.wasm"
digest = "sha256:1111111111111111111111111111111111111111111111111111111111111111"
inherit = true
[[workload.link]]
import = "wasi:keyvalue"
capability = "key-value"
config = { bucket = "{{ greeting }}" }

[[static]]
route = "/assets/..."
dir = "public"
max-age = "1h"

[[redirect]]
route = "/old/..."
to = "/new/..."
status = 301

[[response]]
route = "/healthz"
body = "OK"
headers = { content-type = "text/plain" }

[profile.production]
version = "1.2.0-production"
[[profile.production.workload]]
name = "front"
limits = { cpu = 2 }
"#;

#[test]
fn the_common_case_is_short() {
    let text = "name = 'hello'\n[[workload]]\nname = 'hello'\nsource = 'hello.wasm'\n\
        trigger.http.route = '/...'\n";
    let (application, said) = read(text, None);
    assert_eq!(said, Vec::<String>::new());
    let application = application.unwrap();
    let [workload] = &application.workloads[..] else { unreachable!("one was written") };
    assert_eq!(workload.source.value, Source::File("hello.wasm".into()));
    assert_eq!(workload.trigger.http[0].route.to_string(), "/...");
    // Nothing is granted that was not written.
    assert!(workload.dirs.is_empty() && workload.env.is_empty() && workload.egress.is_empty());
}

#[test]
fn every_field_is_read_and_written_again() {
    let (application, said) = read(WHOLE, None);
    assert_eq!(said, Vec::<String>::new());
    let application = application.unwrap();
    let front = &application.workloads[1];
    assert_eq!(front.limits.cpu.unwrap().cores(), 0.5);
    assert_eq!(front.trigger.http[1].route.host(), Some("*.example.com"));
    let values = |name: &Name| (name.as_str() == "greeting").then_some("moin");
    assert_eq!(front.env["GREET"].resolve(values).unwrap(), "moin, you");
    assert!(front.env["TOKEN"].resolve(values).is_err());

    let text = toml::to_string(&application).unwrap();
    assert_eq!(read(&text, None), (Some(application), Vec::new()), "{text}");
}

#[test]
fn a_profile_changes_what_it_names_and_nothing_else() {
    let mut expected = read(WHOLE, None).0.unwrap();
    let (application, said) = read(WHOLE, Some("production"));
    assert_eq!(said, Vec::<String>::new());
    expected.version = Some("1.2.0-production".to_owned());
    expected.workloads[1].limits.cpu = Some("2".parse().unwrap());
    assert_eq!(application.unwrap(), expected);
    let (application, said) = read(WHOLE, Some("staging"));
    assert_eq!(application, None);
    assert_eq!(said, ["0:0: there is no profile `staging` (there is `production`)"]);
}

#[test]
fn what_is_wrong_is_said_where_it_is_and_all_at_once() {
    let (application, said) = read(
        r#"name = "shop"
colour = "red"
[variables.token]
secret = true
default = "hunter2"
[[workload]]
name = "one"
source = "one.wasm"
egress = ["example.com", "{{ nowhere }}:443"]
trigger.http.rout = "/"
trigger.http.route = "/users/:id"
[[workload]]
name = "one"
source = "two.wasm"
digest = "sha256:12"
env = { A = "{{ nothing }}" }
trigger.http = { route = "/users/:name", middleware = ["one", "gone"] }
[[workload]]
name = "three"
source = "three.wasm"
[[variable-source]]
backend = "file"
config = { path = "{{ no-path }}" }
"#,
        None,
    );
    assert_eq!(application, None);
    let starts = [
        "2:1: `colour` is not a known field (there is `description`, `labels`, `name`,",
        "3:12: the secret `token` has a default (a manifest holds no secrets",
        "9:11: \"example.com\" is not an egress destination: the port is missing",
        "9:26: there is no variable `nowhere` (declare it: `[variables.nowhere]`)",
        "10:14: `rout` is not a known field (did you mean `route`?)",
        "13:8: two workloads are called `one` (give one of them another name)",
        "15:10: `sha256:12` is not a digest",
        "16:13: there is no variable `nothing`",
        "17:26: `one` and `one` both have the route /users/:name",
        "17:56: `one` stands in front of itself",
        "17:63: there is no workload `gone`",
        "19:8: nothing starts `three` (give it a trigger: `trigger.http.route = \"/...\"`)",
        "23:19: there is no variable `no-path`",
    ];
    for (said, start) in said.iter().zip(starts) {
        assert!(said.starts_with(start), "{said}\nis not\n{start}");
    }
    assert_eq!(said.len(), starts.len(), "{said:#?}");
}

#[test]
fn each_value_says_how_it_is_written() {
    let workload = "name = 'a'\n[[workload]]\nname = 'a'\nsource = 'a.wasm'\n";
    for (line, start) in [
        ("name = '-a'", "5:1: duplicate key"),
        ("limits.deadline = 'soon'", "5:19: `soon` is not a duration; write 500ms"),
        ("limits.deadline = '0s'", "5:19: `0s` must be more than nothing"),
        ("limits.memory = 'much'", "5:17: `much` is not a size; write a number"),
        ("limits.memory = true", "5:17: text is expected here, not true or false"),
        ("limits.cpu = 0", "5:14: `0` is not a share of a processor"),
        ("dirs = ['::']", "5:9: `::` is not a directory grant"),
        ("listen = ['8080']", "5:11: `8080` is no address: write an address and a port"),
        ("trigger.http.route = 'example.com'", "5:22: `example.com` is not a path"),
        ("trigger.http.route = 'a b/'", "5:22: `a b` is not a host"),
        ("trigger.http.route = '/a/../b'", "5:22: `/a/../b` is not a path"),
        ("trigger.http.route = '/:a/:a'", "5:22: `:a` is there twice"),
        ("env.A = '{{ x'", "5:9: `{{` has no `}}`"),
        ("env.A = '{{ x y }}'", "5:9: `{{ x y }}` names no variable"),
    ] {
        let (application, said) = read(&format!("{workload}{line}\n"), None);
        assert_eq!(application, None, "{line}");
        assert!(said[0].starts_with(start), "{line}: {said:?}");
    }
    for (source, start) in
        [("ftp://a/b", "4:10: `ftp:` is not known"), ("", "4:10: a source is a file")]
    {
        let text = workload.replace("a.wasm", source);
        let (_, said) = read(&text, None);
        assert!(said[0].starts_with(start), "{said:?}");
    }
}

#[test]
fn the_published_schema_is_that_of_the_types() {
    let published = include_str!("../reef.schema.json");
    let schema = serde_json::to_string_pretty(&schema()).unwrap() + "\n";
    if std::env::var_os("REEF_WRITE_SCHEMA").is_some() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/reef.schema.json");
        std::fs::write(path, &schema).unwrap();
    } else {
        assert!(
            schema == published,
            "run this test with REEF_WRITE_SCHEMA=1, and look at the change"
        );
    }
}

proptest! {
    #[test]
    fn templates_are_written_as_they_are_read(
        parts in prop::collection::vec(prop_oneof!["[a-z{} ]{1,6}", Just("{{ a }}".to_owned())], 0..5)
    ) {
        if let Ok(template) = parts.concat().parse::<Template>() {
            prop_assert_eq!(template.to_string().parse::<Template>().unwrap(), template);
        }
    }

    #[test]
    fn a_literal_resolves_to_itself(text in "[a-z{} ]{0,12}") {
        let template = Template::literal(text.clone());
        prop_assert_eq!(template.resolve(|_| None).unwrap(), text.clone());
        let written: Template = template.to_string().parse().unwrap();
        prop_assert_eq!(written.resolve(|_| None).unwrap(), text);
    }

    #[test]
    fn sources_are_written_as_they_are_read(
        text in "((file|oci|bindle|https):(//)?){0,2}[a-z:/.+-]{0,16}"
    ) {
        if let Ok(source) = text.parse::<Source>() {
            prop_assert_eq!(source.to_string().parse::<Source>().unwrap(), source);
        }
    }

    #[test]
    fn routes_are_written_as_they_are_read(text in "([a-z.*]{0,8})(/(:?[a-z]{0,3}|\\.\\.\\.)){1,4}") {
        if let Ok(route) = text.parse::<Route>() {
            prop_assert_eq!(route.to_string(), text);
            prop_assert!(route.is_same(&route.to_string().parse().unwrap()));
        }
    }
}

#[test]
fn links_have_one_target_each_and_go_nowhere_in_circles() {
    let workload = |name: &str, link: &str| {
        format!("[[workload]]\nname = '{name}'\nsource = 'a.wasm'\n{link}\n")
    };
    let one = workload("one", "link = [{ import = 'acme:a/b', workload = 'two' }]");
    let two = workload("two", "link = [{ import = 'acme:a/b', workload = 'three' }]");
    let round = workload("three", "link = [{ import = 'acme:a/b', workload = 'one' }]");
    let (application, said) = read(&format!("name = 'a'\n{one}{two}{round}"), None);
    assert_eq!(application, None);
    assert!(said.iter().any(|line| line.contains("`one` is linked to itself")), "{said:?}");
    let (_, said) = read(&format!("name = 'a'\n{one}{two}"), None);
    assert!(said.join(" ").contains("there is no workload `three`"), "{said:?}");
    let both =
        workload("one", "link = [{ import = 'a:b/c', component = 'x.wasm', capability = 'y' }]");
    let (_, said) = read(&format!("name = 'a'\n{both}"), None);
    assert!(said.join(" ").contains("has 2 targets (give it one:"), "{said:?}");
    // What is composed into another needs no trigger.
    let part = workload("part", "").replace("a.wasm", "x.wasm");
    let whole =
        workload("whole", "link = [{ import = 'a:b/c', component = 'x.wasm', digest = '12' }]");
    let (_, said) = read(&format!("name = 'a'\n{part}{whole}"), None);
    assert!(said[0].contains("nothing starts `whole`") && said.len() == 2, "{said:?}");
    assert!(said[1].contains("`12` is not a digest"), "{said:?}");
}

#[test]
fn grants_that_a_part_has_not_are_told() {
    let user = "[[workload]]\nname = 'user'\nsource = 'a.wasm'\ntrigger.http.route = '/...'\n\
                link = [{ import = 'acme:a/b', workload = 'part'LINK }]\n";
    let part = "[[workload]]\nname = 'part'\nsource = 'b.wasm'\nenv = { A = '1' }\n\
                dirs = ['data::/data']\nconfig = { b = '2' }\nMORE\n";
    let said = |link: &str, more: &str| {
        let (user, part) = (user.replace("LINK", link), part.replace("MORE", more));
        read(&format!("name = 'a'\n{user}{part}"), None).1
    };
    let alone = said("", "");
    assert!(alone.len() == 1 && alone[0].contains("has no `env`, `dirs` there"), "{alone:?}");
    // With those of its user, by itself on a lattice, or where something else starts it.
    let fine = [
        (", inherit = true", ""),
        ("", "scale.instances = 1"),
        ("", "trigger.http.route = '/part'"),
    ];
    for (link, more) in fine {
        let none: [String; 0] = [];
        assert_eq!(said(link, more), none, "{link} {more}");
    }
}

proptest! {
    /// Against the definition: who comes to whom in any number of steps.
    #[test]
    fn circles_of_links_are_found(links in proptest::collection::btree_set((0_usize..6, 0_usize..6), 0..12)) {
        let mut comes = [[false; 6]; 6];
        links.iter().for_each(|(from, to)| comes[*from][*to] = true);
        for by in 0..6 {
            for (from, to) in (0..36).map(|at| (at / 6, at % 6)) {
                comes[from][to] |= comes[from][by] && comes[by][to];
            }
        }
        let circle = (0..6).any(|at| comes[at][at]);
        let workload = |at: usize| {
            let links = links.iter().filter(|(from, _)| *from == at);
            let links = links.map(|(_, to)| format!("{{ import = 'a:b', workload = 'w{to}' }}"));
            let links = links.collect::<Vec<_>>().join(", ");
            format!("[[workload]]\nname = 'w{at}'\nsource = 'a'\nlink = [{links}]\n")
        };
        let text = format!("name = 'a'\n{}", (0..6).map(workload).collect::<String>());
        let (_, said) = read(&text, None);
        let found = said.iter().any(|line| line.contains("is linked to itself"));
        prop_assert_eq!(found, circle, "{}", text);
    }
}

#[test]
fn whatever_answers_a_route_has_it_alone() {
    let text = "name = 'a'\n[[static]]\nroute = '/x/...'\ndir = 'public'\n\
        [[redirect]]\nroute = '/x/...'\nto = '//evil.example'\nstatus = 200\n";
    let (application, said) = read(text, None);
    assert_eq!(application, None);
    let all = said.join("\n");
    assert!(
        all.contains(
            "the files in public and the redirect to //evil.example both have the route /x/..."
        ),
        "{all}"
    );
    assert!(all.contains("200 is no status of a redirect"), "{all}");
    assert!(all.contains("`//evil.example` is no address to send somebody to"), "{all}");
}

#[test]
fn schedules_say_when() {
    let at = |text: &str| text.parse::<jiff::Zoned>().unwrap();
    let next = |schedule: &str, time: &str| {
        schedule.parse::<Schedule>().unwrap().after(&at(time)).map(|time| time.to_string())
    };
    let from = "2026-03-28T23:59:30[UTC]";
    assert_eq!(next("*/5 * * * *", from).unwrap(), "2026-03-29T00:00:00+00:00[UTC]");
    assert_eq!(next("*/10 * * * * *", from).unwrap(), "2026-03-28T23:59:40+00:00[UTC]");
    assert_eq!(next("@monthly", from).unwrap(), "2026-04-01T00:00:00+00:00[UTC]");
    for wrong in ["", "* * *", "61 * * * *", "a b c d e", &"* ".repeat(600)] {
        assert!(wrong.parse::<Schedule>().is_err(), "{wrong:?}");
    }
}

proptest! {
    /// Against the definition, token by token.
    #[test]
    fn subjects_match_as_nats_has_it(
        pattern in proptest::collection::vec("[ab*]", 1..4),
        rest: bool,
        subject in proptest::collection::vec("[ab]", 1..5),
    ) {
        let fixed = pattern.iter().zip(&subject).all(|(want, is)| want == "*" || want == is);
        let expected = fixed && if rest { subject.len() > pattern.len() } else { subject.len() == pattern.len() };
        let text = format!("{}{}", pattern.join("."), if rest { ".>" } else { "" });
        let parsed: Subject = text.parse().unwrap();
        prop_assert_eq!(parsed.matches(&subject.join(".")), expected);
        prop_assert_eq!(parsed.to_string(), text);
    }
}

#[test]
fn what_is_no_subject_is_refused() {
    for wrong in ["", ".", "a..b", "a.>.b", "a b", "a*", "a.", ">>"] {
        assert!(wrong.parse::<Subject>().is_err(), "{wrong:?}");
    }
}

#[test]
fn what_is_answered_without_a_guest_is_checked_where_it_stands() {
    for (text, says) in [
        ("[[redirect]]\nroute = '/o/:id'\nto = '/n/:id'", "4:6: `/n/:id` has a parameter"),
        ("[[redirect]]\nroute = '/o'\nto = 'n'", "4:6: `n` is no address"),
        ("[[response]]\nroute = '/'\nstatus = 304\nbody = 'x'", "5:8: a response of status 304"),
        (
            "[[response]]\nroute = '/'\nheaders = { 'Bad Name' = 'x' }",
            "4:13: `Bad Name` is no name",
        ),
        (
            "[[response]]\nroute = '/'\nheaders = { content-length = '1' }",
            "4:13: `content-length` is",
        ),
        (
            "[[response]]\nroute = '/'\nheaders = { x = \"a\\r\\nb\" }",
            "4:13: `x` is a header whose",
        ),
        ("[[static]]\nroute = '/...'\ndir = 'p'\nindex = '../x'", "5:9: `../x` is no file"),
        ("[[static]]\nroute = '/...'\ndir = 'p'\nfallback = '/x'", "5:12: `/x` is no file"),
    ] {
        let (application, said) = read(&format!("name = 'a'\n{text}\n"), None);
        assert_eq!(application, None, "{text}");
        assert!(said.len() == 1 && said[0].starts_with(says), "{text}: {said:?}");
    }
    let workload =
        "name = 'a'\n[[workload]]\nname = 'a'\nsource = 'a.wasm'\ntrigger.http.route = '/'\n";
    for (line, says) in [
        ("ready.path = 'no slash'", "6:14: `no slash` is no path of a request"),
        (
            "files = [{ from = '../../etc' }]",
            "6:19: `../../etc` leads out of the manifest's folder",
        ),
        ("env.A = \"a\\u0000b\"", "6:9: the value of `A` has a zero byte in it"),
    ] {
        let (application, said) = read(&format!("{workload}{line}\n"), None);
        assert_eq!(application, None, "{line}");
        assert!(said.len() == 1 && said[0].starts_with(says), "{line}: {said:?}");
    }
    let fine = "name = 'a'\n[[response]]\nroute = '/'\nstatus = 204\nheaders = { x = 'a\tb' }\n\
        [[redirect]]\nroute = '/o/...'\nto = 'https://example.com:8443/n/...'\n";
    assert_eq!(read(fine, None).1, Vec::<String>::new());
}
