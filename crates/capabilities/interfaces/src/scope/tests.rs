#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use reef_capability::{Backend, Gate, Link, Links, Opening, Operation, Policy, Settings, find};
use reef_messaging::{Channel, Messaging};
use wasmtime::{Config, Engine, component::ResourceTable};

use super::*;
use crate::{Instance, messaging::link, reader::Reader};

struct Guest {
    table: ResourceTable,
    instance: Instance,
}

impl Capable for Guest {
    fn capabilities(&mut self) -> View<'_> {
        View::new(&mut self.table, &mut self.instance)
    }
}

type Table<C> = (&'static str, &'static [Backend<C>], &'static [&'static Operation]);

fn opened<C: ?Sized>((capability, table, operations): Table<C>, name: &str) -> Arc<Link<C>> {
    let backend = find(table, table[0].name).unwrap();
    let mut settings = Settings::default();
    if capability == reef_config::CONFIG || capability == reef_config::SECRETS {
        settings.insert("who".to_owned(), name.to_owned());
    }
    let runtime = tokio::runtime::Handle::current();
    let data = std::env::temp_dir();
    let opening = Opening {
        application: "app",
        settings: &settings,
        folder: "/".as_ref(),
        data: Some(&data),
        runtime: &runtime,
    };
    let about = (capability, backend.system);
    let gate = Gate::new("app/w".into(), name.into(), about, Policy::default(), operations);
    Arc::new(Link { place: None, gate, backend: (backend.open)(opening).unwrap() })
}

fn links<C: ?Sized>(workload: &str, table: Table<C>, names: &[&str]) -> Links<C> {
    let all = names.iter().map(|name| opened(table, name)).collect();
    Links::new(workload.into(), table.0, all)
}

/// What a workload has that has a link of each name to everything.
fn granted(workload: &str, names: &[&str]) -> Capabilities {
    let mut all = Capabilities::none(&workload.into());
    let values = reef_config::OPERATIONS;
    all.config = links(workload, (reef_config::CONFIG, reef_config::BACKENDS, values), names);
    all.secrets = links(workload, (reef_config::SECRETS, reef_config::BACKENDS, values), names);
    let blobs =
        (reef_blob_store::CAPABILITY, &reef_blob_store::BACKENDS[1..], reef_blob_store::OPERATIONS);
    all.blob_store = links(workload, blobs, names);
    let messaging: Table<dyn Messaging> =
        (reef_messaging::CAPABILITY, reef_messaging::BACKENDS, reef_messaging::OPERATIONS);
    let channels = links(workload, messaging, names);
    let channels = channels.iter().map(|link| {
        let name = link.name().into();
        let gate = Gate::new(
            workload.into(),
            name,
            (messaging.0, ""),
            Policy::default(),
            reef_messaging::OPERATIONS,
        );
        let backend = Arc::new(Channel::unlimited(link.backend.clone()));
        Arc::new(Link { place: None, gate, backend })
    });
    all.messaging = Links::new(workload.into(), messaging.0, channels.collect());
    let sql = (reef_sql::CAPABILITY, reef_sql::BACKENDS, &reef_sql::OPERATIONS[..]);
    all.sql = links(workload, sql, names);
    all
}

/// A guest whose imports are these; by its own it has a link called `whole`, its part 1 one called `part`.
fn guest(scopes: Vec<Scope>) -> Guest {
    let mut whole = granted("shop", &["whole"]);
    let config = Arc::new([("own".to_owned(), "of the part".into())].into());
    let part = Part { granted: Arc::new(granted("layer", &["part"])), config };
    whole.parts.insert(1, part);
    let instance = Instance::new(Arc::new(whole)).with_scopes(Scopes(scopes.into()));
    Guest { table: ResourceTable::new(), instance }
}

/// Which link each capability is used over by one import, or why it is not.
async fn over(view: &mut View<'_>) -> Vec<Result<String, String>> {
    let workload = |refused: Failure| refused.to_string();
    let config = match Reader::config(view, "wasi:config/store") {
        Ok(reader) => {
            let value = reader.values().get(&reader.caller, "who").await.unwrap();
            value.and_then(|value| value.text().map(str::to_owned)).ok_or_else(String::new)
        }
        Err(failure) => Err(workload(failure)),
    };
    let secret = match Reader::secrets(view, "wasmcloud:secrets/store") {
        Ok(reader) => {
            let value = reader.values().get(&reader.caller, "who").await.unwrap();
            value.and_then(|value| value.text().map(str::to_owned)).ok_or_else(String::new)
        }
        Err(failure) => Err(workload(failure)),
    };
    let messages = link(view, "wasmcloud:messaging/consumer", "");
    let messages = messages.map(|link| link.name().to_owned()).map_err(workload);
    // Names of workloads are others than those of links.
    let named = |debug: String| {
        let name = ["whole", "part"].into_iter().find(|name| debug.contains(&format!("{name:?}")));
        name.unwrap_or(&debug).to_owned()
    };
    let sql = view.default_database("wasmcloud:postgres/query");
    let sql = sql.map(|database| named(format!("{database:?}"))).map_err(workload);
    let blobs = view.container("wasi:blobstore/blobstore", "objects");
    let blobs = blobs.map(|container| named(format!("{container:?}"))).map_err(workload);
    vec![config, secret, messages, sql, blobs]
}

#[tokio::test]
async fn each_import_goes_over_its_own_link() {
    let label = |label: &str| Scope { part: None, label: Some(label.into()) };
    let part = |part: u32| Scope { part: Some(part), label: None };
    let mut guest = guest(vec![label("whole"), label("other"), part(1), part(2)]);
    let numbered = numbered::<Guest>();

    let is = |name: &str| vec![Ok(name.to_owned()); 5];
    // What a guest calls a container is no link, and nothing else is called `default`.
    let refused = |said: &Result<String, String>, workload: &str| {
        let said = said.clone().unwrap_err();
        assert!(said.contains(&format!("{workload} may not use `objects`")), "{said}");
    };
    let whole = over(&mut guest.capabilities()).await;
    assert_eq!(whole[..4], is("whole")[..4], "the only link there is");
    refused(&whole[4], "shop");
    assert_eq!(over(&mut numbered[0](&mut guest)).await, is("whole"), "the link of the label");
    for said in over(&mut numbered[1](&mut guest)).await {
        let said = said.unwrap_err();
        assert!(said.contains("shop may not use `other`"), "{said}");
        assert!(said.contains("name = \"other\""), "{said}");
    }
    let part = over(&mut numbered[2](&mut guest)).await;
    assert_eq!(part[..4], is("part")[..4], "the only link of the part");
    refused(&part[4], "layer");
    for refused in over(&mut numbered[3](&mut guest)).await {
        assert!(refused.unwrap_err().contains("part 2 has no links"));
    }
    let own = |view: &View<'_>| view.config().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(own(&numbered[2](&mut guest)), ["own"]);
    assert!(own(&guest.capabilities()).is_empty());
}

#[test]
fn every_interface_is_offered() {
    let mut config = Config::new();
    config.wasm_component_model_async(true).concurrency_support(true);
    let engine = Engine::new(&config).unwrap();
    let mut linker = Linker::<Guest>::new(&engine);
    for (number, interface) in SCOPED.iter().copied().flatten().enumerate() {
        let instance = &mut linker.instance(&format!("label-{number}")).unwrap();
        let offered = offer(instance, interface, true, Guest::capabilities).unwrap();
        assert!(offered, "{interface}");
    }
    let instance = &mut linker.instance("another").unwrap();
    assert!(!offer(instance, "wasi:clocks/wall-clock", true, Guest::capabilities).unwrap());
}
