//! Whatever is done in whatever order, a backend is a map of maps.

use std::collections::BTreeMap;

use proptest::prelude::*;
use reef_blob_store::{CONTAINER, OBJECT, Removed};

use super::*;

const CONTAINERS: [&str; 2] = ["reef-one", "reef-two"];
const OBJECTS: [&str; 4] = ["a", "a/b", "b", "ü %"];

#[derive(Clone, Debug)]
pub(crate) enum Act {
    Create(usize),
    Remove(usize),
    Clear(usize),
    Put(usize, usize, Vec<u8>, bool),
    Get(usize, usize, u64, u64),
    Delete(usize, Vec<usize>),
    Copy((usize, usize), (usize, usize)),
    Move((usize, usize), (usize, usize)),
    List(usize),
}

type Model = BTreeMap<&'static str, BTreeMap<&'static str, Vec<u8>>>;

pub(crate) fn acts() -> impl Strategy<Value = Vec<Act>> {
    let (c, o) = (0..CONTAINERS.len(), 0..OBJECTS.len());
    let place = (c.clone(), o.clone());
    let content = prop_oneof![
        4 => proptest::collection::vec(any::<u8>(), 0..50),
        1 => (1..600_000_usize).prop_map(pattern),
    ];
    let act = prop_oneof![
        4 => c.clone().prop_map(Act::Create),
        1 => c.clone().prop_map(Act::Remove),
        1 => c.clone().prop_map(Act::Clear),
        8 => (place.clone(), content, any::<bool>()).prop_map(|((c, o), with, end)| Act::Put(c, o, with, end)),
        8 => (place.clone(), 0..60_u64, prop_oneof![0..80_u64, Just(u64::MAX)])
            .prop_map(|((c, o), from, to)| Act::Get(c, o, from, to)),
        2 => (c.clone(), proptest::collection::vec(o, 0..3)).prop_map(|(c, all)| Act::Delete(c, all)),
        3 => (place.clone(), place.clone()).prop_map(|(from, to)| Act::Copy(from, to)),
        3 => (place.clone(), place).prop_map(|(from, to)| Act::Move(from, to)),
        3 => c.prop_map(Act::List),
    ];
    proptest::collection::vec(act, 1..40)
}

/// Does all on a store without containers of these names, and leaves it so.
pub(crate) async fn follows(store: &dyn BlobStore, acts: &[Act]) {
    let mut model = Model::new();
    for act in acts {
        step(store, &mut model, act).await;
    }
    for container in CONTAINERS {
        let there = model.get(container);
        assert_eq!(store.container_info(container).await.is_ok(), there.is_some());
        for (object, content) in there.into_iter().flatten() {
            assert_eq!(get(store, at(container, object)).await.unwrap(), *content);
        }
        if there.is_some() {
            while store.delete_container(container).await.unwrap() == Removed::Some {}
        }
    }
}

async fn step(store: &dyn BlobStore, model: &mut Model, act: &Act) {
    let place = |(c, o): (usize, usize)| at(CONTAINERS[c], OBJECTS[o]);
    match act {
        Act::Create(c) => {
            let done = store.create_container(CONTAINERS[*c]).await;
            let new = !model.contains_key(CONTAINERS[*c]);
            assert_eq!(done.is_ok(), new, "{done:?}");
            model.entry(CONTAINERS[*c]).or_default();
        }
        Act::Remove(c) => {
            let was = model.remove(CONTAINERS[*c]).is_some();
            loop {
                match store.delete_container(CONTAINERS[*c]).await {
                    Ok(Removed::Some) => {}
                    done => break assert_eq!(done.is_ok(), was, "{done:?}"),
                }
            }
        }
        Act::Clear(c) => {
            let there = model.get_mut(CONTAINERS[*c]).map(BTreeMap::clear).is_some();
            loop {
                match store.clear(CONTAINERS[*c]).await {
                    Ok(Removed::Some) => {}
                    done => break assert_eq!(done.is_ok(), there, "{done:?}"),
                }
            }
        }
        Act::Put(c, o, content, end) => {
            let begun = store.write(place((*c, *o))).await;
            let Some(container) = model.get_mut(CONTAINERS[*c]) else {
                assert!(is_missing(CONTAINER, &begun), "{begun:?}");
                return;
            };
            let mut upload = begun.unwrap();
            for piece in content.chunks(100_000) {
                upload.write(Bytes::copy_from_slice(piece)).await.unwrap();
            }
            if *end {
                upload.finish().await.unwrap();
                container.insert(OBJECTS[*o], content.clone());
            }
        }
        Act::Get(c, o, from, to) => {
            let done = part(store, place((*c, *o)), *from..*to).await;
            match model.get(CONTAINERS[*c]).map(|all| all.get(OBJECTS[*o])) {
                None => assert!(is_missing(CONTAINER, &done), "{done:?}"),
                Some(None) => assert!(is_missing(OBJECT, &done), "{done:?}"),
                Some(Some(content)) => {
                    let bounded =
                        |at: u64| usize::try_from(at).unwrap_or(usize::MAX).min(content.len());
                    let (from, to) = (bounded(*from), bounded(*to));
                    assert_eq!(done.unwrap(), content[from..to.max(from)]);
                    let info = store.info(place((*c, *o))).await.unwrap();
                    assert_eq!(info.size, content.len() as u64);
                }
            }
        }
        Act::Delete(c, objects) => {
            let names: Vec<_> = objects.iter().map(|o| OBJECTS[*o].to_owned()).collect();
            let done = store.delete(CONTAINERS[*c], &names).await;
            match model.get_mut(CONTAINERS[*c]) {
                None => assert!(is_missing(CONTAINER, &done), "{done:?}"),
                Some(all) => {
                    done.unwrap();
                    all.retain(|name, _| !names.iter().any(|gone| gone == name));
                }
            }
        }
        Act::Copy(from, to) | Act::Move(from, to) => {
            let copy = matches!(act, Act::Copy(..));
            let (source, target) = (place(*from), place(*to));
            let done = if copy {
                store.copy(source, target).await
            } else {
                store.rename(source, target).await
            };
            let found = model.get(source.container).and_then(|all| all.get(source.object)).cloned();
            let possible = found.is_some() && model.contains_key(target.container);
            assert_eq!(done.is_ok(), possible, "{done:?}");
            if let Some(content) = found.filter(|_| possible) {
                if !copy {
                    model.get_mut(source.container).unwrap().remove(source.object);
                }
                model.get_mut(target.container).unwrap().insert(OBJECTS[to.1], content);
            }
        }
        Act::List(c) => {
            let done = names(store, CONTAINERS[*c]).await;
            match model.get(CONTAINERS[*c]) {
                None => assert!(is_missing(CONTAINER, &done), "{done:?}"),
                Some(all) => {
                    let expected: Vec<_> = all.keys().copied().collect();
                    assert_eq!(done.unwrap(), expected);
                }
            }
        }
    }
}

/// Runs `cases` sequences on one store.
pub(crate) fn check(cases: u32, make: impl FnOnce() -> Arc<dyn BlobStore>) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let _inside = runtime.enter();
    let store = make();
    let config = ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() };
    let mut runner = proptest::test_runner::TestRunner::new(config);
    let run = runner.run(&acts(), |acts| {
        let stored = store.clone();
        // What a failed one leaves behind is no fault of the next, shorter one.
        let done = runtime.block_on(async {
            for container in CONTAINERS {
                while let Ok(Removed::Some) = stored.delete_container(container).await {}
            }
            tokio::spawn(async move { follows(&*stored, &acts).await }).await
        });
        done.map_err(|error| TestCaseError::fail(error.to_string()))
    });
    run.unwrap();
}

#[test]
fn memory() {
    check(200, || opened("memory", &[("max-bytes", "1GiB")], None).unwrap());
}

#[test]
fn directory() {
    let folder = tempfile::tempdir().unwrap();
    check(60, || opened("file", &[("root", folder.path().to_str().unwrap())], None).unwrap());
}
