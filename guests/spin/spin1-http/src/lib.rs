//! An HTTP handler as Spin's SDK 1 made them: `fermyon:spin/inbound-http`, without WASI's HTTP. `/echo`
//! answers with what it was sent, `/config/KEY` with a setting, `/fetch/URL` with what is there, `/status/N`
//! with that status, and `/trap` not at all.

wit_bindgen::generate!({
    inline: "
        package reef-test:spin1;

        world spin1 {
            import fermyon:spin/config;
            import fermyon:spin/http;
            export fermyon:spin/inbound-http;
        }

        package fermyon:spin {
            interface config {
                variant error {
                    provider(string), invalid-key(string), invalid-schema(string), other(string),
                }
                get-config: func(key: string) -> result<string, error>;
            }
            interface http-types {
                type http-status = u16;
                type body = list<u8>;
                type headers = list<tuple<string, string>>;
                type params = list<tuple<string, string>>;
                type uri = string;
                enum method { get, post, put, delete, patch, head, options }
                record request {
                    method: method, uri: uri, headers: headers, params: params, body: option<body>,
                }
                record response { status: http-status, headers: option<headers>, body: option<body> }
                enum http-error {
                    success, destination-not-allowed, invalid-url, request-error, runtime-error,
                    too-many-requests,
                }
            }
            interface http {
                use http-types.{request, response, http-error};
                send-request: func(req: request) -> result<response, http-error>;
            }
            interface inbound-http {
                use http-types.{request, response};
                handle-request: func(req: request) -> response;
            }
        }
    ",
    generate_all,
});

use exports::fermyon::spin::inbound_http::{Guest, Request, Response};
use fermyon::spin::{
    config, http,
    http_types::{HttpError, Method},
};

struct Spin1;

export!(Spin1);

fn answer(status: u16, body: impl Into<Vec<u8>>) -> Response {
    let headers = vec![("x-spin".to_owned(), "1".to_owned())];
    Response { status, headers: Some(headers), body: Some(body.into()) }
}

impl Guest for Spin1 {
    fn handle_request(request: Request) -> Response {
        let uri = request.uri.clone();
        let path = uri.split('?').next().unwrap_or_default().trim_start_matches('/');
        match path.split_once('/').unwrap_or((path, "")) {
            ("echo", _) => {
                let mut said = format!("{:?} {uri}\n", request.method);
                for (name, value) in &request.headers {
                    said.push_str(&format!("{name}: {value}\n"));
                }
                let mut body = said.into_bytes();
                body.extend(request.body.unwrap_or_default());
                answer(200, body)
            }
            ("config", key) => answer(200, format!("{:?}", config::get_config(key))),
            ("fetch", url) => {
                let request = Request {
                    method: Method::Get,
                    uri: url.to_owned(),
                    headers: vec![("x-asked-by".to_owned(), "spin1".to_owned())],
                    params: Vec::new(),
                    body: None,
                };
                match http::send_request(&request) {
                    Ok(response) => answer(response.status, response.body.unwrap_or_default()),
                    Err(HttpError::DestinationNotAllowed) => answer(502, "destination not allowed"),
                    Err(HttpError::InvalidUrl) => answer(502, "invalid url"),
                    Err(error) => answer(502, format!("{error:?}")),
                }
            }
            ("status", status) => answer(status.parse().unwrap_or(7), ""),
            ("trap", _) => core::arch::wasm32::unreachable(),
            _ => answer(404, "nothing is here\n"),
        }
    }
}
