//! Components that import the published interfaces are linked, whatever version they ask for.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::{fs, sync::Arc};

use reef_interfaces::{
    Capabilities, Capable, Instance, PROVIDED, SCOPED, View, add_scoped, add_to_linker,
};
use wasmtime::{
    Config, Engine,
    component::{Component, Linker, ResourceTable},
};
use wit_component::{ComponentEncoder, StringEncoding, dummy_module, embed_component_metadata};
use wit_parser::{ManglingAndAbi, Resolve};

struct Guest {
    table: ResourceTable,
    instance: Instance,
}

impl Capable for Guest {
    fn capabilities(&mut self) -> View<'_> {
        View::new(&mut self.table, &mut self.instance)
    }
}

fn engine(concurrent: bool) -> Engine {
    let mut config = Config::new();
    config.wasm_component_model_async(concurrent).concurrency_support(concurrent);
    Engine::new(&config).unwrap()
}

/// A component that imports everything of a package.
fn importing(wit: &str) -> Vec<u8> {
    let mut resolve = Resolve::default();
    let package = resolve.push_str("test.wit", wit).unwrap();
    let world = resolve.select_world(&[package], Some("imports")).unwrap();
    let mut module = dummy_module(&resolve, world, ManglingAndAbi::Standard32);
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).unwrap();
    ComponentEncoder::default().module(&module).unwrap().encode().unwrap()
}

fn links(wit: &str, concurrent: bool) -> wasmtime::Result<()> {
    let engine = engine(concurrent);
    let mut linker = Linker::<Guest>::new(&engine);
    add_to_linker(&mut linker, concurrent, |_| true)?;
    let component = Component::new(&engine, importing(wit))?;
    linker.instantiate_pre(&component)?;
    // The same as imports of a part, which have links of their own.
    linker.allow_shadowing(true);
    let part = |name: &str| {
        let mut known = SCOPED.iter().copied().flatten();
        known.find(|known| **known == name).map(|known| (1, *known))
    };
    add_scoped(&mut linker, &component, concurrent, part)?;
    linker.instantiate_pre(&component)?;
    Ok(())
}

/// A package as it was before anything was added to it. Numbers of versions have one digit each, and sort as text.
fn before(wit: &str, package: &str, version: &str) -> String {
    let mut kept = Vec::new();
    let mut lines = wit.lines();
    while let Some(line) = lines.next() {
        let since =
            line.trim().strip_prefix("@since(version = ").map(|rest| rest.trim_end_matches(')'));
        match since {
            None => kept.push(line),
            Some(since) if since <= version => {}
            // What follows was added later: a line, or all up to the bracket of a resource.
            Some(_) => {
                if lines.next().is_some_and(|line| line.ends_with('{')) {
                    lines.find(|line| line.trim() == "}");
                }
            }
        }
    }
    let (name, old) = package.split_once('@').unwrap();
    kept.join("\n").replace(&format!("{name}@{old};"), &format!("{name}@{version};"))
}

#[test]
fn every_package_that_is_checked_in() {
    for entry in fs::read_dir("wit").unwrap() {
        let path = entry.unwrap().path();
        let wit = fs::read_to_string(&path).unwrap();
        if wit.contains("wasi:io") {
            // Needs the host's world around it: its guests are run end to end.
            continue;
        }
        links(&wit, true).unwrap_or_else(|error| panic!("{}: {error:?}", path.display()));
        if !wit.contains("async func") {
            let plain = links(&wit, false);
            plain.unwrap_or_else(|error| panic!("{}, plain: {error:?}", path.display()));
        }
    }
}

#[test]
fn earlier_versions_of_what_grew() {
    for (file, package, version) in [
        ("spin-sqlite-3.1.0", "spin:sqlite@3.1.0", "3.0.0"),
        ("spin-postgres-4.2.0", "spin:postgres@4.2.0", "4.1.0"),
        ("spin-postgres-4.2.0", "spin:postgres@4.2.0", "4.0.0"),
    ] {
        let wit = fs::read_to_string(format!("wit/{file}.wit")).unwrap();
        let wit = before(&wit, package, version);
        assert!(wit.contains(&format!("@{version};")) && !wit.contains("async func"), "{wit}");
        for concurrent in [false, true] {
            let linked = links(&wit, concurrent);
            linked.unwrap_or_else(|error| panic!("{package} as {version}: {error:?}"));
        }
    }
}

#[test]
fn what_is_linked_is_told() {
    for entry in fs::read_dir("wit").unwrap() {
        let wit = fs::read_to_string(entry.unwrap().path()).unwrap();
        let package = wit.lines().find_map(|line| line.strip_prefix("package ")).unwrap();
        let package = package.trim_end_matches(';');
        let (name, version) = package.split_once('@').unwrap_or((package, ""));
        if name == "wasi:io" {
            // The host's world has it.
            continue;
        }
        let (begin, end) = (format!("{name}/"), format!("@{version}"));
        let told = |one: &&str| match version {
            "" => one.starts_with(&begin) && !one.contains('@'),
            _ => one.starts_with(&begin) && one.ends_with(&end),
        };
        assert!(PROVIDED.iter().copied().flatten().any(told), "{package}");
    }
}

#[test]
fn a_workload_without_links_may_use_none() {
    let workload: Arc<str> = "shop".into();
    let granted = Capabilities::none(&workload);
    let refused = granted.sql.named("spin:sqlite/sqlite@3.1.0", "default").unwrap_err();
    assert!(refused.to_string().contains("capability = \"sql\""), "{refused}");
}
