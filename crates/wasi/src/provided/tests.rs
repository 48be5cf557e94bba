#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::collections::BTreeSet;

use reef_engine::{Code, Engine, EngineConfig, Flavour};

use super::{WASI_0_1, WASI_0_2, WASI_0_3};
use crate::{component_linker, module_linker};

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
    let mut linker = component_linker(engine.wasmtime(flavour).unwrap(), flavour).unwrap();
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
    assert!(!is_there(&engine, Flavour::Concurrent, "wasi:nn/graph@0.2.0", "load"));
}

#[test]
fn every_function_listed_is_there_and_no_other() {
    let engine = Engine::new(EngineConfig::default());
    let wasmtime = engine.wasmtime(Flavour::Plain).unwrap();
    let linker = module_linker(wasmtime, true).unwrap();
    for (module, extra) in
        [("wasi_snapshot_preview1", Some("sock_accept")), ("wasi_unstable", None)]
    {
        let listed: BTreeSet<&str> = WASI_0_1.iter().copied().chain(extra).collect();
        let mut store = wasmtime::Store::new(wasmtime, crate::guest::tests_guest());
        let found: BTreeSet<String> = linker
            .iter(&mut store)
            .filter(|(from, _, _)| *from == module)
            .map(|(_, name, _)| name.to_owned())
            .collect();
        assert_eq!(found.iter().map(String::as_str).collect::<BTreeSet<_>>(), listed, "{module}");
    }
    // A module that imports something else is refused.
    let text = br#"(module (import "wasi_snapshot_preview1" "fd_fly" (func)))"#;
    let binary = reef_artifact::Artifact::read("fly", text.to_vec()).unwrap();
    let Code::Module(module) = engine.compile(&binary, Flavour::Plain).unwrap() else {
        unreachable!()
    };
    assert!(linker.instantiate_pre(&module).is_err());
}
