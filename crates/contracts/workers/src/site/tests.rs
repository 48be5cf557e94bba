#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use proptest::prelude::*;

use super::*;

/// `file: routes`, one line for each worker.
fn routes(files: &[&str]) -> String {
    let site = Site::of(files);
    assert_eq!(site.faults, [], "{files:?}");
    let line = |worker: &Worker| {
        let routes: Vec<_> = worker.routes.iter().map(Route::to_string).collect();
        format!("{}: {}\n", worker.file, routes.join(" "))
    };
    site.workers.iter().map(line).collect()
}

fn found(site: &Site, path: &str) -> String {
    match site.find(path) {
        Some((worker, parameters)) => {
            let values = parameters.iter().map(|(name, value)| format!(" {name}={value}"));
            format!("{}{}", worker.file, values.collect::<String>())
        }
        None => "nothing".to_owned(),
    }
}

/// The router that routes are made for, in its plainest form: what is written out before parameters,
/// from the left; then the longest route that takes what is below.
fn routed<'s>(site: &'s Site, path: &str) -> Option<&'s Worker> {
    fn below<'s>(
        all: &[(Route, &'s Worker)],
        taken: &str,
        rest: Option<&str>,
    ) -> Option<&'s Worker> {
        let exactly = |path: &str| {
            let wanted = if path.is_empty() { "/" } else { path };
            all.iter().find(|(route, _)| plain(route) == wanted).map(|(_, worker)| *worker)
        };
        let prefix = || exactly(&format!("{taken}/..."));
        let Some(rest) = rest else { return exactly(taken).or_else(prefix) };
        let (segment, after) = match rest.split_once('/') {
            Some((segment, after)) => (segment, Some(after)),
            None => (rest, None),
        };
        below(all, &format!("{taken}/{segment}"), after)
            .or_else(|| below(all, &format!("{taken}/:"), after))
            .or_else(prefix)
    }
    fn plain(route: &Route) -> String {
        let path = route.path();
        let parts = path.split('/').map(|part| if part.starts_with(':') { ":" } else { part });
        parts.collect::<Vec<_>>().join("/")
    }
    let all: Vec<(Route, &Worker)> = site
        .workers
        .iter()
        .flat_map(|worker| worker.routes.iter().map(move |route| (route.clone(), worker)))
        .collect();
    match path {
        "/" => {
            all.iter().find(|(route, _)| plain(route) == "/").map(|(_, worker)| *worker).or_else(
                || all.iter().find(|(route, _)| plain(route) == "/...").map(|(_, worker)| *worker),
            )
        }
        path => below(&all, "", path.strip_prefix('/')),
    }
}

#[test]
fn index_is_the_folder_itself() {
    let expected = "\
index.js: /
examples/api/handler.wasm: /examples/api/handler
examples/api/index.wasm: /examples/api
examples/index.py: /examples
";
    let files =
        ["examples/index.py", "examples/api/index.wasm", "examples/api/handler.wasm", "index.js"];
    let mut lines: Vec<_> = routes(&files).lines().map(str::to_owned).collect();
    let mut wanted: Vec<_> = expected.lines().map(str::to_owned).collect();
    lines.sort();
    wanted.sort();
    assert_eq!(lines, wanted);
    // A folder of that name too, and only the last ending goes.
    assert_eq!(routes(&["index/index/a.b.js"]), "index/index/a.b.js: /a.b\n");
}

#[test]
fn the_first_pattern_that_takes_a_path_answers() {
    let site = Site::of([
        "[id].wasm",
        "[id]/fixed.wasm",
        "[id]/sub.wasm",
        "fixed.wasm",
        "sub/[...all].wasm",
        "sub/[id].wasm",
        "sub/sub/[...all].wasm",
    ]);
    assert_eq!(site.faults, []);
    let cases = [
        ("/any", "[id].wasm id=any"),
        ("/fixed", "fixed.wasm"),
        ("/any/fixed", "[id]/fixed.wasm id=any"),
        ("/any/sub", "[id]/sub.wasm id=any"),
        ("/sub", "[id].wasm id=sub"),
        ("/sub/any", "sub/[id].wasm id=any"),
        ("/sub/fixed", "sub/[id].wasm id=fixed"),
        ("/sub/any/catch/all/routes", "sub/[...all].wasm all=any/catch/all/routes"),
        ("/sub/sub/any/catch/all/routes", "sub/sub/[...all].wasm all=any/catch/all/routes"),
        ("/donot/exist", "nothing"),
        ("/", "nothing"),
    ];
    for (path, expected) in cases {
        assert_eq!(found(&site, path), expected, "{path}");
        let routed = routed(&site, path).filter(|worker| worker.parameters(path).is_some());
        assert_eq!(routed.map_or("nothing", |one| &one.file), expected.split(' ').next().unwrap());
    }
}

#[test]
fn a_worker_keeps_its_paths_from_a_catch_all() {
    let expected = "\
[x]/[y].js: /:x/:y /a/:y
a/[...rest].js: /a/...
";
    assert_eq!(routes(&["a/[...rest].js", "[x]/[y].js"]), expected);
    // Names that meet do not stand in the way.
    let site = Site::of(["[y]/[x]/[...r].js", "[x]/[...r].js"]);
    assert_eq!(found(&site, "/a/b"), "[x]/[...r].js r=b x=a");
    assert_eq!(routed(&site, "/a/b").unwrap().file, "[x]/[...r].js");
    // The folder of a catch-all is not the catch-all's.
    assert_eq!(
        routes(&["a/[...rest].js", "[...all].js"]),
        "a/[...rest].js: /a/...\n[...all].js: /... /a\n"
    );
}

#[test]
fn what_is_no_worker_says_why() {
    let files = [
        "index.js",
        "index.toml",
        "other.toml",
        "_index.js",
        "_libs/a.py",
        ".git/hooks/x.py",
        ".wws/a.js",
        ".wws.toml",
        ".well-known/a.js",
        "public/a.js",
        "public.js",
        "examples/public/a.js",
        "node_modules/x/a.js",
        "shop.php",
        "README",
        "a.txt",
    ];
    let site = Site::of(files);
    let workers: Vec<_> = site.workers.iter().map(|worker| &*worker.file).collect();
    assert_eq!(workers, ["index.js", "public.js", ".well-known/a.js"]);
    assert_eq!(site.workers[0].settings.as_deref(), Some("index.toml"));
    assert_eq!(site.public, ["public/a.js"]);
    let reason = |file: &str| site.skipped.iter().find(|one| one.file == file).unwrap().reason;
    for (file, expected) in [
        ("index.toml", Reason::Settings),
        ("other.toml", Reason::Ending),
        ("_index.js", Reason::Underscore),
        ("_libs/a.py", Reason::Underscore),
        (".git/hooks/x.py", Reason::Hidden),
        (".wws/a.js", Reason::Hidden),
        ("examples/public/a.js", Reason::InnerPublic),
        ("node_modules/x/a.js", Reason::Packages),
        ("shop.php", Reason::Pending("PHP")),
        ("README", Reason::Ending),
    ] {
        assert_eq!(reason(file), expected, "{file}");
    }
    assert_eq!(files.len(), 3 + 1 + site.skipped.len());
}

#[test]
fn two_workers_at_one_route_are_named() {
    let message = |files: &[&str]| {
        let site = Site::of(files);
        assert_eq!((site.workers.len(), site.faults.len()), (1, 1), "{files:?}");
        site.faults[0].to_string()
    };
    let about = message(&["about/index.js", "about.py"]);
    assert!(about.starts_with("about.py and about/index.js both answer at /about:"), "{about}");
    let user = message(&["[id].js", "[name].js"]);
    assert!(user.starts_with("[id].js and [name].js both answer at /:id:"), "{user}");
    message(&["a/[...x].js", "a/[...y]/index.js"]);
}

#[test]
fn a_file_that_is_not_in_the_folder_is_a_fault() {
    for file in ["../a.js", "/a.js", "a//b.js", "a/./b.js", ""] {
        assert_eq!(Site::of([file]).faults, [Fault::Outside(file.to_owned())]);
    }
}

#[test]
fn a_folder_made_to_multiply_routes_is_bounded() {
    let mut files = Vec::new();
    for at in 0..200 {
        files.push(format!("a{at}/[...rest].js"));
        files.push(format!("[x]/b{at}.js"));
    }
    let site = Site::of(&files);
    assert_eq!(site.faults, [Fault::TooMany]);
    assert!(site.workers.is_empty());
}

#[test]
fn a_normal_path_has_single_slashes() {
    for (path, normal) in [("/", "/"), ("", "/"), ("//", "/"), ("/a//b/", "/a/b"), ("/a", "/a")] {
        assert_eq!(Site::normal(path), normal);
    }
}

fn files() -> impl Strategy<Value = Vec<String>> {
    let segment = prop::sample::select(vec!["a", "b", "c", "[x]", "[y]", "[z]", "index"]);
    let last = prop::sample::select(vec!["a", "b", "[w]", "index", "[...r]"]);
    let file = (prop::collection::vec(segment, 0..4), last).prop_map(|(mut parts, last)| {
        parts.push(last);
        format!("{}.js", parts.join("/"))
    });
    prop::collection::vec(file, 1..9)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    /// A router that is given the routes finds the worker that the order of the patterns says.
    #[test]
    fn a_router_finds_the_same(
        files in files(),
        paths in prop::collection::vec(
            prop::collection::vec(prop::sample::select(vec!["a", "b", "c", "q"]), 0..6), 1..20),
    ) {
        let site = Site::of(&files);
        for path in paths {
            let path = format!("/{}", path.join("/"));
            let expected = site.find(&path).map(|(worker, _)| &worker.file);
            let routed = routed(&site, &path).filter(|worker| worker.parameters(&path).is_some());
            prop_assert_eq!(routed.map(|worker| &worker.file), expected, "{} of {:#?}", path, site.workers);
        }
    }

    /// Any names: no worker is at two places, and none is lost.
    #[test]
    fn every_file_is_accounted_for(files in prop::collection::btree_set("[a-c._\\[\\]/:é %]{1,12}(\\.js)?", 0..12)) {
        let site = Site::of(&files);
        let count = site.workers.len() + site.public.len() + site.skipped.len() + site.faults.len();
        prop_assert_eq!(count, files.len());
        for worker in &site.workers {
            prop_assert!(!worker.routes.is_empty(), "{}", worker.file);
        }
    }
}
