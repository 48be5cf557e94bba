//! A key-value store in front of another: it exports `wasi:keyvalue` and imports it, and what lies in the one behind is
//! enciphered. Not with a cipher that anybody should use: each byte is turned over, and with the first bytes of what is
//! called `key` in its configuration and in its secrets, if there are any.

use std::cell::RefCell;

wit_bindgen::generate!({
    path: "../../../crates/capabilities/interfaces/wit/wasi-keyvalue-0.2.0-draft2.wit",
    inline: "
        package reef-test:key-value-cipher;

        world cipher {
            import wasi:config/store@0.2.0-rc.1;
            import wasmcloud:secrets/store@1.0.0;
            import wasmcloud:secrets/reveal@1.0.0;
            import wasi:keyvalue/store@0.2.0-draft2;
            import wasi:keyvalue/atomics@0.2.0-draft2;
            import wasi:keyvalue/batch@0.2.0-draft2;
            export wasi:keyvalue/store@0.2.0-draft2;
            export wasi:keyvalue/atomics@0.2.0-draft2;
            export wasi:keyvalue/batch@0.2.0-draft2;
        }

        package wasi:config@0.2.0-rc.1 {
            interface store {
                variant error { upstream(string), io(string) }
                get: func(key: string) -> result<option<string>, error>;
            }
        }

        package wasmcloud:secrets@1.0.0 {
            interface store {
                variant secrets-error { upstream(string), io(string), not-found }
                variant secret-value { %string(string), bytes(list<u8>) }
                resource secret;
                get: func(key: string) -> result<secret, secrets-error>;
            }
            interface reveal {
                use store.{secret, secret-value};
                reveal: func(s: borrow<secret>) -> secret-value;
            }
        }
    ",
    world: "reef-test:key-value-cipher/cipher",
    generate_all,
});

use exports::wasi::keyvalue::{
    atomics::{self, CasError},
    batch,
    store::{self, BucketBorrow, Error, KeyResponse},
};
use wasi::keyvalue as behind;

struct Cipher;

export!(Cipher);

struct Bucket(behind::store::Bucket);

struct Cas {
    cas: RefCell<Option<behind::atomics::Cas>>,
}

fn turned(mut value: Vec<u8>) -> Vec<u8> {
    let key = wasi::config::store::get("key").ok().flatten();
    let secret = wasmcloud::secrets::store::get("key").ok();
    let secret = secret.map(|secret| match wasmcloud::secrets::reveal::reveal(&secret) {
        wasmcloud::secrets::store::SecretValue::String(text) => text,
        wasmcloud::secrets::store::SecretValue::Bytes(_) => String::new(),
    });
    let first = |text: Option<String>| text.and_then(|text| text.bytes().next()).unwrap_or(0);
    let with = !(first(key) ^ first(secret));
    value.iter_mut().for_each(|byte| *byte ^= with);
    value
}

impl From<behind::store::Error> for Error {
    fn from(error: behind::store::Error) -> Self {
        match error {
            behind::store::Error::NoSuchStore => Self::NoSuchStore,
            behind::store::Error::AccessDenied => Self::AccessDenied,
            behind::store::Error::Other(why) => Self::Other(why),
        }
    }
}

impl store::Guest for Cipher {
    type Bucket = Bucket;

    fn open(identifier: String) -> Result<store::Bucket, Error> {
        Ok(store::Bucket::new(Bucket(behind::store::open(&identifier)?)))
    }
}

impl store::GuestBucket for Bucket {
    fn get(&self, key: String) -> Result<Option<Vec<u8>>, Error> {
        Ok(self.0.get(&key)?.map(turned))
    }

    fn set(&self, key: String, value: Vec<u8>) -> Result<(), Error> {
        Ok(self.0.set(&key, &turned(value))?)
    }

    fn delete(&self, key: String) -> Result<(), Error> {
        Ok(self.0.delete(&key)?)
    }

    fn exists(&self, key: String) -> Result<bool, Error> {
        Ok(self.0.exists(&key)?)
    }

    fn list_keys(&self, cursor: Option<String>) -> Result<KeyResponse, Error> {
        let page = self.0.list_keys(cursor.as_deref())?;
        Ok(KeyResponse { keys: page.keys, cursor: page.cursor })
    }
}

impl atomics::Guest for Cipher {
    type Cas = Cas;

    fn increment(bucket: BucketBorrow<'_>, key: String, delta: i64) -> Result<i64, Error> {
        let mut cas = behind::atomics::Cas::new(&bucket.get::<Bucket>().0, &key)?;
        loop {
            let now = turned(cas.current()?.unwrap_or_default());
            let now = String::from_utf8_lossy(&now).parse::<i64>().unwrap_or_default();
            let sum = now.wrapping_add(delta);
            match behind::atomics::swap(cas, &turned(sum.to_string().into())) {
                Ok(()) => return Ok(sum),
                Err(behind::atomics::CasError::CasFailed(newer)) => cas = newer,
                Err(behind::atomics::CasError::StoreError(error)) => return Err(error.into()),
            }
        }
    }

    fn swap(cas: atomics::Cas, value: Vec<u8>) -> Result<(), CasError> {
        let cas = cas.get::<Cas>().cas.take().expect("a handle is given once");
        behind::atomics::swap(cas, &turned(value)).map_err(|error| match error {
            behind::atomics::CasError::CasFailed(newer) => CasError::CasFailed(wrapped(newer)),
            behind::atomics::CasError::StoreError(error) => CasError::StoreError(error.into()),
        })
    }
}

fn wrapped(cas: behind::atomics::Cas) -> atomics::Cas {
    atomics::Cas::new(Cas { cas: RefCell::new(Some(cas)) })
}

impl atomics::GuestCas for Cas {
    fn new(bucket: BucketBorrow<'_>, key: String) -> Result<atomics::Cas, Error> {
        Ok(wrapped(behind::atomics::Cas::new(&bucket.get::<Bucket>().0, &key)?))
    }

    fn current(&self) -> Result<Option<Vec<u8>>, Error> {
        let cas = self.cas.borrow();
        let cas = cas.as_ref().expect("a handle is given once");
        Ok(cas.current()?.map(turned))
    }
}

impl batch::Guest for Cipher {
    fn get_many(
        bucket: BucketBorrow<'_>,
        keys: Vec<String>,
    ) -> Result<Vec<(String, Option<Vec<u8>>)>, Error> {
        let got = behind::batch::get_many(&bucket.get::<Bucket>().0, &keys)?;
        Ok(got.into_iter().map(|(key, value)| (key, value.map(turned))).collect())
    }

    fn set_many(bucket: BucketBorrow<'_>, key_values: Vec<(String, Vec<u8>)>) -> Result<(), Error> {
        let turned: Vec<_> =
            key_values.into_iter().map(|(key, value)| (key, turned(value))).collect();
        Ok(behind::batch::set_many(&bucket.get::<Bucket>().0, &turned)?)
    }

    fn delete_many(bucket: BucketBorrow<'_>, keys: Vec<String>) -> Result<(), Error> {
        Ok(behind::batch::delete_many(&bucket.get::<Bucket>().0, &keys)?)
    }
}
