//! A key-value store that a test puts in the place of a real one: entries are in this component's own memory, and it
//! imports no store. What it keeps ends with its instance.

use std::{cell::RefCell, collections::BTreeMap};

wit_bindgen::generate!({
    path: "../../../crates/capabilities/interfaces/wit/wasi-keyvalue-0.2.0-draft2.wit",
    inline: "
        package reef-test:key-value-mock;

        world mock {
            export wasi:keyvalue/store@0.2.0-draft2;
            export wasi:keyvalue/atomics@0.2.0-draft2;
            export wasi:keyvalue/batch@0.2.0-draft2;
        }
    ",
    world: "reef-test:key-value-mock/mock",
    generate_all,
});

use exports::wasi::keyvalue::{
    atomics::{self, CasError},
    batch,
    store::{self, BucketBorrow, Error, KeyResponse},
};

struct Mock;

export!(Mock);

type Entries = BTreeMap<String, Vec<u8>>;

thread_local! {
    static BUCKETS: RefCell<BTreeMap<String, Entries>> = const { RefCell::new(BTreeMap::new()) };
}

struct Bucket(String);

impl Bucket {
    fn with<R>(&self, what: impl FnOnce(&mut Entries) -> R) -> R {
        BUCKETS.with_borrow_mut(|buckets| match buckets.get_mut(&self.0) {
            Some(entries) => what(entries),
            None => what(buckets.entry(self.0.clone()).or_default()),
        })
    }
}

impl store::Guest for Mock {
    type Bucket = Bucket;

    fn open(identifier: String) -> Result<store::Bucket, Error> {
        let bucket = Bucket(identifier);
        // Something to be found by who reads first.
        bucket.with(|entries| entries.entry("who".to_owned()).or_insert(b"mock".to_vec()).len());
        Ok(store::Bucket::new(bucket))
    }
}

impl store::GuestBucket for Bucket {
    fn get(&self, key: String) -> Result<Option<Vec<u8>>, Error> {
        Ok(self.with(|entries| entries.get(&key).cloned()))
    }

    fn set(&self, key: String, value: Vec<u8>) -> Result<(), Error> {
        self.with(|entries| entries.insert(key, value));
        Ok(())
    }

    fn delete(&self, key: String) -> Result<(), Error> {
        self.with(|entries| entries.remove(&key));
        Ok(())
    }

    fn exists(&self, key: String) -> Result<bool, Error> {
        Ok(self.with(|entries| entries.contains_key(&key)))
    }

    fn list_keys(&self, _: Option<String>) -> Result<KeyResponse, Error> {
        let keys = self.with(|entries| entries.keys().cloned().collect());
        Ok(KeyResponse { keys, cursor: None })
    }
}

/// Nobody comes between in one instance, so that each swap finds what it looked at.
struct Cas {
    bucket: String,
    key: String,
}

impl atomics::Guest for Mock {
    type Cas = Cas;

    fn increment(bucket: BucketBorrow<'_>, key: String, delta: i64) -> Result<i64, Error> {
        Ok(bucket.get::<Bucket>().with(|entries| {
            let value = entries.entry(key).or_default();
            let now = String::from_utf8_lossy(value).parse::<i64>().unwrap_or_default();
            *value = now.wrapping_add(delta).to_string().into();
            now.wrapping_add(delta)
        }))
    }

    fn swap(cas: atomics::Cas, value: Vec<u8>) -> Result<(), CasError> {
        let Cas { bucket, key } = cas.into_inner();
        Bucket(bucket).with(|entries| entries.insert(key, value));
        Ok(())
    }
}

impl atomics::GuestCas for Cas {
    fn new(bucket: BucketBorrow<'_>, key: String) -> Result<atomics::Cas, Error> {
        let bucket = bucket.get::<Bucket>().0.clone();
        Ok(atomics::Cas::new(Cas { bucket, key }))
    }

    fn current(&self) -> Result<Option<Vec<u8>>, Error> {
        Ok(Bucket(self.bucket.clone()).with(|entries| entries.get(&self.key).cloned()))
    }
}

impl batch::Guest for Mock {
    fn get_many(
        bucket: BucketBorrow<'_>,
        keys: Vec<String>,
    ) -> Result<Vec<(String, Option<Vec<u8>>)>, Error> {
        let get = |entries: &mut Entries| {
            keys.into_iter().map(|key| (key.clone(), entries.get(&key).cloned())).collect()
        };
        Ok(bucket.get::<Bucket>().with(get))
    }

    fn set_many(bucket: BucketBorrow<'_>, key_values: Vec<(String, Vec<u8>)>) -> Result<(), Error> {
        bucket.get::<Bucket>().with(|entries| entries.extend(key_values));
        Ok(())
    }

    fn delete_many(bucket: BucketBorrow<'_>, keys: Vec<String>) -> Result<(), Error> {
        bucket.get::<Bucket>().with(|entries| entries.retain(|key, _| !keys.contains(key)));
        Ok(())
    }
}
