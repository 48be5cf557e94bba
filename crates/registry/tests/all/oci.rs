//! `oci://…`, from registries that misbehave: what a real one does is tested with the binary.

use reef_artifact::Digest;

use crate::{
    Kit,
    server::{Reply, Request, Server, ok, status},
};

const WASM: &[u8] = b"\0asm\x01\0\0\0";

fn manifest(wasm: &[u8]) -> String {
    format!(
        r#"{{"schemaVersion":2,
            "config":{{"mediaType":"application/vnd.wasm.config.v0+json","digest":"{}","size":2}},
            "layers":[{{"mediaType":"application/wasm","digest":"{}","size":{}}}]}}"#,
        Digest::of(b"{}"),
        Digest::of(wasm),
        wasm.len()
    )
}

fn index() -> String {
    let digest = Digest::of(manifest(WASM).as_bytes());
    format!(
        r#"{{"schemaVersion":2,"manifests":[
            {{"mediaType":"a","digest":"{}","size":1,"platform":{{"os":"linux","architecture":"amd64"}}}},
            {{"mediaType":"a","digest":"{digest}","size":1,"platform":{{"os":"wasip2","architecture":"wasm"}}}}]}}"#,
        Digest::of(b"other")
    )
}

/// A registry with one artifact in it.
fn registry(request: &Request) -> Reply {
    let by_digest = format!("/v2/shop/front/manifests/{}", Digest::of(manifest(WASM).as_bytes()));
    let blob = format!("/v2/shop/front/blobs/{}", Digest::of(WASM));
    match &*request.path {
        "/v2/shop/front/manifests/1" => ok(manifest(WASM).as_bytes()),
        "/v2/shop/front/manifests/all" => ok(index().as_bytes()),
        path if path == by_digest => ok(manifest(WASM).as_bytes()),
        path if path == blob => ok(WASM),
        _ => status(404),
    }
}

#[tokio::test]
async fn a_tag_is_asked_for_each_time_and_its_layer_fetched_once() {
    let (kit, server) = (Kit::new(), Server::start(registry).await);
    let tag = format!("oci://{}/shop/front:1", server.host);
    assert_eq!(kit.fetch(&tag, None).await.unwrap().bytes, WASM);
    assert_eq!(server.asked().len(), 2);
    assert_eq!(kit.fetch(&tag, None).await.unwrap().bytes, WASM);
    assert_eq!(server.asked(), ["/v2/shop/front/manifests/1"]);
    assert_eq!(kit.told.taken().len(), 2);

    // By the digest of the layer, nobody is asked.
    let digest = Digest::of(WASM).to_string();
    assert_eq!(kit.fetch(&tag, Some(&digest)).await.unwrap().bytes, WASM);
    // By the digest of the manifest, once.
    let manifest = Digest::of(manifest(WASM).as_bytes());
    let pinned = format!("oci://{}/shop/front@{manifest}", server.host);
    for asked in [1, 0] {
        assert_eq!(kit.fetch(&pinned, None).await.unwrap().bytes, WASM);
        assert_eq!(server.asked().len(), asked);
    }
    // With nobody to ask, a tag is what it was.
    server.end().await;
    assert_eq!(kit.fetch(&tag, None).await.unwrap().bytes, WASM);
    let told = kit.told.taken();
    assert!(told[0].starts_with("stale sha256:"), "{told:?}");
}

#[tokio::test]
async fn of_an_index_what_is_for_wasm_is_taken() {
    let (kit, server) = (Kit::new(), Server::start(registry).await);
    let fetched = kit.fetch(&format!("oci://{}/shop/front:all", server.host), None).await;
    assert_eq!(fetched.unwrap().bytes, WASM);
}

#[tokio::test]
async fn what_is_not_there_or_not_what_it_should_be_is_named() {
    let wrong = |request: &Request| match &*request.path {
        "/v2/a/html/manifests/1" => ok(b"<html>"),
        "/v2/a/large/manifests/1" => Reply::Endless(b"HTTP/1.1 200 OK\r\n\r\n".into()),
        path if path.starts_with("/v2/a/other/manifests/") => ok(manifest(WASM).as_bytes()),
        path if path.starts_with("/v2/a/other/blobs/") => ok(b"12345678"),
        path if path.starts_with("/v2/a/long/manifests/") => ok(manifest(WASM).as_bytes()),
        path if path.starts_with("/v2/a/long/blobs/") => {
            Reply::Endless(b"HTTP/1.1 200 OK\r\n\r\n".into())
        }
        "/v2/a/tar/manifests/1" => ok(manifest(WASM)
            .replace("application/wasm", "application/vnd.oci.image.layer.v1.tar")
            .as_bytes()),
        _ => status(404),
    };
    let (kit, server) = (Kit::new(), Server::start(wrong).await);
    for (name, part) in [
        ("html:1", "is no manifest"),
        ("large:1", "is larger than 4MiB"),
        ("other:1", "its digest is sha256:"),
        (&format!("other@sha256:{}", "00".repeat(32)), "its digest is sha256:"),
        ("long:1", "is larger than 8B"),
        ("tar:1", "wkg oci push"),
        ("none:1", "has no oci://"),
    ] {
        let reference = format!("oci://{}/a/{name}", server.host);
        let error = kit.fetch(&reference, None).await.unwrap_err().to_string();
        assert!(error.contains(part), "{name}: {error}");
    }
    let pin = format!("sha256:{}", "00".repeat(32));
    let tag = format!("oci://{}/a/other:1", server.host);
    let error = kit.fetch(&tag, Some(&pin)).await.unwrap_err().to_string();
    assert!(error.contains(&pin), "{error}");
}

#[tokio::test]
async fn a_token_is_fetched_where_the_registry_says() {
    let tokens = Server::start(|request| {
        assert!(request.path.contains("service=shop"), "{}", request.path);
        if request.path.contains("scope=repository%3Ashop%2Ffront%3Apull") {
            ok(br#"{"token":"hush"}"#)
        } else {
            status(401)
        }
    })
    .await;
    let realm = format!("Bearer realm=\"{}\",service=\"shop\"", tokens.url("/token"));
    // Blobs are elsewhere, where the token is none of anybody's business.
    let blobs = Server::start(|request| {
        assert_eq!(request.headers.get("authorization"), None);
        ok(WASM)
    })
    .await;
    let elsewhere = blobs.url("/blob");
    let server = Server::start(move |request| {
        let authorization = request.headers.get("authorization").map(String::as_str);
        match authorization {
            Some("Bearer hush") if request.path.contains("/blobs/") => {
                Reply::Full(307, vec![("location", elsewhere.clone())], Vec::new())
            }
            Some("Bearer hush") => registry(request),
            None => Reply::Full(401, vec![("www-authenticate", realm.clone())], Vec::new()),
            other => panic!("{other:?}"),
        }
    })
    .await;
    let kit = Kit::new();
    let fetched = kit.fetch(&format!("oci://{}/shop/front:1", server.host), None).await;
    assert_eq!(fetched.unwrap().bytes, WASM);
    assert_eq!(tokens.asked().len(), 1);

    let error = kit.fetch(&format!("oci://{}/private/front:1", server.host), None).await;
    let error = error.unwrap_err().to_string();
    assert!(error.contains(&format!("log in with `docker login {}`", server.host)), "{error}");
    assert!(!error.contains("hush"), "{error}");
}

#[tokio::test]
async fn what_cannot_be_let_in_says_so() {
    for (challenge, part) in [
        (Some("Negotiate"), "does not have: Negotiate"),
        (Some("Basic realm=\"x\""), "docker login"),
        (Some("Bearer realm=\"http://192.0.2.1/token\""), "is not encrypted"),
        (Some("Bearer realm=\"http://me:hush@localhost/token\""), "do not belong into it"),
        (None, "does not have"),
    ] {
        let headers: Vec<_> =
            challenge.iter().map(|text| ("www-authenticate", (*text).to_owned())).collect();
        let server = Server::start(move |_| Reply::Full(401, headers.clone(), Vec::new())).await;
        let error = Kit::new().fetch(&format!("oci://{}/a/b:1", server.host), None).await;
        let error = error.unwrap_err().to_string();
        assert!(error.contains(part), "{challenge:?}: {error}");
        assert!(!error.contains("hush"), "{error}");
    }
}
