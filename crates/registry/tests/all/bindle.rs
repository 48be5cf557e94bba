//! `bindle:…`, from a stub: it answers what the protocol's specification says, for want of a server that
//! can still be had.

use reef_artifact::Digest;

use crate::{
    Kit,
    server::{Reply, Request, Server, ok, status},
};

const WASM: &[u8] = b"\0asm\x01\0\0\0";

fn invoice(name: &str, more: &str) -> String {
    format!(
        "bindleVersion = '1.0.0'\n{more}\n[bindle]\nname = '{name}'\nversion = '1.0.0'\n\
         [[parcel]]\n[parcel.label]\nsha256 = '{}'\nmediaType = 'application/wasm'\n\
         name = 'shop.wasm'\nsize = {}\n",
        Digest::of(WASM).hex(),
        WASM.len()
    )
}

fn stub(request: &Request) -> Reply {
    let parcel = format!("@{}", Digest::of(WASM).hex());
    match &*request.path {
        "/v1/_i/example.com/shop/1.0.0" => ok(invoice("example.com/shop", "").as_bytes()),
        "/v1/_i/old/1.0.0" => ok(invoice("old", "yanked = true").as_bytes()),
        "/v1/_i/other/1.0.0" => ok(invoice("example.com/shop", "").as_bytes()),
        "/v1/_i/wrong/1.0.0" => ok(invoice("wrong", "").as_bytes()),
        "/v1/_i/hidden/1.0.0" => status(403),
        path if path == format!("/v1/_i/example.com/shop/1.0.0{parcel}") => ok(WASM),
        path if path == format!("/v1/_i/wrong/1.0.0{parcel}") => ok(b"12345678"),
        _ => status(404),
    }
}

#[tokio::test]
async fn a_bindle_is_asked_for_each_time_and_its_parcel_fetched_once() {
    let (mut kit, server) = (Kit::new(), Server::start(stub).await);
    let base = server.url("/v1");
    let shop = "bindle:example.com/shop/1.0.0";
    for asked in [2, 1] {
        let fetched = kit.fetch_from(shop, None, Some(&base)).await.unwrap();
        assert_eq!(fetched.bytes, WASM);
        assert_eq!(server.asked().len(), asked);
    }
    // From the server of those that name none.
    assert!(kit.fetch(shop, None).await.unwrap_err().to_string().contains("--bindle-server"));
    kit.config.bindle_server = Some(base.clone() + "/");
    assert_eq!(kit.fetch(shop, None).await.unwrap().bytes, WASM);
    server.end().await;
    kit.told.taken();
    assert_eq!(kit.fetch(shop, None).await.unwrap().bytes, WASM);
    assert!(kit.told.taken()[0].starts_with("stale "));
}

#[tokio::test]
async fn what_is_not_there_or_not_to_be_used_is_named() {
    let (mut kit, server) = (Kit::new(), Server::start(stub).await);
    kit.config.bindle_server = Some(server.url("/v1"));
    for (id, part) in [
        ("old/1.0.0", "yanked by its author"),
        ("other/1.0.0", "answers with the invoice of example.com/shop/1.0.0"),
        ("wrong/1.0.0", "its digest is sha256:"),
        ("none/1.0.0", "has no bindle:none/1.0.0"),
        ("hidden/1.0.0", "403 Forbidden"),
        ("shop", "names no bindle"),
        ("shop/1", "not a whole version"),
    ] {
        let error = kit.fetch(&format!("bindle:{id}"), None).await.unwrap_err().to_string();
        assert!(error.contains(part), "{id}: {error}");
    }
}
