//! What each source of this machine does.

#![allow(clippy::unwrap_used, clippy::panic, clippy::type_complexity, reason = "tests")]

use std::{fs, os::unix::fs::symlink, path::Path, sync::Arc};

use reef_capability::{Failure, OpenError, Opened, Opening, Settings, find};
use reef_config::{BACKENDS, LARGEST, Store};

fn try_open(
    backend: &str,
    settings: &[(&str, &str)],
    folder: &Path,
) -> Result<Arc<Store>, OpenError> {
    let settings: Settings =
        settings.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect();
    let runtime = tokio::runtime::Handle::current();
    let opening =
        Opening { application: "app", settings: &settings, folder, data: None, runtime: &runtime };
    Opened::default().open(find(BACKENDS, backend)?, opening)
}

fn open(backend: &str, settings: &[(&str, &str)], folder: &Path) -> Arc<Store> {
    try_open(backend, settings, folder).unwrap()
}

async fn get(store: &Store, name: &str) -> Option<String> {
    let value = store.get(name).await.unwrap();
    value.map(|value| value.text().unwrap().to_owned())
}

async fn all(store: &Store) -> Vec<(String, String)> {
    let all = store.all().await.unwrap();
    let mut all: Vec<_> =
        all.iter().map(|(name, value)| (name.clone(), value.text().unwrap().to_owned())).collect();
    all.sort();
    all
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[tokio::test]
async fn a_manifest_has_its_values_beside_the_settings() {
    let folder = tempfile::tempdir().unwrap();
    let settings = [
        ("greeting", "hi"),
        ("timeout", "2s"),
        ("value.timeout", "mine"),
        ("keys", "greeting, timeout"),
        ("hidden", "x"),
    ];
    let store = open("manifest", &settings, folder.path());
    assert_eq!(get(&store, "greeting").await.as_deref(), Some("hi"));
    assert_eq!(all(&store).await, pairs(&[("greeting", "hi"), ("timeout", "mine")]));
}

#[tokio::test]
async fn an_environment_needs_a_prefix() {
    let folder = tempfile::tempdir().unwrap();
    let error = try_open("env", &[], folder.path()).unwrap_err();
    assert!(error.to_string().contains("`prefix` is missing"), "{error}");
    // Cargo sets these for every test.
    let store = open("env", &[("prefix", "CARGO_PKG_")], folder.path());
    assert_eq!(get(&store, "name").await.as_deref(), Some("reef-config"));
    assert_eq!(get(&store, "path").await, None);
    assert!(all(&store).await.contains(&("name".to_owned(), "reef-config".to_owned())));
}

/// A folder as Kubernetes mounts it.
fn mounted(folder: &Path, generation: &str, entries: &[(&str, &str)]) {
    let data = folder.join(format!("..{generation}"));
    fs::create_dir(&data).unwrap();
    for (name, value) in entries {
        fs::write(data.join(name), value).unwrap();
        let link = folder.join(name);
        if link.symlink_metadata().is_err() {
            symlink(Path::new("..data").join(name), link).unwrap();
        }
    }
    symlink(format!("..{generation}"), folder.join("..data_tmp")).unwrap();
    fs::rename(folder.join("..data_tmp"), folder.join("..data")).unwrap();
}

#[tokio::test]
async fn a_mounted_folder_is_read_again_when_it_changed() {
    let folder = tempfile::tempdir().unwrap();
    mounted(folder.path(), "1", &[("user", "a1"), ("password", "b1"), (".dockerconfigjson", "{}")]);
    let path = folder.path().to_str().unwrap();
    let store = open("file", &[("path", path), ("cache", "0s")], Path::new("/"));
    assert_eq!(get(&store, "user").await.as_deref(), Some("a1"));
    assert_eq!(
        all(&store).await,
        pairs(&[(".dockerconfigjson", "{}"), ("password", "b1"), ("user", "a1")])
    );
    mounted(folder.path(), "2", &[("user", "a2"), ("password", "b2\n")]);
    fs::remove_dir_all(folder.path().join("..1")).unwrap();
    assert_eq!(get(&store, "user").await.as_deref(), Some("a2"));
    assert_eq!(get(&store, "password").await.as_deref(), Some("b2\n"), "a value is as it is");
    assert_eq!(get(&store, ".dockerconfigjson").await, None, "its link leads nowhere");
    assert_eq!(all(&store).await, pairs(&[("password", "b2\n"), ("user", "a2")]));

    let trimmed = open("file", &[("path", path), ("trim", "true")], Path::new("/"));
    assert_eq!(get(&trimmed, "password").await.as_deref(), Some("b2"));
}

/// All values of a mounted folder are of one generation, however often that changes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn values_of_a_mounted_folder_belong_together() {
    let folder = tempfile::tempdir().unwrap();
    mounted(folder.path(), "0", &[("a", "0"), ("b", "0"), ("c", "0")]);
    let path = folder.path().to_owned();
    let store = open("file", &[("path", path.to_str().unwrap()), ("cache", "0s")], &path);
    let changes = std::thread::spawn(move || {
        for n in 1..200 {
            let value = n.to_string();
            mounted(&path, &value, &[("a", &value), ("b", &value), ("c", &value)]);
            fs::remove_dir_all(path.join(format!("..{}", n - 1))).unwrap();
        }
    });
    let mut reads = 0;
    while !changes.is_finished() || reads == 0 {
        let all = match store.all().await {
            Ok(all) => all,
            // It changed each time that it was looked at: to be tried again, as the link does.
            Err(Failure::Unavailable { maybe_done: false, .. }) => continue,
            Err(other) => panic!("{other}"),
        };
        reads += 1;
        assert_eq!(all.len(), 3);
        assert!(all.iter().all(|(_, value)| *value == all[0].1));
    }
    changes.join().unwrap();
}

#[tokio::test]
async fn nothing_outside_of_a_folder_is_read() {
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("secret"), "marker").unwrap();
    let folder = outside.path().join("in");
    fs::create_dir(&folder).unwrap();
    symlink("../secret", folder.join("up")).unwrap();
    symlink(outside.path().join("secret"), folder.join("absolute")).unwrap();
    fs::create_dir(folder.join("deep")).unwrap();
    fs::write(folder.join("deep/key"), "x").unwrap();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        folder.join("pipe"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o600),
        0,
    )
    .unwrap();
    fs::write(folder.join("large"), vec![b'x'; LARGEST + 1]).unwrap();
    let store = open("file", &[("path", "in"), ("cache", "0s")], outside.path());
    for name in ["../secret", "..", ".", "/etc/passwd", "deep/key", "deep", "pipe", "..data"] {
        assert_eq!(get(&store, name).await, None, "{name}");
    }
    for name in ["up", "absolute"] {
        let error = store.get(name).await.unwrap_err();
        assert!(!error.to_string().contains("marker"), "{error}");
    }
    assert!(matches!(store.get("large").await, Err(Failure::TooLarge { .. })));
}

#[tokio::test]
async fn one_file_has_all_values() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    write("a.toml", "greeting = 'hi'\nport = 80\nlist = [1, 'x']\n[db]\npassword = 'p'\n");
    write(
        "a.json",
        r#"{"greeting": "hi", "port": 80, "none": null, "list": [1, "x"], "db": {"password": "p"}}"#,
    );
    write(
        ".env",
        "# a remark\ngreeting=first\ngreeting='hi'\nexport db.password=\"p\"\nport=80\nlist='[1,\"x\"]'\n",
    );
    for file in ["a.toml", "a.json", ".env"] {
        let store = open("file", &[("path", file)], folder.path());
        assert_eq!(
            all(&store).await,
            pairs(&[
                ("db.password", "p"),
                ("greeting", "hi"),
                ("list", "[1,\"x\"]"),
                ("port", "80")
            ]),
            "{file}"
        );
        assert_eq!(get(&store, "db.password").await.as_deref(), Some("p"));
        assert_eq!(get(&store, "none").await, None);
    }
    write("values", "a = 1");
    let error = try_open("file", &[("path", "values")], folder.path()).unwrap_err();
    assert!(error.to_string().contains("`format` has to be said"), "{error}");
    let settings = [("path", "values"), ("format", "toml"), ("cache", "0s"), ("keys", "a")];
    let store = open("file", &settings, folder.path());
    assert_eq!(get(&store, "a").await.as_deref(), Some("1"));
    write("values", "a = 2\nb = 3");
    assert_eq!(all(&store).await, pairs(&[("a", "2")]));
    fs::remove_file(folder.path().join("values")).unwrap();
    let error = store.get("a").await.unwrap_err();
    assert!(matches!(error, Failure::Unavailable { maybe_done: false, .. }), "{error}");
}

#[tokio::test]
async fn what_is_wrong_with_a_file_is_told_without_what_is_in_it() {
    let folder = tempfile::tempdir().unwrap();
    for (name, text, line) in [
        ("a.toml", "a = 1\nhunter2 hunter2 = \"hunter2\"", "line 2"),
        ("a.toml", "a = 'hunter2'\na = 'hunter2'", "line 2"),
        ("a.json", "{\"a\": 1,\n\"b\": hunter2}", "line 2"),
        ("a.json", "\"hunter2\"", "line 1"),
        ("a.env", "A='hunter2", "NAME=VALUE"),
        ("a.env", "hunter2 hunter2", "NAME=VALUE"),
    ] {
        fs::write(folder.path().join(name), text).unwrap();
        let error = open("file", &[("path", name)], folder.path()).get("a").await.unwrap_err();
        let shown = format!("{error} {error:?}");
        assert!(shown.contains(line) && shown.contains(name), "{shown}");
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}

#[tokio::test]
async fn what_cannot_be_opened_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a.json"), "{}").unwrap();
    let cases: [(&str, &[(&str, &str)], &str); 8] = [
        ("file", &[], "`path` is missing"),
        ("file", &[("path", "gone")], "change the setting `path`"),
        ("file", &[("path", "."), ("format", "json")], "`path` is a folder"),
        ("file", &[("path", "a.json"), ("trim", "true")], "`path` is a file"),
        ("file", &[("path", "."), ("cache", "2h")], "longer than an hour"),
        ("file", &[("path", "."), ("keys", "")], "names nothing"),
        ("file", &[("path", "."), ("pth", "x")], "did you mean `path`"),
        ("files", &[], "there is no backend `files`"),
    ];
    for (backend, settings, told) in cases {
        let error = try_open(backend, settings, folder.path()).unwrap_err().to_string();
        assert!(error.contains(told), "{error}");
    }
}
