//! A component's import that another component's export answers, over a bus: two stores that know
//! nothing of each other but the calls.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::{sync::Arc, time::Duration};

use futures::future::BoxFuture;
use reef_bus::InProcess;
use reef_host::remote::{
    Callee, OptionsOf, Target, Why, carries, import_over_bus, interface, serve_export,
};
use reef_rpc::{
    Client, Context, Exchange, Handler, Options, Outgoing, Received, Refusal, Served, Server,
    Settings,
};
use reef_wrpc::{Function, Type as Wire};
use tokio::sync::oneshot;
use wasmtime::{
    Config, Engine, Store, StoreContextMut,
    component::{
        Component, Destination, Linker, Source, StreamAny, StreamConsumer, StreamProducer,
        StreamReader, StreamResult, Val, VecBuffer,
        types::{ComponentFunc, ComponentInstance, ComponentItem},
    },
};

const OPS: &str = "test:calc/ops@1.0.0";

/// What both components need of a memory.
const MEMORY: &str = r#"
    (core module $memory
        (memory (export "memory") 1)
        (global $at (mut i32) (i32.const 1024))
        (func (export "realloc") (param i32 i32 i32 i32) (result i32) (local $here i32)
            (local.set $here (global.get $at))
            (global.set $at (i32.and (i32.add (i32.add (global.get $at) (local.get 3)) (i32.const 15)) (i32.const -16)))
            (local.get $here)))
    (core instance $memory (instantiate $memory))
    (alias core export $memory "memory" (core memory $mem))
    (alias core export $memory "realloc" (core func $realloc))
    (type $bytes (stream u8))
    (core func $return (canon task.return (result $bytes)))
"#;

/// Answers: adds, gives back what it is given, traps.
fn callee() -> String {
    format!(
        r#"(component {MEMORY}
        (core module $m
            (import "m" "memory" (memory 1))
            (import "m" "return" (func $return (param i32)))
            (func (export "add") (param i32 i32) (result i32)
                (i32.add (local.get 0) (local.get 1)))
            (func (export "echo") (param i32 i32) (result i32)
                (i32.store (i32.const 8) (local.get 0))
                (i32.store (i32.const 12) (local.get 1))
                (i32.const 8))
            (func (export "fail") unreachable)
            (func (export "pass") (param i32) (result i32)
                (call $return (local.get 0)) (i32.const 0))
            (func (export "callback") (param i32 i32 i32) (result i32) unreachable))
        (core instance $i (instantiate $m (with "m" (instance
            (export "memory" (memory $mem)) (export "return" (func $return))))))
        (func $add (param "a" u32) (param "b" u32) (result u32) (canon lift (core func $i "add")))
        (func $echo (param "s" string) (result string)
            (canon lift (core func $i "echo") (memory $mem) (realloc $realloc)))
        (func $fail (canon lift (core func $i "fail")))
        (func $pass async (param "s" $bytes) (result $bytes)
            (canon lift (core func $i "pass") async (callback (func $i "callback"))))
        (instance $ops (export "add" (func $add)) (export "echo" (func $echo))
            (export "fail" (func $fail)) (export "pass" (func $pass)))
        (export "{OPS}" (instance $ops)))"#
    )
}

/// Has each of them answered by its import of the same name.
fn caller() -> String {
    format!(
        r#"(component {MEMORY}
        (import "{OPS}" (instance $ops
            (export "add" (func (param "a" u32) (param "b" u32) (result u32)))
            (export "echo" (func (param "s" string) (result string)))
            (export "fail" (func))
            (export "pass" (func async (param "s" (stream u8)) (result (stream u8))))))
        (core func $add (canon lower (func $ops "add")))
        (core func $echo (canon lower (func $ops "echo") (memory $mem) (realloc $realloc)))
        (core func $fail (canon lower (func $ops "fail")))
        (core func $pass (canon lower (func $ops "pass")))
        (core module $m
            (import "m" "return" (func $return (param i32)))
            (import "m" "add" (func $add (param i32 i32) (result i32)))
            (import "m" "echo" (func $echo (param i32 i32 i32)))
            (import "m" "fail" (func $fail))
            (import "m" "pass" (func $pass (param i32) (result i32)))
            (func (export "add") (param i32 i32) (result i32)
                (call $add (local.get 0) (local.get 1)))
            (func (export "echo") (param i32 i32) (result i32)
                (call $echo (local.get 0) (local.get 1) (i32.const 8)) (i32.const 8))
            (func (export "fail") (call $fail))
            (func (export "pass") (param i32) (result i32)
                (call $return (call $pass (local.get 0))) (i32.const 0))
            (func (export "callback") (param i32 i32 i32) (result i32) unreachable))
        (core instance $i (instantiate $m (with "m" (instance
            (export "return" (func $return)) (export "add" (func $add))
            (export "echo" (func $echo)) (export "fail" (func $fail))
            (export "pass" (func $pass))))))
        (func (export "add") (param "a" u32) (param "b" u32) (result u32)
            (canon lift (core func $i "add")))
        (func (export "echo") (param "s" string) (result string)
            (canon lift (core func $i "echo") (memory $mem) (realloc $realloc)))
        (func (export "fail") (canon lift (core func $i "fail")))
        (func (export "pass") async (param "s" $bytes) (result $bytes)
            (canon lift (core func $i "pass") async (callback (func $i "callback")))))"#
    )
}

fn engine() -> Engine {
    let mut config = Config::new();
    config.wasm_component_model_async(true);
    Engine::new(&config).unwrap()
}

fn component(engine: &Engine, text: &str) -> Component {
    Component::new(engine, wat::parse_str(text).unwrap()).unwrap()
}

fn ops(engine: &Engine, items: ComponentItem) -> (ComponentInstance, Vec<(String, ComponentFunc)>) {
    let ComponentItem::ComponentInstance(instance) = items else { panic!("not an instance") };
    let functions = interface(engine, &instance).unwrap();
    (instance, functions)
}

/// Answers the calls of one function, each in a store of its own.
struct Export {
    engine: Engine,
    component: Component,
    name: String,
    ty: ComponentFunc,
}

impl Handler for Export {
    fn call(&self, _: Context, params: Received) -> BoxFuture<'static, Result<Outgoing, Refusal>> {
        let (engine, component) = (self.engine.clone(), self.component.clone());
        let (name, ty) = (self.name.clone(), self.ty.clone());
        let (reply, answer) = oneshot::channel();
        tokio::spawn(async move {
            let mut store = Store::new(&engine, ());
            let instance =
                Linker::new(&engine).instantiate_async(&mut store, &component).await.unwrap();
            let interface = component.get_export_index(None, OPS).unwrap();
            let index = component.get_export_index(Some(&interface), &name).unwrap();
            let function = instance.get_func(&mut store, index).unwrap();
            let _ = serve_export(&mut store, function, &ty, true, params, reply).await;
        });
        Box::pin(async { answer.await.unwrap_or_else(|_| Err(Refusal::failed("gone"))) })
    }
}

struct World {
    engine: Engine,
    caller: Component,
    linker: Linker<()>,
    served: Vec<Served>,
}

async fn world() -> World {
    let engine = engine();
    let exchange =
        Exchange::open(Arc::new(InProcess::default()), Settings::default()).await.unwrap();
    let callee = component(&engine, &callee());
    let exported = callee.component_type().get_export(&engine, OPS).unwrap().ty;
    let mut served = Vec::new();
    for (name, ty) in ops(&engine, exported).1 {
        let function =
            Function { prefix: "there".into(), instance: OPS.into(), name: name.clone() };
        let signature = carries(&name, &ty).unwrap();
        let (engine, component) = (engine.clone(), callee.clone());
        let export = Arc::new(Export { engine, component, name, ty });
        let server = Server::new(&exchange);
        served.push(server.serve(&function, Some("q"), signature, 4, export).await.unwrap());
    }
    let caller = component(&engine, &caller());
    let imported = caller.component_type().get_import(&engine, OPS).unwrap().ty;
    let mut linker = Linker::new(&engine);
    let target: Arc<dyn Callee> =
        Arc::new(Target { client: Client::new(&exchange), prefix: "there".into() });
    let options: OptionsOf<()> =
        Arc::new(|_| Options { timeout: Some(Duration::from_secs(10)), ..Options::default() });
    let functions = ops(&engine, imported).1;
    import_over_bus(&mut linker, (OPS, OPS), &functions, &target, &options).unwrap();
    World { engine, caller, linker, served }
}

impl World {
    async fn call(&self, name: &str, params: &[Val]) -> wasmtime::Result<Vec<Val>> {
        let mut store = Store::new(&self.engine, ());
        let instance = self.linker.instantiate_async(&mut store, &self.caller).await?;
        let function = instance.get_func(&mut store, name).unwrap();
        let mut results = vec![Val::Bool(false); function.ty(&store).results().len()];
        function.call_async(&mut store, params, &mut results).await?;
        Ok(results)
    }
}

#[tokio::test]
async fn an_import_is_answered_by_an_export_elsewhere() {
    let world = world().await;
    let sum = world.call("add", &[Val::U32(40), Val::U32(2)]).await.unwrap();
    assert_eq!(sum, [Val::U32(42)]);
    // More than one message takes.
    let text = "fjörd ".repeat(300_000);
    assert_eq!(
        world.call("echo", &[Val::String("hi".into())]).await.unwrap(),
        [Val::String("hi".into())]
    );
    let long = world.call("echo", &[Val::String(text)]).await.unwrap_err();
    assert!(long.root_cause().to_string().contains("realloc"), "{long:?}");
}

#[tokio::test]
async fn a_trap_there_is_a_trap_here_that_says_so() {
    let mut world = world().await;
    let error = world.call("fail", &[]).await.unwrap_err();
    let text = format!("{error:?}");
    assert!(text.contains(&format!("there.wrpc.0.0.1.{OPS}.fail")), "{text}");
    assert!(text.contains("failed: wasm trap: wasm `unreachable`"), "{text}");

    world.served.clear();
    let error = world.call("fail", &[]).await.unwrap_err();
    assert!(format!("{error:?}").contains("nobody serves"), "{error:?}");
}

/// Gives some pieces, one at a time.
struct Giving(Vec<Vec<u8>>);

impl<D> StreamProducer<D> for Giving {
    type Item = u8;
    type Buffer = VecBuffer<u8>;

    fn poll_produce<'a>(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
        _: StoreContextMut<'a, D>,
        mut destination: Destination<'a, u8, VecBuffer<u8>>,
        _: bool,
    ) -> std::task::Poll<wasmtime::Result<StreamResult>> {
        std::task::Poll::Ready(Ok(match self.0.pop() {
            Some(piece) => {
                destination.set_buffer(piece.into());
                StreamResult::Completed
            }
            None => StreamResult::Dropped,
        }))
    }
}

/// Collects all, and says so when it is dropped.
struct Collecting(Vec<u8>, Option<oneshot::Sender<Vec<u8>>>);

impl<D> StreamConsumer<D> for Collecting {
    type Item = u8;

    fn poll_consume(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
        store: StoreContextMut<'_, D>,
        mut source: Source<'_, u8>,
        _: bool,
    ) -> std::task::Poll<wasmtime::Result<StreamResult>> {
        let mut piece = Vec::with_capacity(4096);
        source.read(store, &mut piece)?;
        self.0.extend(piece);
        std::task::Poll::Ready(Ok(StreamResult::Completed))
    }
}

impl Drop for Collecting {
    fn drop(&mut self) {
        let _ = self.1.take().unwrap().send(std::mem::take(&mut self.0));
    }
}

#[tokio::test]
async fn streams_go_both_ways() {
    let world = world().await;
    let mut store = Store::new(&world.engine, ());
    let instance = world.linker.instantiate_async(&mut store, &world.caller).await.unwrap();
    let function = instance.get_func(&mut store, "pass").unwrap();
    let pieces: Vec<Vec<u8>> = (0..200_u8).map(|at| vec![at; 5000]).collect();
    let expected: Vec<u8> = pieces.iter().rev().flatten().copied().collect();
    let reader = StreamReader::new(&mut store, Giving(pieces)).unwrap();
    let stream = StreamAny::try_from_stream_reader(&mut store, reader).unwrap();
    let (whole, collected) = oneshot::channel();
    let collected = store
        .run_concurrent(async |accessor| {
            let mut results = [Val::Bool(false)];
            function.call_concurrent(accessor, &[Val::Stream(stream)], &mut results).await?;
            let [Val::Stream(stream)] = results else { panic!("no stream") };
            accessor.with(|access| {
                let reader = stream.try_into_stream_reader::<u8>()?;
                reader.pipe(access, Collecting(Vec::new(), Some(whole)))
            })?;
            wasmtime::error::Ok(collected.await.unwrap())
        })
        .await
        .unwrap()
        .unwrap();
    assert!(collected == expected, "{} of {} bytes", collected.len(), expected.len());
}

#[test]
fn what_can_be_carried_and_why_not() {
    let engine = engine();
    let text = r#"(component
        (type $later (future string))
        (import "all" (func async
            (param "a" (list (tuple u8 (option char))))
            (param "b" (option (tuple s64 f32)))
            (param "c" (stream u8))
            (result (result $later (error string)))))
        (import "waits" (func (param "s" (stream u8))))
        (import "gives" (func (result (stream u8))))
        (import "nested" (func (result (stream (list u8)))))
        (import "thing" (type $thing (sub resource)))
        (import "handle" (func (param "t" (own $thing)))))"#;
    let component = component(&engine, text);
    let all = component.component_type();
    let function = |name: &str| match all.get_import(&engine, name).unwrap().ty {
        ComponentItem::ComponentFunc(function) => carries(name, &function),
        _ => panic!("{name} is no function"),
    };
    let signature = function("all").unwrap();
    assert_eq!(signature.params.as_slice()[2], Wire::Stream(Some(Arc::new(Wire::U8))));
    function("gives").unwrap();
    let why = |name: &str| function(name).unwrap_err();
    assert_eq!(why("waits").why, Why::Waits);
    assert_eq!(why("nested").why, Why::Elements);
    assert_eq!(
        why("handle").to_string(),
        "`handle` cannot be called on another host: its parameter `t` has a resource, which exists \
         on one host only; place both components on one host, or compose them"
    );
}

/// What is found out without the runtime, when an application is applied, is what is found out with it.
#[test]
fn an_application_is_refused_for_what_its_workload_would_be() {
    let engine = engine();
    let functions = [
        r#"(export "f" (func (param "a" (list (tuple u8 (option char)))) (result (result (error string)))))"#,
        r#"(export "f" (func async (param "a" (stream u8)) (result (future string))))"#,
        r#"(export "f" (func (param "a" (stream u8))))"#,
        r#"(export "f" (func (result (stream))))"#,
        r#"(export "f" (func (result (stream (list u8)))))"#,
        r#"(type $in (future u8)) (type $out (future $in)) (export "f" (func (result $out)))"#,
        r#"(export "t" (type $t (sub resource))) (export "f" (func (param "a" (borrow $t))))"#,
        r#"(type $e' (enum "a" "b")) (export "e" (type $e (eq $e'))) (type $l' (flags "a"))
           (export "l" (type $l (eq $l'))) (export "f" (func (param "a" $e) (result $l)))"#,
        r#"(type $v' (variant (case "a" u8) (case "b"))) (export "v" (type $v (eq $v')))
           (type $r' (record (field "v" $v))) (export "r" (type $r (eq $r')))
           (export "f" (func (param "a" $r) (result (tuple f32 f64))))"#,
    ];
    for function in functions {
        let text = format!(r#"(component (import "a:b/c@1.0.0" (instance {function})))"#);
        let there = component(&engine, &text);
        let item = there.component_type().get_import(&engine, "a:b/c@1.0.0").unwrap().ty;
        let ComponentItem::ComponentInstance(instance) = item else { panic!("{function}") };
        let made = reef_host::remote::interface(&engine, &instance).err();
        let bytes = wat::parse_str(&text).unwrap();
        let part = reef_compose::Part { name: "user", bytes: &bytes };
        let applied = reef_compose::uncarried(part).unwrap().into_iter().next();
        let why = |reason: &reef_host::remote::Reason| reason.why;
        assert_eq!(made.as_ref().map(why), applied.map(|one| one.reason.why), "{function}");
    }
}
