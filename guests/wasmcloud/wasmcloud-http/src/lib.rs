//! An HTTP handler written with wasmCloud's own SDK for components: `/count/KEY` counts in the store, `/count/KEY/LINK`
//! in that of another link, `/config/KEY` and `/config` say what is configured, `/log/TEXT` logs, `/echo` answers with
//! what it was sent.

use std::io::Read as _;

use wasmcloud_component::{
    error,
    http::{self, ErrorCode, IncomingRequest, Response, StatusCode},
    info,
    wasi::{config, keyvalue},
    wasmcloud::bus::lattice::{CallTargetInterface, set_link_name},
};

struct Component;

http::export!(Component);

impl http::Server for Component {
    fn handle(request: IncomingRequest) -> http::Result<Response<impl http::OutgoingBody>> {
        let (head, mut body) = request.into_parts();
        let path: Vec<_> = head.uri.path().trim_start_matches('/').split('/').collect();
        let text = match path[..] {
            ["count", key] => count(key),
            ["count", key, link] => {
                let interfaces = ["store", "atomics"];
                let interfaces =
                    interfaces.map(|one| CallTargetInterface::new("wasi", "keyvalue", one));
                match set_link_name(link, interfaces.into()) {
                    Ok(()) => count(key),
                    Err(why) => why,
                }
            }
            ["config", key] => format!("{:?}", config::store::get(key)),
            ["config"] => format!("{:?}", config::store::get_all()),
            ["log", text] => {
                info!("info {text}");
                error!(context: "orders", "error {text}");
                "logged".to_owned()
            }
            ["echo"] => {
                let mut text = String::new();
                let read = body.read_to_string(&mut text);
                read.map_err(|why| ErrorCode::InternalError(Some(why.to_string())))?;
                text
            }
            _ => {
                let mut response = Response::new("nothing is here".to_owned());
                *response.status_mut() = StatusCode::NOT_FOUND;
                return Ok(response);
            }
        };
        Ok(Response::new(text))
    }
}

fn count(key: &str) -> String {
    let bucket = match keyvalue::store::open("default") {
        Ok(bucket) => bucket,
        Err(why) => return format!("{why:?}"),
    };
    format!("{:?}", keyvalue::atomics::increment(&bucket, key, 1))
}
