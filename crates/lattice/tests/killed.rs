//! A process that is killed at any moment has what it acknowledged.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::{
    collections::BTreeMap,
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use reef_lattice::{Expected, Failure, Key, Lattice};

/// Set for a process that writes: where.
const FOLDER: &str = "REEF_TEST_LATTICE";
const KEYS: u64 = 20;
const ROUNDS: usize = 12;

fn key(number: u64) -> Key {
    Key::new(&["app", "test", &number.to_string()]).unwrap()
}

/// Not a test by itself: the process that is killed. It says what was acknowledged.
#[tokio::test]
async fn writes_until_it_is_killed() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let lattice = Lattice::local(Path::new(&folder)).unwrap();
    println!("ready");
    for count in 0.. {
        let key = key(count % KEYS);
        if count % 7 == 3 {
            println!("deleting {key}");
            lattice.store.delete(&key, Expected::Any).await.unwrap();
            println!("deleted {key}");
            continue;
        }
        let value = vec![b'x'; (count % 5000) as usize];
        println!("putting {key}");
        let revision = lattice.store.put(&key, value.into(), Expected::Any).await.unwrap();
        println!("put {key} {revision} {}", count % 5000);
        std::io::stdout().flush().unwrap();
    }
}

#[tokio::test]
async fn what_was_acknowledged_survives() {
    let folder = tempfile::tempdir().unwrap();
    let mut known: BTreeMap<String, (u64, usize)> = BTreeMap::new();
    let (mut last, mut acknowledged) = (0, 0);
    for round in 0..ROUNDS {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "writes_until_it_is_killed", "--nocapture"])
            .env(FOLDER, folder.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let (sender, receiver) = std::sync::mpsc::channel();
        let reading = std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        let mut said = Vec::new();
        while said.last().is_none_or(|line: &String| !line.starts_with("put ")) {
            said.push(receiver.recv_timeout(Duration::from_secs(60)).unwrap());
        }
        // Another process is told who has it.
        if round == 0 {
            let refused = Lattice::local(folder.path()).unwrap_err();
            let number = child.id().to_string();
            assert!(matches!(refused, Failure::Unavailable { .. }), "{refused:?}");
            assert!(refused.to_string().contains(&number), "{refused} {number}");
        }
        // At a moment that has nothing to do with what it does: some microseconds or milliseconds on.
        let moment = std::time::Instant::now() + Duration::from_micros(1 << (round + 3));
        while std::time::Instant::now() < moment {
            std::hint::spin_loop();
        }
        child.kill().unwrap();
        child.wait().unwrap();
        reading.join().unwrap();
        said.extend(receiver.try_iter());
        // What was begun and not acknowledged may be there or not.
        let mut unsure = None;
        for line in &said {
            let words: Vec<_> = line.split(' ').collect();
            match words.as_slice() {
                ["putting" | "deleting", key] => unsure = Some((*key).to_owned()),
                ["put", key, revision, size] => {
                    let (Ok(revision), Ok(size)) = (revision.parse(), size.parse()) else {
                        continue;
                    };
                    known.insert((*key).to_owned(), (revision, size));
                    (last, unsure) = (revision, None);
                    acknowledged += 1;
                }
                ["deleted", key] => {
                    known.remove(*key);
                    unsure = None;
                }
                _ => {}
            }
        }
        let lattice = Lattice::local(folder.path()).unwrap();
        for number in 0..KEYS {
            let key = key(number);
            let is = lattice.store.get(&key).await.unwrap();
            let is = is.map(|entry| (entry.revision, entry.value.len()));
            if unsure.as_deref() == Some(key.as_str()) {
                match is {
                    Some(is) => drop(known.insert(key.to_string(), is)),
                    None => drop(known.remove(key.as_str())),
                }
            } else {
                assert_eq!(is, known.get(key.as_str()).copied(), "{key} in round {round}");
            }
        }
        let next = lattice.store.put(&key(0), "y".into(), Expected::Any).await.unwrap();
        assert!(next > last, "revisions go on: {last} {next}");
        known.insert(key(0).to_string(), (next, 1));
    }
    assert!(acknowledged >= ROUNDS);
}
