//! Uses key-value stores as components of Spin do, by its first two interfaces, and chooses links as components of
//! wasmCloud do: `/spin1/OPERATION/STORE/KEY`, `/spin2/…`, `/bus1/LINK/BUCKET/KEY` and `/bus2/…`, the value in the body.

use wasip2::{
    http::types::{Fields, IncomingRequest, OutgoingBody, OutgoingResponse, ResponseOutparam},
    io::streams::StreamError,
};

mod bindings {
    wit_bindgen::generate!({
        path: [
            "../../../crates/capabilities/interfaces/wit/fermyon-spin-key-value.wit",
            "../../../crates/capabilities/interfaces/wit/fermyon-spin-2.0.0-key-value.wit",
            "../../../crates/capabilities/interfaces/wit/wasmcloud-bus-1.0.0.wit",
            "../../../crates/capabilities/interfaces/wit/wasmcloud-bus-2.0.1.wit",
            "../../../crates/capabilities/interfaces/wit/wasi-keyvalue-0.2.0-draft.wit",
        ],
        inline: "
            package reef-test:spin-key-value;

            world spin-key-value {
                import fermyon:spin/key-value;
                import fermyon:spin/key-value@2.0.0;
                import wasmcloud:bus/lattice@1.0.0;
                import wasmcloud:bus/lattice@2.0.1;
                import wasi:keyvalue/store@0.2.0-draft;
            }
        ",
        world: "reef-test:spin-key-value/spin-key-value",
        generate_all,
    });
}

use bindings::{
    fermyon::{spin::key_value as spin1, spin2_0_0::key_value as spin2},
    wasi::keyvalue::store,
    wasmcloud::{bus1_0_0::lattice as bus1, bus2_0_1::lattice as bus2},
};

struct KeyValue;

wasip2::http::proxy::export!(KeyValue);

impl wasip2::exports::http::incoming_handler::Guest for KeyValue {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        let path = request.path_with_query().unwrap_or_default();
        let value = body(&request);
        let parts: Vec<_> = path.trim_start_matches('/').splitn(4, '/').collect();
        let text = match parts[..] {
            ["spin1", operation, store, key] => first(operation, store, key, value),
            ["spin2", operation, store, key] => second(operation, store, key, value),
            ["bus1", link, bucket, key] => {
                let target = bus1::CallTargetInterface::new("wasi", "keyvalue", "store");
                bus1::set_link_name(link, vec![target]);
                over(bucket, key, &value)
            }
            ["bus2", link, bucket, key] => {
                let target = bus2::CallTargetInterface::new("wasi", "keyvalue", "store");
                match bus2::set_link_name(link, vec![target]) {
                    Ok(()) => over(bucket, key, &value),
                    Err(why) => why,
                }
            }
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

fn first(operation: &str, name: &str, key: &str, value: Vec<u8>) -> String {
    let run = || -> Result<String, spin1::Error> {
        let store = spin1::open(name)?;
        let said = match operation {
            "get" => format!("{:?}", text(&spin1::get(store, key)?)),
            "set" => format!("{:?}", spin1::set(store, key, &value)?),
            "delete" => format!("{:?}", spin1::delete(store, key)?),
            "exists" => format!("{:?}", spin1::exists(store, key)?),
            "keys" => format!("{:?}", spin1::get_keys(store)?),
            // What is closed is open no more, and closing it again does nothing.
            "closed" => {
                spin1::close(store);
                spin1::close(store);
                format!("{:?} {:?}", spin1::get(store, key), spin1::get(4_000_000, key))
            }
            _ => "which?".to_owned(),
        };
        spin1::close(store);
        Ok(said)
    };
    run().unwrap_or_else(|error| format!("{error:?}"))
}

fn second(operation: &str, name: &str, key: &str, value: Vec<u8>) -> String {
    let run = || -> Result<String, spin2::Error> {
        let store = spin2::Store::open(name)?;
        Ok(match operation {
            "get" => format!("{:?}", store.get(key)?.map(|value| text(&value))),
            "set" => format!("{:?}", store.set(key, &value)?),
            "delete" => format!("{:?}", store.delete(key)?),
            "exists" => format!("{:?}", store.exists(key)?),
            "keys" => format!("{:?}", store.get_keys()?),
            _ => "which?".to_owned(),
        })
    };
    run().unwrap_or_else(|error| format!("{error:?}"))
}

/// Sets a value and gets it, if there is one; or gets what there is.
fn over(bucket: &str, key: &str, value: &[u8]) -> String {
    let run = || -> Result<String, store::Error> {
        let bucket = store::open(bucket)?;
        if !value.is_empty() {
            bucket.set(key, value)?;
        }
        Ok(format!("{:?}", bucket.get(key)?.map(|value| text(&value))))
    };
    run().unwrap_or_else(|error| format!("{error:?}"))
}
