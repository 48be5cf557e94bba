//! An HTTP handler as those of wasmCloud are written today, with `wstd` and bindings of its own: `/count/KEY` counts in
//! the store, `/config/KEY` says what is configured, `/log/TEXT` logs, `/fetch/URL` answers with what is there, `/echo`
//! with what it was sent, and `/later` after a while.

use wstd::{
    http::{Body, Client, Request, Response, StatusCode},
    task,
    time::Duration,
};

mod bindings {
    wit_bindgen::generate!({
        inline: "
            package reef-test:wstd;

            world wstd {
                import wasi:config/store@0.2.0-rc.1;
                import wasi:keyvalue/store@0.2.0-draft;
                import wasi:keyvalue/atomics@0.2.0-draft;
                import wasi:logging/logging@0.1.0-draft;
            }

            package wasi:config@0.2.0-rc.1 {
                interface store {
                    variant error { upstream(string), io(string) }
                    get: func(key: string) -> result<option<string>, error>;
                    get-all: func() -> result<list<tuple<string, string>>, error>;
                }
            }

            package wasi:keyvalue@0.2.0-draft {
                interface store {
                    variant error { no-such-store, access-denied, other(string) }
                    record key-response { keys: list<string>, cursor: option<u64> }
                    open: func(identifier: string) -> result<bucket, error>;
                    resource bucket {
                        get: func(key: string) -> result<option<list<u8>>, error>;
                        set: func(key: string, value: list<u8>) -> result<_, error>;
                        delete: func(key: string) -> result<_, error>;
                        exists: func(key: string) -> result<bool, error>;
                        list-keys: func(cursor: option<u64>) -> result<key-response, error>;
                    }
                }
                interface atomics {
                    use store.{bucket, error};
                    increment: func(bucket: borrow<bucket>, key: string, delta: u64) -> result<u64, error>;
                }
            }

            package wasi:logging@0.1.0-draft {
                interface logging {
                    enum level { trace, debug, info, warn, error, critical }
                    log: func(level: level, context: string, message: string);
                }
            }
        ",
        world: "reef-test:wstd/wstd",
        generate_all,
    });
}

use bindings::wasi::{
    config::store as config,
    keyvalue::{atomics, store},
    logging::logging::{Level, log},
};

#[wstd::http_server]
async fn main(mut request: Request<Body>) -> Result<Response<Body>, wstd::http::Error> {
    let path = request.uri().path().to_owned();
    let path = path.trim_start_matches('/');
    let text = match path.split_once('/').unwrap_or((path, "")) {
        ("count", key) => {
            let counted =
                store::open("default").and_then(|bucket| atomics::increment(&bucket, key, 1));
            format!("{counted:?}")
        }
        ("config", key) => format!("{:?}", config::get(key)),
        ("log", text) => {
            log(Level::Warn, "orders", text);
            "logged".to_owned()
        }
        ("fetch", url) => {
            let mut response = Client::new().send(Request::get(url).body(Body::empty())?).await?;
            response.body_mut().str_contents().await?.to_owned()
        }
        ("echo", _) => request.body_mut().str_contents().await?.to_owned(),
        ("later", _) => {
            task::sleep(Duration::from_millis(20)).await;
            "late".to_owned()
        }
        _ => {
            let response = Response::builder().status(StatusCode::NOT_FOUND);
            return Ok(response.body("nothing is here".to_owned().into())?);
        }
    };
    Ok(Response::new(text.into()))
}
