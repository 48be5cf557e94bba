//! S3 against a server that speaks it. No server of Azure's or Google's kind is to be had: of those, the requests
//! that are made, and what their refusals become.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Mutex,
    time::Duration,
};

use http_body_util::{BodyExt as _, Full};
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use reef_blob_store::CONTAINER;
use s3s::{auth::SimpleAuth, service::S3ServiceBuilder};
use tokio::net::TcpListener;

use super::*;

const BUCKET: &str = "reef";
const KEY: (&str, &str) = ("reef-access", "reef-secret");

/// An S3 server with one bucket, and the folder that it is in.
struct S3 {
    addr: SocketAddr,
    folder: tempfile::TempDir,
}

impl S3 {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join(BUCKET)).unwrap();
        let mut service = S3ServiceBuilder::new(s3s_fs::FileSystem::new(folder.path()).unwrap());
        service.set_auth(SimpleAuth::from_single(KEY.0, KEY.1));
        let service = service.build();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let addr = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let service = service.clone();
                tokio::spawn(async move {
                    let server = http1::Builder::new();
                    let _ = server.serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        Self { addr, folder }
    }

    fn store(&self, more: &[(&str, &str)]) -> Arc<dyn BlobStore> {
        let endpoint = format!("http://{}", self.addr);
        let mut settings = vec![
            ("endpoint", &*endpoint),
            ("s3-bucket", BUCKET),
            ("access-key", KEY.0),
            ("secret-key", KEY.1),
        ];
        for (name, value) in more {
            settings.retain(|(one, _)| one != name);
            settings.push((name, value));
        }
        opened("s3", &settings, None).unwrap()
    }

    /// Parts of uploads that the server keeps.
    fn parts(&self) -> usize {
        let all = std::fs::read_dir(self.folder.path()).unwrap().flatten();
        all.filter(|file| file.file_name().to_string_lossy().contains(".upload_id-")).count()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_does_what_every_backend_does() {
    let server = S3::start().await;
    let store = server.store(&[("prefix", "some/where"), ("part-size", "5MiB")]);
    // This server's keys are paths of files: it cannot have both `a` and `a/b`.
    suite::all_but_nested(&*store, "t", suite::MANY).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn large_objects_go_in_parts_and_dropped_ones_leave_none() {
    let server = S3::start().await;
    let store = server.store(&[("part-size", "5MiB")]);
    store.create_container("c").await.unwrap();
    let content = pattern(12 << 20);
    let pieces: Vec<_> = content.chunks(1 << 20).collect();
    put(&*store, at("c", "x"), &pieces).await.unwrap();
    assert!(get(&*store, at("c", "x")).await.unwrap() == content);
    assert_eq!(std::fs::read(server.folder.path().join("reef/c/x")).unwrap().len(), 12 << 20);

    let mut upload = store.write(at("c", "y")).await.unwrap();
    for piece in pieces {
        upload.write(Bytes::copy_from_slice(piece)).await.unwrap();
    }
    drop(upload);
    let gone = async {
        while server.parts() > 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(120), gone).await.unwrap();
    assert_eq!(names(&*store, "c").await.unwrap(), ["x"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_others_filled_is_a_container() {
    let server = S3::start().await;
    let folder = server.folder.path().join("reef/photos/2026");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("a.jpg"), "jpg").unwrap();
    let store = server.store(&[]);
    assert_eq!(store.container_info("photos").await.unwrap().created, None);
    assert_eq!(names(&*store, "photos").await.unwrap(), ["2026/a.jpg"]);
    assert_eq!(get(&*store, at("photos", "2026/a.jpg")).await.unwrap(), b"jpg");
    assert!(is_missing(CONTAINER, &store.container_info("music").await));
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_credentials_are_refused_and_told_without_them() {
    let server = S3::start().await;
    let store = server.store(&[("secret-key", "hunter2")]);
    let refused = store.container_info("c").await.unwrap_err();
    assert!(matches!(refused, Failure::Denied(_)), "{refused:?}");
    assert!(!format!("{refused:?}").contains("hunter2"), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_away_is_unreachable_and_one_that_is_silent_costs_the_deadline() {
    let nobody = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let endpoint = format!("http://{}", nobody.local_addr().unwrap());
    let settings = [("endpoint", &*endpoint), ("s3-bucket", BUCKET)];
    let silent = opened("s3", &settings, None).unwrap();
    let policy = Policy { timeout: Duration::from_millis(400), ..Policy::default() };
    let begun = std::time::Instant::now();
    let done = linked(silent.clone(), "c", policy.clone()).exists(&caller()).await;
    assert!(matches!(done, Err(Failure::Timeout(_))), "{done:?}");
    assert!(begun.elapsed() < Duration::from_secs(20));
    drop(nobody);
    let policy = Policy { timeout: Duration::from_secs(5), ..policy };
    let done = linked(silent, "c", policy).exists(&caller()).await;
    assert!(matches!(done, Err(Failure::Unavailable { maybe_done: false, .. })), "{done:?}");
}

/// Answers every request alike, and keeps what it was asked.
struct Stub {
    addr: SocketAddr,
    asked: Arc<Mutex<Vec<http::Request<()>>>>,
}

impl Stub {
    async fn start(status: u16, body: &'static str) -> Self {
        let asked: Arc<Mutex<Vec<_>>> = Arc::default();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let addr = listener.local_addr().unwrap();
        let seen = asked.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let seen = seen.clone();
                let answer = move |request: http::Request<hyper::body::Incoming>| {
                    let seen = seen.clone();
                    async move {
                        let (head, content) = request.into_parts();
                        let _ = content.collect().await;
                        seen.lock().unwrap().push(http::Request::from_parts(head, ()));
                        http::Response::builder().status(status).body(Full::new(Bytes::from(body)))
                    }
                };
                tokio::spawn(async move {
                    let server = http1::Builder::new();
                    let service = hyper::service::service_fn(answer);
                    let _ = server.serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        Self { addr, asked }
    }

    fn header(&self, name: &str) -> String {
        let asked = self.asked.lock().unwrap();
        let value = asked.last().and_then(|request| request.headers().get(name));
        value.map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default()
    }

    fn paths(&self) -> Vec<String> {
        let asked = self.asked.lock().unwrap();
        asked.iter().map(|request| request.uri().path().to_owned()).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_and_errors_are_failures_of_every_kind_of_store() {
    for (status, body) in
        [(200, "\u{0}garbage"), (200, ""), (403, "<no/>"), (500, "oh"), (507, "full")]
    {
        let stub = Stub::start(status, body).await;
        let endpoint = format!("http://{}", stub.addr);
        for backend in ["s3", "azure", "gcs"] {
            let bucket = match backend {
                "s3" => "s3-bucket",
                "azure" => "azure-container",
                _ => "gcs-bucket",
            };
            let mut settings = vec![("endpoint", &*endpoint), (bucket, BUCKET)];
            if backend == "azure" {
                settings.push(("account", "reefaccount"));
            }
            let store = opened(backend, &settings, None).unwrap();
            let asked = store.list("c").await.err();
            let read = get(&*store, at("c", "x")).await.err();
            for failure in [asked, read] {
                match (status, failure) {
                    (403, Some(Failure::Denied(_)))
                    | (500, Some(Failure::Unavailable { .. }))
                    | (507, Some(Failure::Full(_) | Failure::Unavailable { .. }))
                    | (200, _) => {}
                    other => panic!("{backend}: {other:?}"),
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn azure_is_asked_with_its_signature() {
    let stub = Stub::start(403, "").await;
    let endpoint = format!("http://{}/reefaccount", stub.addr);
    let settings = [
        ("endpoint", &*endpoint),
        ("azure-container", BUCKET),
        ("account", "reefaccount"),
        ("access-key", "aHVudGVyMg=="),
    ];
    let store = opened("azure", &settings, None).unwrap();
    let refused = store.container_info("c").await.unwrap_err();
    assert!(matches!(refused, Failure::Denied(_)), "{refused:?}");
    assert!(stub.header("authorization").starts_with("SharedKey reefaccount:"));
    assert_eq!(stub.paths(), ["/reefaccount/reef/.containers/c"]);
    assert!(!format!("{refused:?}").contains("aHVudGVyMg"), "{refused:?}");

    let settings = [settings[0], settings[1], settings[2], ("sas-token", "?sv=1&sig=hunter2%3D")];
    let store = opened("azure", &settings, None).unwrap();
    let refused = store.container_info("c").await.unwrap_err();
    let asked = stub.asked.lock().unwrap().last().unwrap().uri().to_string();
    assert!(asked.contains("sig=hunter2%3D"), "{asked}");
    assert!(!format!("{refused:?}").contains("hunter2"), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn google_is_asked_by_its_names() {
    let stub = Stub::start(403, "").await;
    let endpoint = format!("http://{}", stub.addr);
    let store = opened("gcs", &[("endpoint", &*endpoint), ("gcs-bucket", BUCKET)], None).unwrap();
    let refused = store.container_info("c").await;
    assert!(matches!(refused, Err(Failure::Denied(_))), "{refused:?}");
    assert_eq!(stub.paths(), ["/reef/%2Econtainers%2Fc"]);
    assert_eq!(stub.header("authorization"), "", "no credentials, and none of the machine's");
}

#[tokio::test]
async fn settings_that_do_not_fit_together_are_told() {
    for (backend, settings, expected) in [
        ("s3", &[][..], "the setting `s3-bucket` is missing"),
        ("s3", &[("s3-bucket", "b"), ("access-key", "hunter2")], "`secret-key` belongs to"),
        ("s3", &[("s3-bucket", "b"), ("part-size", "1MiB")], "is not between 5MiB and 512MiB"),
        ("s3", &[("s3-bucket", "b"), ("prefix", "a/../b")], "cannot be a part of a key"),
        ("azure", &[("azure-container", "b")], "the setting `account` is missing"),
        (
            "azure",
            &[("azure-container", "b"), ("account", "a"), ("client", "hunter2")],
            "one way of several",
        ),
        ("gcs", &[("gcs-bucket", "b"), ("service-account", "hunter2")], "do not fit together"),
    ] {
        let error = opened(backend, settings, None).unwrap_err().to_string();
        assert!(error.contains(expected), "{backend}: {error}");
        assert!(!error.contains("hunter2"), "{error}");
    }
}
