#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::collections::BTreeSet;

use reef_engine::{Code, Engine, EngineConfig, Flavour};

use super::{WASI_0_1, WASI_0_2, WASI_0_3};
use crate::{Storage, link::packages_linker, module_linker};

/// One function or resource of each interface, by which its presence shows.
const ITEMS: &[(&str, &str)] = &[
    ("cli/environment", "get-environment"),
    ("cli/exit", "exit"),
    ("cli/stderr@0.2", "get-stderr"),
    ("cli/stderr@0.3", "write-via-stream"),
    ("cli/stdin@0.2", "get-stdin"),
    ("cli/stdin@0.3", "read-via-stream"),
    ("cli/stdout@0.2", "get-stdout"),
    ("cli/stdout@0.3", "write-via-stream"),
    ("cli/terminal-input", "terminal-input"),
    ("cli/terminal-output", "terminal-output"),
    ("cli/terminal-stderr", "get-terminal-stderr"),
    ("cli/terminal-stdin", "get-terminal-stdin"),
    ("cli/terminal-stdout", "get-terminal-stdout"),
    ("clocks/monotonic-clock", "now"),
    ("clocks/system-clock", "now"),
    ("clocks/wall-clock", "now"),
    ("filesystem/preopens", "get-directories"),
    ("filesystem/types", "descriptor"),
    ("http/client", "send"),
    ("http/handler", "handle"),
    ("http/outgoing-handler", "handle"),
    ("http/types", "fields"),
    ("io/error", "error"),
    ("io/poll", "poll"),
    ("io/streams", "input-stream"),
    ("random/insecure-seed@0.2", "insecure-seed"),
    ("random/insecure-seed@0.3", "get-insecure-seed"),
    ("random/insecure@", "get-insecure-random-u64"),
    ("random/random", "get-random-u64"),
    ("sockets/instance-network", "instance-network"),
    ("sockets/ip-name-lookup", "resolve-addresses"),
    ("sockets/network", "network"),
    ("sockets/tcp-create-socket", "create-tcp-socket"),
    ("sockets/tcp@", "tcp-socket"),
    ("sockets/types", "tcp-socket"),
    ("sockets/udp-create-socket", "create-udp-socket"),
    ("sockets/udp@", "udp-socket"),
];

/// A second definition is refused exactly where there is a first.
fn is_there(engine: &Engine, flavour: Flavour, interface: &str, item: &str) -> bool {
    let engine = engine.wasmtime(flavour).unwrap();
    let mut linker = packages_linker(engine, flavour, |_| true).unwrap();
    let mut instance = linker.instance(interface).unwrap();
    instance.func_wrap(item, |_, (): ()| Ok(())).is_err()
}

#[test]
fn every_interface_listed_is_there() {
    let engine = Engine::new(EngineConfig::default());
    for interface in WASI_0_2.iter().chain(WASI_0_3) {
        // Interfaces of types alone define nothing in a linker.
        if ["wasi:cli/types@0.3.0", "wasi:clocks/types@0.3.0"].contains(interface) {
            continue;
        }
        let (_, item) = ITEMS
            .iter()
            .find(|(part, _)| interface.contains(part))
            .unwrap_or_else(|| panic!("{interface} has no item to look for"));
        assert!(is_there(&engine, Flavour::Concurrent, interface, item), "{interface}");
        let newer = interface.contains("@0.3");
        assert_eq!(is_there(&engine, Flavour::Plain, interface, item), !newer, "{interface}");
    }
    for flavour in [Flavour::Plain, Flavour::Concurrent] {
        let consumer = "wasmcloud:messaging/consumer@0.2.0";
        assert!(is_there(&engine, flavour, consumer, "request"), "{flavour:?}");
    }
    assert!(!is_there(&engine, Flavour::Concurrent, "wasi:nn/graph@0.2.0", "load"));
}

/// The linker for a module that imports these functions, and whether it has all of them.
fn linked(engine: &Engine, module: &str, names: &BTreeSet<&str>) -> (BTreeSet<String>, bool) {
    let imports = names.iter().map(|name| format!(r#"(import "{module}" "{name}" (func))"#));
    let text = format!("(module {})", imports.collect::<String>());
    let artifact = reef_artifact::Artifact::read("it", text.into_bytes()).unwrap();
    let Code::Module(module) = engine.compile(&artifact, Flavour::Plain).unwrap() else {
        unreachable!()
    };
    let linker = module_linker(&module, Storage::Plain).unwrap();
    let mut store = wasmtime::Store::new(module.engine(), crate::guest::tests_guest());
    let found = linker.iter(&mut store).map(|(_, name, _)| name.to_owned()).collect();
    (found, linker.instantiate_pre(&module).is_ok())
}

#[test]
fn every_function_listed_is_there_and_no_other() {
    let engine = Engine::new(EngineConfig::default());
    for (module, extra) in
        [("wasi_snapshot_preview1", Some("sock_accept")), ("wasi_unstable", None)]
    {
        let listed: BTreeSet<&str> = WASI_0_1.iter().copied().chain(extra).collect();
        let (found, _) = linked(&engine, module, &listed);
        assert_eq!(found.iter().map(String::as_str).collect::<BTreeSet<_>>(), listed, "{module}");
        // A module that imports something else is refused.
        let (found, complete) = linked(&engine, module, &BTreeSet::from(["fd_fly"]));
        assert!(!found.contains("fd_fly") && !complete, "{module}");
    }
    // What a module does not import is not linked.
    let (found, complete) =
        linked(&engine, "wasi_snapshot_preview1", &BTreeSet::from(["sched_yield"]));
    assert_eq!(found.into_iter().collect::<Vec<_>>(), ["sched_yield"]);
    assert!(!complete, "its type is another");
}
