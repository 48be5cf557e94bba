//! A workload's own directory, and its quota.

use crate::host::{Host, folder};

const KITS: [&str; 2] = ["p1-scratch", "p2-scratch"];

fn manifest(scratch: &str) -> String {
    format!(
        "name = 'app'\n[[workload]]\nname = 'w'\nsource = 'w.wasm'\nscratch = '{scratch}'\n\
         limits.deadline = '280s'\ntrigger.http.route = '/...'\n"
    )
}

fn host(kit: &str, scratch: &str) -> Host {
    Host::start(folder(&[("w.wasm", kit)], &manifest(scratch)))
}

fn done(host: &Host, steps: &str) -> String {
    host.server.get(&format!("/?{steps}")).text().trim().to_owned()
}

#[test]
fn what_is_written_stays_for_the_next_instance_and_goes_with_the_workload() {
    for kit in KITS {
        let host = host(kit, "1MiB");
        assert_eq!(done(&host, "write:/tmp/a:0:5000,append:/tmp/a:10"), "ok,ok", "{kit}");
        assert_eq!(done(&host, "read:/tmp/a"), "5010", "{kit}: another instance sees it");
        host.told(&["restart", "app"]);
        assert_eq!(done(&host, "read:/tmp/a"), "NotFound", "{kit}: it begins empty");
    }
}

#[test]
fn the_quota_is_for_all_files_and_instances_together() {
    for kit in KITS {
        let host = host(kit, "100k");
        let asked =
            |steps: &str, answer: &str| assert_eq!(done(&host, steps), answer, "{kit}: {steps}");
        // 100k are 100,000 bytes or 102,400: neither is needed to the byte here.
        asked("write:/tmp/a:0:60000,write:/tmp/b:0:60000", "ok,StorageFull");
        asked("rm:/tmp/b", "ok");
        // Over what is there already nothing is needed.
        asked("write:/tmp/a:0:60000,read:/tmp/a", "ok,60000");
        asked("append:/tmp/a:60000", "StorageFull");
        asked("truncate:/tmp/a,size:/tmp/a:60000,size:/tmp/a:200000", "ok,ok,StorageFull");
        asked("write:/tmp/far:90000:1", "StorageFull");
        asked("rm:/tmp/far,size:/tmp/a:0,write:/tmp/b:0:90000", "ok,ok,ok");
        // Another name is no other file; one in the place of another is that one's end.
        asked("ln:/tmp/b:/tmp/c,rm:/tmp/b,write:/tmp/d:0:60000", "ok,ok,StorageFull");
        asked("mv:/tmp/d:/tmp/c,truncate:/tmp/c,write:/tmp/e:0:90000", "ok,ok,ok");
    }
}

#[test]
fn a_file_without_a_name_takes_room_while_it_is_open() {
    for kit in KITS {
        let host = host(kit, "100k");
        assert_eq!(done(&host, "nameless:/tmp/a:60000"), "StorageFull ok", "{kit}");
    }
}

#[test]
fn there_is_an_end_to_names_too() {
    for kit in KITS {
        let host = host(kit, "100MiB::/var/cache");
        // Some at a time: on a busy machine each takes a while.
        for some in 0..4 {
            let made = done(&host, &format!("mkdir:/var/cache/{some},many:/var/cache/{some}:2000"));
            assert_eq!(made, "ok,2000 ok", "{kit}");
        }
        let made = done(&host, "mkdir:/var/cache/d,many:/var/cache/d:20000");
        assert_eq!(made, "ok,1995 StorageFull", "{kit}");
        assert_eq!(
            done(&host, "rm:/var/cache/d/7,mkdir:/var/cache/e,mkdir:/var/cache/f"),
            "ok,ok,StorageFull"
        );
        assert_eq!(done(&host, "write:/tmp/a:0:1"), "NotFound", "{kit}: it is elsewhere");
    }
}

#[test]
fn the_quota_holds_for_what_is_written_by_wasi_0_3() {
    let host = host("p3-scratch", "100k");
    let asked = |steps: &str, answer: &str| assert_eq!(done(&host, steps), answer, "{steps}");
    asked("write:a:0:60000,is:a:60000", "ok,ok");
    asked("write:a:0:60000,append:a:10,is:a:60010", "ok,ok,ok");
    asked("write:b:0:60000", "ErrorCode::InsufficientSpace");
    asked("append:a:60000", "ErrorCode::InsufficientSpace");
    asked("size:a:200000,size:a:0,rm:b,write:b:0:90000", "ErrorCode::InsufficientSpace,ok,ok,ok");
    asked("mkdir:d,write:d/c:0:60000", "ok,ErrorCode::InsufficientSpace");
    asked("mv:d/c:b,write:e:0:90000", "ok,ok");
}

#[test]
fn a_volume_is_shared_by_those_it_is_granted_and_stays() {
    let manifest = "name = 'app'\n[[volume]]\nname = 'shared'\n\
        [[workload]]\nname = 'writer'\nsource = 'w.wasm'\nvolumes = ['shared::/data']\n\
        trigger.http.route = '/w/...'\n\
        [[workload]]\nname = 'reader'\nsource = 'w.wasm'\nvolumes = ['shared::/in:ro']\n\
        trigger.http.route = '/r/...'\n\
        [[workload]]\nname = 'other'\nsource = 'w.wasm'\ntrigger.http.route = '/o/...'\n";
    for kit in KITS {
        let data = tempfile::tempdir().unwrap();
        let args = ["--data", data.path().to_str().unwrap()];
        let done = |host: &Host, steps: &str| host.server.get(steps).text().trim().to_owned();
        let host = Host::with(folder(&[("w.wasm", kit)], manifest), &args);
        assert_eq!(done(&host, "/w/?write:/data/a:0:10"), "ok", "{kit}");
        assert_eq!(done(&host, "/r/?read:/in/a"), "10", "{kit}");
        assert_eq!(done(&host, "/r/?write:/in/a:0:1").as_str(), "PermissionDenied", "{kit}");
        assert_ne!(done(&host, "/o/?read:/data/a"), "10", "{kit}: it was granted nothing");
        drop(host);
        let host = Host::with(folder(&[("w.wasm", kit)], manifest), &args);
        assert_eq!(done(&host, "/r/?read:/in/a"), "10", "{kit}: another host, the same data");
    }
}

#[test]
fn what_cannot_be_counted_is_refused_with_advice() {
    let dir = folder(&[("w.wasm", "p1-unstable")], &manifest("1MiB"));
    let ended = crate::host::tell(
        &dir.path().join("none"),
        dir.path(),
        &["up", "reef.toml", "--addr", "127.0.0.1:0"],
    );
    assert_ne!(ended.status(), 0);
    assert!(ended.stderr.contains("wasi_unstable") && ended.stderr.contains("dirs"), "{ended:?}");
}
