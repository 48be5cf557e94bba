//! Reads configuration and secrets by the interfaces whose functions are asynchronous: `/spin-3/KEY`, `/secrets-2/KEY`.

use wasip3::http::types::{ErrorCode, Fields, Request, Response};
use wasip3::{wit_future, wit_stream};

mod bindings {
    wit_bindgen::generate!({
        inline: "
            package reef-test:values;

            world values {
                import spin:variables/variables@3.0.0;
                import wasmcloud:secrets/store@2.1.0;
                import wasmcloud:secrets/reveal@2.1.0;
            }

            package spin:variables@3.0.0 {
                interface variables {
                    variant error {
                        invalid-name(string), undefined(string), provider(string), other(string),
                    }
                    get: async func(name: string) -> result<string, error>;
                }
            }

            package wasmcloud:secrets@2.1.0 {
                interface store {
                    variant secrets-error { upstream(string), io(string), not-found }
                    variant secret-value { %string(string), bytes(list<u8>) }
                    resource secret;
                    get: async func(key: string) -> result<secret, secrets-error>;
                }
                interface reveal {
                    use store.{secret, secret-value};
                    reveal: async func(s: borrow<secret>) -> secret-value;
                }
            }
        ",
        world: "reef-test:values/values",
        generate_all,
    });
}

use bindings::{
    spin::variables::variables,
    wasmcloud::secrets::{reveal, store},
};

struct Values;

wasip3::http::service::export!(Values);

impl wasip3::exports::http::handler::Guest for Values {
    async fn handle(request: Request) -> Result<Response, ErrorCode> {
        let path = request.get_path_with_query().unwrap_or_default();
        let text = match path.trim_start_matches('/').split_once('/') {
            Some(("spin-3", key)) => format!("{:?}", variables::get(key.to_owned()).await),
            Some(("secrets-2", key)) => match store::get(key.to_owned()).await {
                Ok(secret) => format!("{:?}", reveal::reveal(&secret).await),
                Err(error) => format!("{error:?}"),
            },
            _ => "which?".to_owned(),
        };
        let (mut body, reader) = wit_stream::new();
        // Dropping the writer sends the default: no trailers.
        let (_, trailers) = wit_future::new(|| Ok(None));
        let (response, _sent) = Response::new(Fields::new(), Some(reader), trailers);
        wasip3::spawn_local(async move {
            let _unread = body.write_all(text.into_bytes()).await;
        });
        Ok(response)
    }
}
