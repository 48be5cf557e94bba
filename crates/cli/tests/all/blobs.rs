//! Blobs: guests of both interfaces, over backends that are there anyhow, and over S3.

mod s3;

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicBool, AtomicU32, Ordering},
    thread,
    time::Duration,
};

use reef_servers::{Nats, Server};

use self::s3::S3;
use crate::{
    client::{self, Connection, Version},
    host::{Host, folder},
    support::eventually,
};

const GUESTS: &[(&str, &str)] = &[("p2.wasm", "p2-blobs"), ("p3.wasm", "p3-blobs")];

/// An application with a guest of each interface, both with these settings.
fn linked(settings: &str) -> String {
    let workload = |name: &str, import: &str| {
        format!(
            "[[workload]]\nname = '{name}'\nsource = '{name}.wasm'\ntrigger.http.route = '/{name}/...'\n\
             link = [{{ import = '{import}', capability = 'blob-store', config = {{ {settings} }} }}]\n"
        )
    };
    let (p2, p3) = (workload("p2", "wasi:blobstore"), workload("p3", "wasmcloud:blobstore"));
    format!("name = 'shop'\n{p2}{p3}")
}

fn ask(host: &Host, path: &str, content: impl Into<Vec<u8>>) -> String {
    let request = client::request("POST", path, client::full(content.into()));
    let answer = client::ask(Version::H1, host.server.addr, request);
    assert_eq!(answer.status, 200, "{path}: {answer:?}");
    answer.text()
}

/// Where they differ, not all of both is shown.
#[track_caller]
fn is_same(is: &str, should: &str) {
    let begin = &is[..is.len().min(200)];
    assert!(is == should, "{} bytes, and not {}: {begin}", is.len(), should.len());
}

#[test]
fn both_interfaces_do_what_they_say_over_the_same_objects() {
    let nats = Server::nats(Nats::Newest).unwrap();
    let nats = format!("backend = 'nats', url = '{}'", nats.url());
    for settings in ["backend = 'file'", "backend = 'memory', max-bytes = '64MiB'", &nats] {
        let host = Host::start(folder(GUESTS, &linked(settings)));
        let large = "0123456789abcdef".repeat(60_000);
        for guest in ["p2", "p3"] {
            let ask = |path: &str, content: &str| ask(&host, &format!("/{guest}/{path}"), content);
            let c = format!("of-{guest}");
            assert_eq!(ask(&format!("exists-container/{c}/"), ""), "false");
            assert!(ask(&format!("get/{c}/x"), "").starts_with("failed: "));
            assert_eq!(ask(&format!("create/{c}/"), ""), c);
            assert!(ask(&format!("create/{c}/"), "").starts_with("failed: "));
            assert_eq!(ask(&format!("info-container/{c}/"), ""), c);
            assert_eq!(ask(&format!("put/{c}/dir/x"), "hello blobs"), "()");
            assert_eq!(ask(&format!("get/{c}/dir/x"), ""), "hello blobs");
            assert!(
                ask(&format!("part/{c}/dir/x"), "").ends_with("llo"),
                "both ends are inclusive"
            );
            assert_eq!(ask(&format!("info/{c}/dir/x"), ""), format!("dir/x {c} 11 true"));
            assert_eq!(ask(&format!("put/{c}/large"), &large), "()");
            is_same(&ask(&format!("get/{c}/large"), ""), &large);
            assert_eq!(ask(&format!("copy/{c}/large"), "copied"), "()");
            ask(&format!("through/{c}/large"), "");
            is_same(&ask(&format!("get/{c}/large-2"), ""), &large);
            ask(&format!("delete/{c}/large-2"), "");
            assert_eq!(ask(&format!("move/{c}/copied"), "moved"), "()");
            assert_eq!(ask(&format!("has/{c}/copied"), ""), "false");
            is_same(&ask(&format!("get/{c}/moved"), ""), &large);
            assert_eq!(ask(&format!("list/{c}/"), ""), "3");
            assert_eq!(ask(&format!("delete/{c}/large"), ""), "()");
            assert_eq!(ask(&format!("delete/{c}/large"), ""), "()");
            assert!(ask(&format!("get/{c}/large"), "").starts_with("failed: "));
            assert_eq!(ask(&format!("clear/{c}/"), ""), "()");
            assert_eq!(ask(&format!("has/{c}/moved"), ""), "false");
            assert_eq!(ask(&format!("put/{c}/kept"), "kept"), "()");
        }
        assert_eq!(ask(&host, "/p3/get/of-p2/kept", ""), "kept");
        assert_eq!(ask(&host, "/p2/get/of-p3/kept", ""), "kept");
        assert_eq!(ask(&host, "/p3/get/of-p2/none", ""), "failed: Error::NoSuchObject");
        assert_eq!(ask(&host, "/p3/get/none/x", ""), "failed: Error::NoSuchContainer");
        assert_eq!(ask(&host, "/p3/create/of-p2/", ""), "failed: Error::ContainerAlreadyExists");
        assert_eq!(ask(&host, "/p2/delete-container/of-p3/", ""), "()");
        assert_eq!(ask(&host, "/p3/exists-container/of-p3/", ""), "false");
    }
}

/// Nothing of the guest runs any more for a body that it only hands on; its instance is there for it all the same.
#[test]
fn an_object_that_is_handed_on_is_whole_whatever_ends_the_instance() {
    // More than connections hold on their way.
    let large = "0123456789abcdef".repeat(1 << 20);
    let got = |scale: &str, meanwhile: &dyn Fn(&Host)| {
        let manifest = linked("").replace("link =", &format!("scale = {{ {scale} }}\nlink ="));
        let mut host = Host::start(folder(GUESTS, &manifest));
        ask(&host, "/p3/create/c/", "");
        assert_eq!(ask(&host, "/p3/put/c/large", &*large), "()");
        client::wait(async {
            let mut connection = Connection::open(host.server.addr, Version::H1).await;
            let asked = client::request("POST", "/p3/get/c/large", client::empty());
            let mut body = connection.send(asked).await.unwrap().into_body();
            let first = client::read(&mut body, 16).await.unwrap();
            meanwhile(&host);
            let rest = client::read(&mut body, usize::MAX).await.unwrap();
            is_same(&String::from_utf8([first, rest].concat()).unwrap(), &large);
        });
        host.server.signal("TERM");
        host.server.ended();
    };
    got("reuse = 1", &|_| ());
    // It had nothing to do for long.
    got("idle = '1ms'", &|_| thread::sleep(Duration::from_millis(1500)));
    got("reuse = 100", &|host| {
        host.server.signal("TERM");
        host.server.wait_for_log(&["Stopping"]);
    });
}

#[test]
fn a_value_is_an_object_when_it_is_named_and_whole() {
    let host = Host::start(folder(GUESTS, &linked("max-object = '1MiB'")));
    let ask = |path: &str, content: Vec<u8>| ask(&host, &format!("/p2/{path}"), content);
    ask("create/c/", Vec::new());
    assert_eq!(ask("put-late/c/late", b"first the bytes".to_vec()), "true");
    assert_eq!(ask("get/c/late", Vec::new()), "first the bytes");
    ask("forget/c/forgotten", b"never finished".to_vec());
    assert_eq!(ask("has/c/forgotten", Vec::new()), "false");
    let large = ask("put/c/large", vec![b'x'; 3 << 20]);
    assert!(large.contains("may be 1MiB"), "{large}");
    assert_eq!(ask("has/c/large", Vec::new()), "false");
    let unnamed = ask("put-late/c/large", vec![b'x'; 9 << 20]);
    assert!(unnamed.contains("call write-data before"), "{unnamed}");
}

#[test]
fn what_is_not_linked_is_refused_with_the_line_to_add() {
    let manifest = linked("").replace("'blob-store'", "'blob-store', name = 'other'");
    let host = Host::start(folder(GUESTS, &manifest));
    assert!(ask(&host, "/p2/create/orders/", "").contains("no link of it is called so"));
    assert_eq!(ask(&host, "/p3/create/orders/", ""), "failed: Error::AccessDenied");
    let line = "add link = [{ import = \"wasi:blobstore\", name = \"orders\", capability = \"blob-store\" }]";
    host.server.wait_for_log(&[line]);
}

/// What a guest puts, object after object, until it is to stop: those that it was told are there. How often it was
/// told otherwise is counted.
fn puts(
    host: &Host,
    guest: &str,
    (stop, failed, done): (&AtomicBool, &AtomicU32, &AtomicU32),
) -> BTreeMap<String, String> {
    let mut there = BTreeMap::new();
    for number in 0.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        // Some go in several parts.
        let size = if number % 8 == 7 { 12 << 20 } else { 10_000 };
        let (name, content) = (format!("{number}"), format!("{guest} {number} ").repeat(size / 8));
        let said = ask(host, &format!("/{guest}/put/of-{guest}/{name}"), content.clone());
        match &*said {
            "()" => {
                there.insert(name, content);
                done.fetch_add(1, Ordering::Relaxed);
            }
            said => {
                assert!(said.starts_with("failed: "), "{said}");
                failed.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
    there
}

#[test]
fn what_s3_acknowledged_is_there_after_it_was_away_and_guests_see_that_it_was() {
    let mut server = S3::start();
    let host = Host::start(folder(GUESTS, &linked(&server.settings())));
    for guest in ["p2", "p3"] {
        let ask = |path: &str, content: &str| ask(&host, &format!("/{guest}/{path}"), content);
        let c = format!("of-{guest}");
        assert_eq!(ask(&format!("create/{c}/"), ""), c);
        assert_eq!(ask(&format!("put/{c}/x"), "hello blobs"), "()");
        assert_eq!(ask(&format!("get/{c}/x"), ""), "hello blobs");
        assert_eq!(ask(&format!("info/{c}/x"), ""), format!("x {c} 11 true"));
        assert!(ask(&format!("get/{c}/none"), "").starts_with("failed: "));
        assert_eq!(ask(&format!("copy/{c}/x"), "copied"), "()");
        assert_eq!(ask(&format!("list/{c}/"), ""), "2");
        assert_eq!(ask(&format!("delete/{c}/copied"), ""), "()");
    }
    let stop = AtomicBool::new(false);
    let counts: [(AtomicU32, AtomicU32); 2] = Default::default();
    let all = |what: &str, count: &dyn Fn(&(AtomicU32, AtomicU32)) -> u32, more: &[u32]| {
        eventually(what, || {
            counts.iter().zip(more).all(|(one, more)| count(one) > *more).then_some(())
        });
    };
    let failed = |one: &(AtomicU32, AtomicU32)| one.0.load(Ordering::Relaxed);
    let done = |one: &(AtomicU32, AtomicU32)| one.1.load(Ordering::Relaxed);
    let there = thread::scope(|scope| {
        let putting = ["p2", "p3"].iter().zip(&counts).map(|(guest, (failed, done))| {
            let (host, stop) = (&host, &stop);
            scope.spawn(move || puts(host, guest, (stop, failed, done)))
        });
        let putting: Vec<_> = putting.collect();
        all("objects of both", &done, &[8, 8]);
        server.kill();
        all("failures of both", &failed, &[0, 0]);
        server.start_again();
        let before = counts.each_ref().map(done);
        all("objects of both again", &done, &before);
        stop.store(true, Ordering::Relaxed);
        putting.into_iter().map(|one| one.join().unwrap()).collect::<Vec<_>>()
    });
    for (guest, there) in ["p2", "p3"].iter().zip(there) {
        for (name, content) in there {
            let got = ask(&host, &format!("/{guest}/get/of-{guest}/{name}"), "");
            assert!(got == content, "{guest}/{name}: {} of {} bytes", got.len(), content.len());
        }
    }
    let said = host.server.wait_for_log(&["s3", "shop/p2"]);
    assert!(!format!("{said}").contains(s3::SECRET), "{said}");
}
