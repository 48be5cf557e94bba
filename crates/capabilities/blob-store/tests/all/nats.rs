//! NATS: the newest and the oldest that is supported.

use std::{path::PathBuf, time::Duration};

use reef_blob_store::Removed;
use reef_servers::{Cluster, Nats, Server};

use super::*;

/// More than its pages have: each object takes some questions and answers.
const FEWER: usize = 250;

fn store(server: &Server, more: &[(&str, &str)]) -> Arc<dyn BlobStore> {
    let url = server.url();
    let mut settings = vec![("url", &*url)];
    settings.extend(more);
    opened("nats", &settings, None).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_newest_does_what_every_backend_does() {
    let server = Server::nats(Nats::Newest).unwrap();
    suite::all_but_nested(&*store(&server, &[("prefix", "p-")]), "t", FEWER).await;
    suite::nested(&*store(&server, &[]), "t").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_oldest_does_what_every_backend_does() {
    let server = Server::nats(Nats::Oldest).unwrap();
    suite::all_but_nested(&*store(&server, &[]), "t", FEWER).await;
}

#[test]
fn model() {
    let server = Server::nats(Nats::Newest).unwrap();
    super::model::check(25, || store(&server, &[]));
}

#[test]
fn a_stream_takes_no_memory() {
    let server = Server::nats(Nats::Newest).unwrap();
    footprint::is_small("nats", &server.url());
}

/// Others' clients read what is written here, and the other way round.
#[tokio::test(flavor = "multi_thread")]
async fn its_objects_are_those_of_any_client() {
    use tokio::io::AsyncReadExt as _;
    let server = Server::nats(Nats::Newest).unwrap();
    let store = store(&server, &[]);
    let client = async_nats::connect(server.url()).await.unwrap();
    let context = async_nats::jetstream::new(client);
    store.create_container("c").await.unwrap();
    let theirs = context.get_object_store("c").await.unwrap();
    let content = pattern(700_000);

    put(&*store, at("c", "ours"), &[&content]).await.unwrap();
    let mut read = Vec::new();
    theirs.get("ours").await.unwrap().read_to_end(&mut read).await.unwrap();
    assert!(read == content, "with its digest");

    theirs.put("theirs", &mut &content[..]).await.unwrap();
    assert!(get(&*store, at("c", "theirs")).await.unwrap() == content);
    assert!(
        part(&*store, at("c", "theirs"), 300_000..300_010).await.unwrap()
            == content[300_000..300_010]
    );
    theirs.delete("ours").await.unwrap();
    assert!(is_missing(reef_blob_store::OBJECT, &store.info(at("c", "ours")).await));
    store.delete("c", &["theirs".to_owned()]).await.unwrap();
    assert!(theirs.get("theirs").await.is_err());
}

/// Of those that write one object at the same moment, on three servers each is done, and the last stays whole.
#[tokio::test(flavor = "multi_thread")]
async fn three_servers_do_what_every_backend_does() {
    let cluster = Cluster::nats(3).unwrap();
    let stores = [0, 1].map(|host| store(cluster.server(host), &[("replicas", "3")]));
    suite::all_but_nested(&*stores[0], "t", FEWER).await;
    stores[0].create_container("c").await.unwrap();
    let all = (0..6).map(|writer| {
        let store = stores[writer % 2].clone();
        async move { put(&*store, at("c", "x"), &[&pattern(500_000 + writer)]).await }
    });
    for done in futures::future::join_all(all).await {
        done.unwrap();
    }
    for store in &stores {
        let content = get(&**store, at("c", "x")).await.unwrap();
        assert!((500_000..500_006).contains(&content.len()) && content == pattern(content.len()));
    }
}

/// What one has written is in the other one's listing right away, and can be read whole.
#[tokio::test(flavor = "multi_thread")]
async fn what_one_server_took_another_one_has() {
    let cluster = Cluster::nats(3).unwrap();
    let [writing, reading] = [0, 1].map(|host| store(cluster.server(host), &[("replicas", "3")]));
    writing.create_container("c").await.unwrap();
    for number in 0..40 {
        let (name, content) = (number.to_string(), pattern(300_000 + number));
        put(&*writing, at("c", &name), &[&content]).await.unwrap();
        let listed = names(&*reading, "c").await.unwrap();
        assert!(listed.contains(&name), "{name} of {listed:?}");
        assert!(get(&*reading, at("c", &name)).await.unwrap() == content, "{name}");
    }
}

/// Also where the server has not removed yet what an earlier one of that name had: it says that it has deleted the next
/// one, leaves its messages where they are, and gives them to the one that is made then.
#[tokio::test(flavor = "multi_thread")]
async fn a_container_has_nothing_of_one_before_it() {
    for version in [Nats::Newest, Nats::Oldest] {
        let server = Server::nats(version).unwrap();
        let store = store(&server, &[]);
        store.create_container("c").await.unwrap();
        put(&*store, at("c", "x"), &[&pattern(200_000)]).await.unwrap();
        let still = find_folder(server.folder(), "OBJ_c").unwrap().with_file_name(".OBJ_c");
        std::fs::create_dir(&still).unwrap();
        std::fs::write(still.join("1.blk"), "of an earlier one").unwrap();
        assert_eq!(store.delete_container("c").await.unwrap(), Removed::All);
        store.create_container("c").await.unwrap();
        assert_eq!(names(&*store, "c").await.unwrap(), [""; 0], "{version:?}");
        assert!(is_missing(reef_blob_store::OBJECT, &get(&*store, at("c", "x")).await));
        put(&*store, at("c", "y"), &[&pattern(200_000)]).await.unwrap();
        assert!(get(&*store, at("c", "y")).await.unwrap() == pattern(200_000));
    }
}

/// Where a folder of that name is, below another one.
fn find_folder(below: &Path, name: &str) -> Option<PathBuf> {
    let folders = std::fs::read_dir(below).ok()?.filter_map(|entry| Some(entry.ok()?.path()));
    folders.filter(|path| path.is_dir()).find_map(|path| {
        let found = path.file_name().is_some_and(|is| is == name);
        if found { Some(path) } else { find_folder(&path, name) }
    })
}

/// Each is told that it made it, or that it is there.
#[tokio::test(flavor = "multi_thread")]
async fn of_several_that_make_one_container_of_a_cluster_none_fails() {
    let cluster = Cluster::nats(3).unwrap();
    let stores = [0, 1, 2].map(|host| store(cluster.server(host), &[("replicas", "3")]));
    for container in 0..10 {
        let container = &format!("c{container}");
        let all = (0..9).map(|maker| {
            let store = stores[maker % 3].clone();
            async move { store.create_container(container).await }
        });
        let done = futures::future::join_all(all).await;
        assert!(done.iter().any(Result::is_ok), "{done:?}");
        for one in done {
            let is_there = matches!(&one, Err(Failure::Conflict(why)) if why.contains(container));
            assert!(one.is_ok() || is_there, "{container}: {one:?}");
        }
        for store in &stores {
            store.container_info(container).await.unwrap();
        }
    }
}

/// Bytes of the pieces that a container's stream holds.
async fn held(server: &Server, bucket: &str) -> u64 {
    let client = async_nats::connect(server.url()).await.unwrap();
    let context = async_nats::jetstream::new(client);
    let mut stream = context.get_stream(format!("OBJ_{bucket}")).await.unwrap();
    stream.info().await.unwrap().state.bytes
}

#[tokio::test(flavor = "multi_thread")]
async fn of_what_was_dropped_replaced_or_deleted_no_pieces_stay() {
    let server = Server::nats(Nats::Newest).unwrap();
    let store = store(&server, &[]);
    store.create_container("c").await.unwrap();
    let mut upload = store.write(at("c", "x")).await.unwrap();
    upload.write(pattern(2 << 20).into()).await.unwrap();
    drop(upload);
    for writers in 0..3 {
        let all = (0..4).map(|_| {
            let store = store.clone();
            async move { put(&*store, at("c", "x"), &[&pattern(500_000 + writers)]).await }
        });
        for done in futures::future::join_all(all).await {
            done.unwrap();
        }
    }
    store.delete("c", &["x".to_owned()]).await.unwrap();
    let empty = async {
        while held(&server, "c").await > 2000 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(120), empty).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_away_is_a_failure_and_what_was_acknowledged_is_there_when_it_is_back() {
    let mut server = Server::nats(Nats::Newest).unwrap();
    let policy = Policy { timeout: Duration::from_secs(3), retries: 0, ..Policy::default() };
    let a = linked(store(&server, &[]), "a", policy);
    let caller = caller();
    a.create(&caller).await.unwrap();
    let mut writing = a.put(&caller, "x").await.unwrap();
    writing.write(pattern(900_000).into()).await.unwrap();
    writing.finish().await.unwrap();

    server.kill();
    let away = a.has(&caller, "x").await;
    assert!(matches!(away, Err(Failure::Unavailable { .. } | Failure::Timeout(_))), "{away:?}");
    server.start_again().unwrap();
    let back = async {
        loop {
            if let Ok(mut blob) = a.get(&caller, "x", 0..u64::MAX).await {
                break blob.whole().await.unwrap();
            }
        }
    };
    let content = tokio::time::timeout(Duration::from_secs(120), back).await.unwrap();
    assert!(content == pattern(900_000));

    server.freeze();
    let begun = std::time::Instant::now();
    assert!(a.has(&caller, "x").await.is_err());
    assert!(begun.elapsed() < Duration::from_secs(20));
    server.thaw();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_that_is_full_says_so() {
    let server = Server::nats(Nats::Newest).unwrap();
    let store = store(&server, &[("max-bytes", "1MiB")]);
    store.create_container("c").await.unwrap();
    put(&*store, at("c", "kept"), &[&pattern(500_000)]).await.unwrap();
    let full = put(&*store, at("c", "more"), &[&pattern(1 << 20)]).await;
    assert!(matches!(full, Err(Failure::Full(_))), "{full:?}");
    assert_eq!(get(&*store, at("c", "kept")).await.unwrap(), pattern(500_000));
}
