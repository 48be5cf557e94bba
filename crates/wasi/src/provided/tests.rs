#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeSet;

use reef_engine::{Engine, EngineConfig, Flavour};
use wasmtime::{Module, component::Component};

use super::{WASI_0_1, WASI_0_2, WASI_0_3};
use crate::{component_linker, module_linker};

fn links(engine: &Engine, flavour: Flavour, interface: &str) -> bool {
    let wasmtime = engine.wasmtime(flavour).unwrap();
    let text = format!("(component (import \"{interface}\" (instance)))");
    let binary = reef_artifact::Artifact::read(interface, text.into_bytes()).unwrap();
    let component = Component::from_binary(wasmtime, binary.bytes()).unwrap();
    component_linker(wasmtime, flavour).unwrap().instantiate_pre(&component).is_ok()
}

#[test]
fn every_interface_listed_is_there() {
    let engine = Engine::new(EngineConfig::default());
    for interface in WASI_0_2 {
        assert!(links(&engine, Flavour::Plain, interface), "{interface}");
        assert!(links(&engine, Flavour::Concurrent, interface), "{interface}");
        let old = interface.replace("0.2.12", "0.2.0");
        assert!(links(&engine, Flavour::Plain, &old), "{old}");
    }
    for interface in WASI_0_3 {
        assert!(links(&engine, Flavour::Concurrent, interface), "{interface}");
    }
    assert!(!links(&engine, Flavour::Concurrent, "wasi:nn/graph@0.2.0"));
}

#[test]
fn every_function_listed_is_there_and_no_other() {
    let engine = Engine::new(EngineConfig::default());
    let wasmtime = engine.wasmtime(Flavour::Plain).unwrap();
    let linker = module_linker(wasmtime).unwrap();
    for (module, extra) in [("wasi_snapshot_preview1", Some("sock_accept")), ("wasi_unstable", None)] {
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
    let module = Module::from_binary(wasmtime, binary.bytes()).unwrap();
    assert!(linker.instantiate_pre(&module).is_err());
}
