//! Uses key-value stores by the asynchronous interfaces, Spin's and wasmCloud's:
//! `/spin3/OPERATION/STORE/KEY` and `/wasmcloud/OPERATION/BUCKET/KEY`, the value in the body.

use wasip3::http::types::{ErrorCode, Fields, Request, Response};
use wasip3::{wit_future, wit_stream};

mod bindings {
    wit_bindgen::generate!({
        path: [
            "../../../crates/capabilities/interfaces/wit/spin-key-value-3.0.0.wit",
            "../../../crates/capabilities/interfaces/wit/wasmcloud-keyvalue-0.2.0.wit",
        ],
        inline: "
            package reef-test:async-key-value;

            world async-key-value {
                import spin:key-value/key-value@3.0.0;
                import wasmcloud:keyvalue/store@0.2.0;
                import wasmcloud:keyvalue/atomics@0.2.0;
                import wasmcloud:keyvalue/cas@0.2.0;
                import wasmcloud:keyvalue/batch@0.2.0;
            }
        ",
        world: "reef-test:async-key-value/async-key-value",
        generate_all,
    });
}

use bindings::{
    spin::key_value::key_value as spin3,
    wasmcloud::keyvalue::{
        atomics, batch,
        cas::{self, CasOptions},
        store,
        types::{Error, SetOptions},
    },
};

struct KeyValue;

wasip3::http::service::export!(KeyValue);

impl wasip3::exports::http::handler::Guest for KeyValue {
    async fn handle(request: Request) -> Result<Response, ErrorCode> {
        let path = request.get_path_with_query().unwrap_or_default();
        let (_, done) = wit_future::new(|| Ok(()));
        let (body, _trailers) = Request::consume_body(request, done);
        let value = body.collect().await;
        let parts: Vec<_> = path.trim_start_matches('/').splitn(4, '/').collect();
        let text = match parts[..] {
            ["spin3", operation, store, key] => spin(operation, store, key, value).await,
            ["wasmcloud", operation, bucket, key] => wasmcloud(operation, bucket, key, value).await,
            _ => "which?".to_owned(),
        };
        let (mut writer, reader) = wit_stream::new();
        let (_, trailers) = wit_future::new(|| Ok(None));
        let (response, _sent) = Response::new(Fields::new(), Some(reader), trailers);
        wasip3::spawn_local(async move {
            let _unread = writer.write_all(text.into_bytes()).await;
        });
        Ok(response)
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

async fn spin(operation: &str, name: &str, key: &str, value: Vec<u8>) -> String {
    let run = async || -> Result<String, spin3::Error> {
        let store = spin3::Store::open(name.to_owned()).await?;
        let key = key.to_owned();
        Ok(match operation {
            "get" => format!("{:?}", store.get(key).await?.map(|value| text(&value))),
            "set" => format!("{:?}", store.set(key, value).await?),
            "delete" => format!("{:?}", store.delete(key).await?),
            "exists" => format!("{:?}", store.exists(key).await?),
            "keys" => {
                let (keys, end) = store.get_keys().await;
                let mut keys = keys.collect().await;
                keys.sort();
                format!("{keys:?} {:?}", end.await)
            }
            // Reads one key, and wants no more.
            "some-keys" => {
                let (mut keys, end) = store.get_keys().await;
                let first = keys.next().await;
                drop(keys);
                format!("{} {:?}", first.is_some(), end.await)
            }
            _ => "which?".to_owned(),
        })
    };
    run().await.unwrap_or_else(|error| format!("{error:?}"))
}

async fn wasmcloud(operation: &str, bucket: &str, key: &str, value: Vec<u8>) -> String {
    let run = async || -> Result<String, Error> {
        let bucket = store::open(bucket.to_owned()).await?;
        let keys: Vec<String> = key.split(',').map(str::to_owned).collect();
        let key = key.to_owned();
        let set = async |ttl_ms, if_not_exists| {
            let options = SetOptions { ttl_ms, if_not_exists };
            bucket.set(key.clone(), value.clone(), Some(options)).await
        };
        Ok(match operation {
            "get" => format!("{:?}", bucket.get(key).await?.map(|value| text(&value))),
            "set" => format!("{:?}", bucket.set(key, value, None).await?),
            "set-new" => format!("{:?}", set(None, true).await?),
            "set-briefly" => format!("{:?}", set(Some(300), false).await?),
            "delete" => format!("{:?}", bucket.delete(key).await?),
            "exists" => format!("{:?}", bucket.exists(key).await?),
            "keys" => {
                let page = bucket.list_keys(Some(key), None).await?;
                format!("{:?} {:?}", page.keys, page.cursor)
            }
            "increment" => {
                let delta = text(&value).parse().expect("a number");
                format!("{:?}", atomics::increment(&bucket, key, delta).await?)
            }
            // Appends to the value, unless somebody else comes between.
            "append" => {
                let now = cas::current(&bucket, key.clone()).await?.expect("there is a value");
                let mut next = now.value.clone();
                next.extend(&value);
                let options =
                    CasOptions { require_version: Some(now.version), require_value: None };
                let first = cas::swap(&bucket, key.clone(), next.clone(), options.clone()).await?;
                let second = cas::swap(&bucket, key, next, options).await?;
                format!("{first:?} {}", matches!(second, cas::CasResult::Stale(Some(_))))
            }
            // Replaces the value `old`.
            "replace" => {
                let options =
                    CasOptions { require_version: None, require_value: Some(b"old".to_vec()) };
                format!("{:?}", cas::swap(&bucket, key, value, options).await?)
            }
            "swap-without-condition" => {
                let options = CasOptions { require_version: None, require_value: None };
                format!("{:?}", cas::swap(&bucket, key, value, options).await?)
            }
            "get-many" => format!("{:?}", batch::get_many(&bucket, keys).await?),
            "set-many" => {
                let pairs = keys.into_iter().map(|key| (key, value.clone())).collect();
                format!("{:?}", batch::set_many(&bucket, pairs).await?)
            }
            "delete-many" => format!("{:?}", batch::delete_many(&bucket, keys).await?),
            // Many at once.
            "together" => {
                let sums = (0..20).map(|_| atomics::increment(&bucket, key.clone(), 1));
                let sums = futures::future::join_all(sums).await;
                format!("{:?}", sums.into_iter().collect::<Result<Vec<_>, _>>()?.iter().max())
            }
            _ => "which?".to_owned(),
        })
    };
    run().await.unwrap_or_else(|error| format!("{error:?}"))
}
