//! Several imports of one interface, each under a label of its own: each goes over the link that is called so.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::sync::Arc;

use reef_capability::{Caller, Gate, Link, Links, Opening, Policy, Settings, find};
use reef_interfaces::{Capabilities, Capable, Instance, View};
use reef_key_value::{BACKENDS, Bucket, CAPABILITY, KeyValue, OPERATIONS};
use wasmtime::{
    Config, Engine, Store,
    component::{Component, Linker, ResourceTable},
};

struct Guest {
    table: ResourceTable,
    instance: Instance,
}

impl Capable for Guest {
    fn capabilities(&mut self) -> View<'_> {
        View::new(&mut self.table, &mut self.instance)
    }
}

/// A guest that imports two stores, opens a bucket of one, and sets `k` there to `v`.
fn guest(interface: &str) -> String {
    let import = |label: &str, at: &str| {
        format!(
            r#"(import "{label}" (implements "{interface}") (instance ${at}
              (export "bucket" (type $b (sub resource)))
              (type $v (variant (case "no-such-store") (case "access-denied") (case "other" string)))
              (export "error" (type $e (eq $v)))
              (export "[method]bucket.set" (func
                (param "self" (borrow $b)) (param "key" string) (param "value" (list u8))
                (result (result (error $e)))))
              (export "open" (func (param "identifier" string) (result (result (own $b) (error $e)))))
            ))
            (core func $open-{at} (canon lower (func ${at} "open") (memory $m) (realloc $r)))
            (core func $set-{at}
              (canon lower (func ${at} "[method]bucket.set") (memory $m) (realloc $r)))"#
        )
    };
    format!(
        r#"(component
        (core module $libc
          (memory (export "memory") 1)
          (global $next (mut i32) (i32.const 1024))
          (func (export "realloc") (param i32 i32 i32 i32) (result i32)
            (local $at i32)
            (local.set $at (global.get $next))
            (global.set $next (i32.add (global.get $next) (i32.add (local.get 3) (i32.const 8))))
            (local.get $at)))
        (core instance $libc (instantiate $libc))
        (alias core export $libc "memory" (core memory $m))
        (alias core export $libc "realloc" (core func $r))
        {}
        {}
        (core module $main
          (import "libc" "memory" (memory 0))
          (import "a" "open" (func $open-a (param i32 i32 i32)))
          (import "b" "open" (func $open-b (param i32 i32 i32)))
          (import "a" "set" (func $set-a (param i32 i32 i32 i32 i32 i32)))
          (import "b" "set" (func $set-b (param i32 i32 i32 i32 i32 i32)))
          (data (i32.const 16) "kv")
          ;; 0: it is set; 1: it cannot be opened; 2: it cannot be set.
          (func (export "a") (result i32)
            (call $open-a (i32.const 0) (i32.const 0) (i32.const 32))
            (if (i32.load8_u (i32.const 32)) (then (return (i32.const 1))))
            (call $set-a (i32.load (i32.const 36)) (i32.const 16) (i32.const 1)
              (i32.const 17) (i32.const 1) (i32.const 64))
            (i32.shl (i32.load8_u (i32.const 64)) (i32.const 1)))
          (func (export "b") (result i32)
            (call $open-b (i32.const 0) (i32.const 0) (i32.const 32))
            (if (i32.load8_u (i32.const 32)) (then (return (i32.const 1))))
            (call $set-b (i32.load (i32.const 36)) (i32.const 16) (i32.const 1)
              (i32.const 17) (i32.const 1) (i32.const 64))
            (i32.shl (i32.load8_u (i32.const 64)) (i32.const 1))))
        (core instance $main (instantiate $main
          (with "libc" (instance $libc))
          (with "a" (instance (export "open" (func $open-a)) (export "set" (func $set-a))))
          (with "b" (instance (export "open" (func $open-b)) (export "set" (func $set-b))))))
        (func (export "a") (result u32) (canon lift (core func $main "a")))
        (func (export "b") (result u32) (canon lift (core func $main "b"))))"#,
        import("team-a", "a"),
        import("team-b", "b"),
    )
}

fn link(name: &str) -> Arc<Link<dyn KeyValue>> {
    let backend = find(BACKENDS, "memory").unwrap();
    let runtime = tokio::runtime::Handle::current();
    let opening = Opening {
        application: "app",
        settings: &Settings::default(),
        folder: "/".as_ref(),
        data: None,
        runtime: &runtime,
    };
    let about = (CAPABILITY, backend.system);
    let gate = Gate::new("app/w".into(), name.into(), about, Policy::default(), OPERATIONS);
    Arc::new(Link { place: None, gate, backend: (backend.open)(opening).unwrap() })
}

#[tokio::test]
async fn each_label_is_a_link() {
    for interface in ["wasi:keyvalue/store@0.2.0-draft", "wasi:keyvalue/store@0.2.0-draft2"] {
        let mut config = Config::new();
        config.wasm_component_model_implements(true);
        let engine = Engine::new(&config).unwrap();
        let component = wat::parse_str(guest(interface)).unwrap();
        let component = Component::new(&engine, component).unwrap();
        let mut linker = Linker::<Guest>::new(&engine);
        let scopes = reef_interfaces::add_scoped(&mut linker, &component, false, |_| None).unwrap();

        // There is a link for one of them, and one that nobody asked for.
        let (team_a, other) = (link("team-a"), link("other"));
        let links = vec![team_a.clone(), other];
        let key_value = Links::new("app/w".into(), CAPABILITY, links);
        let mut granted = Capabilities::none(&"app/w".into());
        granted.key_value = key_value;
        let instance = Instance::new(Arc::new(granted)).with_scopes(scopes);
        let mut store = Store::new(&engine, Guest { table: ResourceTable::new(), instance });
        let instance = linker.instantiate_async(&mut store, &component).await.unwrap();
        let mut said = Vec::new();
        for name in ["a", "b"] {
            let function = instance.get_typed_func::<(), (u32,)>(&mut store, name).unwrap();
            said.push(function.call_async(&mut store, ()).await.unwrap().0);
        }
        assert_eq!(said, [0, 1], "{interface}: one is linked, and the other one refused");
        let bucket = Bucket::new(team_a, "".into()).unwrap();
        let value = bucket.get(&Caller::default(), "k").await.unwrap();
        assert_eq!(value.as_deref(), Some(&b"v"[..]), "{interface}");
    }
}
