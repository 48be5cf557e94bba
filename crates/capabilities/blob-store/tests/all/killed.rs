//! What was acknowledged is there after the process was killed at whatever moment, and whole.

use std::{
    collections::BTreeMap,
    io::{BufRead as _, BufReader},
    process::{Command, Stdio},
    time::Duration,
};

use super::*;

const ROOT: &str = "REEF_TEST_KILLED_ROOT";

/// Not a test by itself: what [`acknowledged_objects_survive`] kills.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn child() {
    let Some(root) = std::env::var_os(ROOT) else { return };
    let store = opened("file", &[("root", root.to_str().unwrap())], None).unwrap();
    let write = |worker: usize| {
        let store = store.clone();
        async move {
            for nth in 0_usize.. {
                let name = format!("{worker}-{}", nth % 5);
                let (size, byte) = ((nth * 7919 + worker * 104_729) % 700_000, (nth % 251) as u8);
                put(&*store, at("c", &name), &[&vec![byte; size]]).await.unwrap();
                // One write, so that a line is there or not.
                println!("acknowledged {name} {nth}");
            }
        }
    };
    futures::future::join_all((0..4).map(write)).await;
}

#[test]
fn acknowledged_objects_survive() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().to_str().unwrap().to_owned();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let _inside = runtime.enter();
    let store = opened("file", &[("root", &root)], None).unwrap();
    runtime.block_on(store.create_container("c")).unwrap();
    for round in 0..12 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "killed::child", "--nocapture", "--test-threads=1"])
            .env(ROOT, &root)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let (tell, told) = std::sync::mpsc::channel();
        let reader = std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                // The harness writes its own words before the first.
                if let Some((_, rest)) = line.split_once("acknowledged ") {
                    let _ = tell.send(rest.to_owned());
                }
            }
        });
        let mut last = BTreeMap::new();
        let mut note = |line: String| {
            let (name, nth) = line.split_once(' ').unwrap();
            last.insert(name.to_owned(), nth.parse::<usize>().unwrap());
        };
        note(told.recv_timeout(Duration::from_secs(60)).unwrap());
        let until = std::time::Instant::now() + Duration::from_millis(30 + round * 23);
        while let Some(left) = until.checked_duration_since(std::time::Instant::now()) {
            told.recv_timeout(left).into_iter().for_each(&mut note);
        }
        child.kill().unwrap();
        child.wait().unwrap();
        reader.join().unwrap();
        told.try_iter().for_each(&mut note);

        // In another process, as it were: nothing of the first one's memory.
        let after = opened("file", &[("root", &root)], None).unwrap();
        for (name, nth) in &last {
            let content = runtime.block_on(get(&*after, at("c", name))).unwrap();
            let worker: usize = name.split_once('-').unwrap().0.parse().unwrap();
            let version =
                |nth: usize| (((nth * 7919) + worker * 104_729) % 700_000, (nth % 251) as u8);
            // The last one that was acknowledged, or the next, which may have been done.
            let fits = |nth: usize| {
                let (size, byte) = version(nth);
                content.len() == size && content.iter().all(|one| *one == byte)
            };
            assert!(fits(*nth) || fits(nth + 5), "{name} {nth}: {} bytes", content.len());
        }
        for name in runtime.block_on(names(&*after, "c")).unwrap() {
            assert!(name.len() == 3, "{name}");
        }
    }
    let files = std::fs::read_dir(folder.path().join("c")).unwrap();
    let halves = files.filter(|file| {
        file.as_ref().unwrap().file_name().to_string_lossy().starts_with(".partial-")
    });
    assert!(halves.count() <= 12 * 4, "what was being named when it was killed, at most");
}
