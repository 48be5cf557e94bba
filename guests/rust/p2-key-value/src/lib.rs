//! Uses a key-value store by both drafts of `wasi:keyvalue`: `/DRAFT/OPERATION/BUCKET/KEY`, the value in the body.
//! `/draft2/get-times-NUMBER/BUCKET/KEY` says how long one get takes of that many, in nanoseconds; `set-times` the same
//! of sets.

use std::time::Instant;

use wasip2::{
    http::types::{Fields, IncomingRequest, OutgoingBody, OutgoingResponse, ResponseOutparam},
    io::streams::StreamError,
};

mod bindings {
    wit_bindgen::generate!({
        path: [
            "../../../crates/capabilities/interfaces/wit/wasi-keyvalue-0.2.0-draft.wit",
            "../../../crates/capabilities/interfaces/wit/wasi-keyvalue-0.2.0-draft2.wit",
        ],
        inline: "
            package reef-test:key-value;

            world key-value {
                import wasi:keyvalue/store@0.2.0-draft;
                import wasi:keyvalue/atomics@0.2.0-draft;
                import wasi:keyvalue/batch@0.2.0-draft;
                import wasi:keyvalue/store@0.2.0-draft2;
                import wasi:keyvalue/atomics@0.2.0-draft2;
                import wasi:keyvalue/batch@0.2.0-draft2;
            }
        ",
        world: "reef-test:key-value/key-value",
        generate_all,
    });
}

use bindings::wasi;

/// Bytes of the value that is set and got to time it.
const TIMED: usize = 100;

struct KeyValue;

wasip2::http::proxy::export!(KeyValue);

impl wasip2::exports::http::incoming_handler::Guest for KeyValue {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        let path = request.path_with_query().unwrap_or_default();
        let value = body(&request);
        let parts: Vec<_> = path.trim_start_matches('/').splitn(4, '/').collect();
        let text = match parts[..] {
            ["draft", operation, bucket, key] => draft(operation, bucket, key, value),
            ["draft2", operation, bucket, key] => draft2(operation, bucket, key, value),
            _ => "which?".to_owned(),
        };
        let response = OutgoingResponse::new(Fields::new());
        let body = response.body().expect("the body is taken once");
        ResponseOutparam::set(out, Ok(response));
        let stream = body.write().expect("the stream is taken once");
        for piece in text.as_bytes().chunks(4096) {
            let _ = stream.blocking_write_and_flush(piece);
        }
        drop(stream);
        let _ = OutgoingBody::finish(body, None);
    }
}

fn body(request: &IncomingRequest) -> Vec<u8> {
    let Ok(body) = request.consume() else { return Vec::new() };
    let Ok(stream) = body.stream() else { return Vec::new() };
    let mut all = Vec::new();
    loop {
        match stream.blocking_read(64 << 10) {
            Ok(piece) => all.extend(piece),
            Err(StreamError::Closed) => return all,
            Err(error) => panic!("{error:?}"),
        }
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn draft(operation: &str, bucket: &str, key: &str, value: Vec<u8>) -> String {
    use wasi::keyvalue0_2_0_draft::{atomics, batch, store};
    let run = || -> Result<String, store::Error> {
        let bucket = store::open(bucket)?;
        let keys: Vec<String> = key.split(',').map(str::to_owned).collect();
        Ok(match operation {
            "get" => format!("{:?}", bucket.get(key)?.map(|value| text(&value))),
            "set" => format!("{:?}", bucket.set(key, &value)?),
            "delete" => format!("{:?}", bucket.delete(key)?),
            "exists" => format!("{:?}", bucket.exists(key)?),
            "keys" => {
                let page = bucket.list_keys(key.parse().ok())?;
                format!("{:?} {:?}", page.keys, page.cursor)
            }
            "increment" => {
                let delta = text(&value).parse().expect("a number");
                format!("{:?}", atomics::increment(&bucket, key, delta)?)
            }
            "get-many" => format!("{:?}", batch::get_many(&bucket, &keys)?),
            "set-many" => {
                let pairs: Vec<_> = keys.into_iter().map(|key| (key, value.clone())).collect();
                format!("{:?}", batch::set_many(&bucket, &pairs)?)
            }
            "delete-many" => format!("{:?}", batch::delete_many(&bucket, &keys)?),
            _ => "which?".to_owned(),
        })
    };
    run().unwrap_or_else(|error| format!("{error:?}"))
}

fn draft2(operation: &str, bucket: &str, key: &str, value: Vec<u8>) -> String {
    use wasi::keyvalue0_2_0_draft2::{
        atomics::{self, Cas, CasError},
        batch, store,
    };
    let run = || -> Result<String, store::Error> {
        let bucket = store::open(bucket)?;
        let keys: Vec<String> = key.split(',').map(str::to_owned).collect();
        Ok(match operation {
            "get" => format!("{:?}", bucket.get(key)?.map(|value| text(&value))),
            "set" => format!("{:?}", bucket.set(key, &value)?),
            "delete" => format!("{:?}", bucket.delete(key)?),
            "exists" => format!("{:?}", bucket.exists(key)?),
            "keys" => {
                let page = bucket.list_keys(Some(key).filter(|cursor| !cursor.is_empty()))?;
                format!("{:?} {:?}", page.keys, page.cursor)
            }
            "increment" => {
                let delta = text(&value).parse().expect("a number");
                format!("{:?}", atomics::increment(&bucket, key, delta)?)
            }
            // Appends to the value, again and again until nobody else comes between.
            "append" => {
                let mut cas = Cas::new(&bucket, key)?;
                loop {
                    let mut now = cas.current()?.unwrap_or_default();
                    now.extend(&value);
                    match atomics::swap(cas, &now) {
                        Ok(()) => break text(&now),
                        Err(CasError::CasFailed(newer)) => cas = newer,
                        Err(CasError::StoreError(error)) => return Err(error),
                    }
                }
            }
            "get-many" => format!("{:?}", batch::get_many(&bucket, &keys)?),
            "set-many" => {
                let pairs: Vec<_> = keys.into_iter().map(|key| (key, value.clone())).collect();
                format!("{:?}", batch::set_many(&bucket, &pairs)?)
            }
            "delete-many" => format!("{:?}", batch::delete_many(&bucket, &keys)?),
            _ if operation.contains("-times-") => time(operation, &bucket, key)?,
            _ => "which?".to_owned(),
        })
    };
    run().unwrap_or_else(|error| format!("{error:?}"))
}

fn time(
    operation: &str,
    bucket: &wasi::keyvalue0_2_0_draft2::store::Bucket,
    key: &str,
) -> Result<String, wasi::keyvalue0_2_0_draft2::store::Error> {
    let Some((what, Ok(times))) =
        operation.split_once("-times-").map(|(what, times)| (what, times.parse()))
    else {
        return Ok("how often?".to_owned());
    };
    let value = [7; TIMED];
    if !bucket.exists(key)? {
        bucket.set(key, &value)?;
    }
    let start = Instant::now();
    for _ in 0..times {
        match what {
            "get" => assert_eq!(bucket.get(key)?.map(|value| value.len()), Some(TIMED)),
            _ => bucket.set(key, &value)?,
        }
    }
    let times: u32 = times;
    Ok((start.elapsed() / times.max(1)).as_nanos().to_string())
}
