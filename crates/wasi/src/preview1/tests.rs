#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeMap;

use reef_engine::{Engine, EngineConfig, Flavour};
use wasmtime::{ExternType, Store};

use super::*;

fn types(linker: &Linker<ModuleGuest>) -> BTreeMap<String, String> {
    let mut store = Store::new(linker.engine(), crate::guest::tests_guest());
    let found: Vec<_> =
        linker.iter(&mut store).map(|(_, name, item)| (name.to_owned(), item)).collect();
    found
        .into_iter()
        .map(|(name, item)| match item.ty(&store) {
            ExternType::Func(ty) => (name, ty.to_string()),
            _ => unreachable!("only functions are defined"),
        })
        .collect()
}

#[test]
fn every_function_is_wasmtimes_own_by_name_and_type() {
    let engine = Engine::new(EngineConfig::default());
    let engine = engine.wasmtime(Flavour::Plain).unwrap();
    let mut theirs = Linker::new(engine);
    wasmtime_wasi::p1::add_to_linker_async(&mut theirs, ModuleGuest::wasi).unwrap();
    let theirs = types(&theirs);
    let mut ours = Linker::new(engine);
    for name in theirs.keys() {
        define(&mut ours, name).unwrap();
    }
    define(&mut ours, "fd_fly").unwrap();
    assert_eq!(types(&ours), theirs);
}
