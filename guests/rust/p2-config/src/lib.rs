//! Says what its configuration is: `/wasi/KEY` by `wasi:config`, `/spin/KEY` by Spin's variables.

use wasip2::http::types::{
    Fields, IncomingRequest, OutgoingBody, OutgoingResponse, ResponseOutparam,
};

mod config {
    wit_bindgen::generate!({
        inline: "
            package reef-test:config;

            world config {
                import wasi:config/store@0.2.0-rc.1;
                import fermyon:spin/variables@2.0.0;
            }

            package wasi:config@0.2.0-rc.1 {
                interface store {
                    variant error { upstream(string), io(string) }
                    get: func(key: string) -> result<option<string>, error>;
                    get-all: func() -> result<list<tuple<string, string>>, error>;
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
        ",
        generate_all,
    });
}

use config::{fermyon::spin::variables, wasi::config::store};

struct Config;

wasip2::http::proxy::export!(Config);

impl wasip2::exports::http::incoming_handler::Guest for Config {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        let path = request.path_with_query().unwrap_or_default();
        let text = match path.trim_start_matches('/').split_once('/') {
            Some(("wasi", key)) => format!("{:?}", store::get(key)),
            Some(("spin", key)) => format!("{:?}", variables::get(key)),
            _ => format!("{:?}", store::get_all()),
        };
        let response = OutgoingResponse::new(Fields::new());
        let body = response.body().expect("the body is taken once");
        ResponseOutparam::set(out, Ok(response));
        let stream = body.write().expect("the stream is taken once");
        let _ = stream.blocking_write_and_flush(text.as_bytes());
        drop(stream);
        let _ = OutgoingBody::finish(body, None);
    }
}
