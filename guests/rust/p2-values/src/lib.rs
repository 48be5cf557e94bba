//! Reads configuration and secrets by every interface whose functions are called in turn: `/INTERFACE/KEY`, or
//! `/INTERFACE` for all. `/secrets.../KEY/held` gets a secret and does not reveal it.

use wasip2::http::types::{
    Fields, IncomingRequest, OutgoingBody, OutgoingResponse, ResponseOutparam,
};

mod bindings {
    wit_bindgen::generate!({
        inline: "
            package reef-test:values;

            world values {
                import wasi:config/store@0.2.0-rc.1;
                import wasi:config/store@0.2.0-draft-2024-09-27;
                import wasi:config/store@0.2.0-draft;
                import wasi:config/runtime@0.2.0-draft;
                import fermyon:spin/config;
                import fermyon:spin/variables@2.0.0;
                import wasmcloud:secrets/store@0.1.0-draft;
                import wasmcloud:secrets/reveal@0.1.0-draft;
                import wasmcloud:secrets/store@1.0.0;
                import wasmcloud:secrets/reveal@1.0.0;
            }

            package wasi:config@0.2.0-rc.1 {
                interface store {
                    variant error { upstream(string), io(string) }
                    get: func(key: string) -> result<option<string>, error>;
                    get-all: func() -> result<list<tuple<string, string>>, error>;
                }
            }

            package wasi:config@0.2.0-draft-2024-09-27 {
                interface store {
                    variant error { upstream(string), io(string) }
                    get: func(key: string) -> result<option<string>, error>;
                    get-all: func() -> result<list<tuple<string, string>>, error>;
                }
            }

            package wasi:config@0.2.0-draft {
                interface store {
                    variant error { upstream(string), io(string) }
                    get: func(key: string) -> result<option<string>, error>;
                    get-all: func() -> result<list<tuple<string, string>>, error>;
                }
                interface runtime {
                    variant config-error { upstream(string), io(string) }
                    get: func(key: string) -> result<option<string>, config-error>;
                    get-all: func() -> result<list<tuple<string, string>>, config-error>;
                }
            }

            package fermyon:spin {
                interface config {
                    variant error {
                        provider(string), invalid-key(string), invalid-schema(string), other(string),
                    }
                    get-config: func(key: string) -> result<string, error>;
                }
            }

            package fermyon:spin@2.0.0 {
                interface variables {
                    variant error {
                        invalid-name(string), undefined(string), provider(string), other(string),
                    }
                    get: func(name: string) -> result<string, error>;
                }
            }

            package wasmcloud:secrets@0.1.0-draft {
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
        world: "reef-test:values/values",
        generate_all,
    });
}

use bindings::{fermyon, wasi, wasmcloud};

struct Values;

wasip2::http::proxy::export!(Values);

/// `wasi:config` under one of its names.
macro_rules! config {
    ($module:path, $key:expr) => {{
        use $module as store;
        match $key {
            Some(key) => format!("{:?}", store::get(key)),
            None => format!("{:?}", store::get_all()),
        }
    }};
}

/// `wasmcloud:secrets` under one of its versions.
macro_rules! secret {
    ($package:path, $key:expr) => {{
        use $package as package;
        let key = $key.unwrap_or_default();
        let (key, held) = match key.strip_suffix("/held") {
            Some(key) => (key, true),
            None => (key, false),
        };
        match package::store::get(key) {
            Ok(secret) if held => format!("held: {}", secret.handle() != 0),
            Ok(secret) => format!("{:?}", package::reveal::reveal(&secret)),
            Err(error) => format!("{error:?}"),
        }
    }};
}

impl wasip2::exports::http::incoming_handler::Guest for Values {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        let path = request.path_with_query().unwrap_or_default();
        let path = path.trim_start_matches('/');
        let (interface, key) = match path.split_once('/') {
            Some((interface, key)) => (interface, Some(key)),
            None => (path, None),
        };
        let text = match interface {
            "rc.1" => config!(wasi::config0_2_0_rc_1::store, key),
            "2024-09-27" => config!(wasi::config0_2_0_draft_2024_09_27::store, key),
            "draft" => config!(wasi::config0_2_0_draft::store, key),
            "runtime" => config!(wasi::config0_2_0_draft::runtime, key),
            "spin-1" => format!("{:?}", fermyon::spin::config::get_config(key.unwrap_or_default())),
            "spin-2" => {
                format!("{:?}", fermyon::spin2_0_0::variables::get(key.unwrap_or_default()))
            }
            "secrets-0.1" => secret!(wasmcloud::secrets0_1_0_draft, key),
            "secrets-1" => secret!(wasmcloud::secrets1_0_0, key),
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
