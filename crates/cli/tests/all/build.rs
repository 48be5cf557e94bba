//! `reef build`.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Command, Stdio},
    time::{Duration, SystemTime},
};

use tempfile::{TempDir, tempdir};

use crate::{
    process::{Ended, finish},
    support::{eventually, reef},
};

/// A folder with a workload for each of these commands.
fn folder(builds: &[(&str, &str)]) -> TempDir {
    let dir = tempdir().unwrap();
    let mut text = "name = 'app'\n".to_owned();
    for (name, build) in builds {
        text.push_str(&format!(
            "[[workload]]\nname = '{name}'\nsource = 'out/{name}.wasm'\n[workload.build]\n{build}\n"
        ));
    }
    fs::write(dir.path().join("reef.toml"), text).unwrap();
    fs::create_dir(dir.path().join("out")).unwrap();
    dir
}

fn build(dir: &Path, args: &[&str]) -> Ended {
    let mut command = reef();
    command.current_dir(dir).arg("build").args(args);
    finish(command, b"")
}

/// As if all had been written some time ago, but for what is in `out`.
fn age(dir: &Path) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            let file = fs::File::options().write(true).open(path).unwrap();
            file.set_modified(SystemTime::now() - Duration::from_secs(100)).unwrap();
        }
    }
}

#[test]
fn what_changed_is_built() {
    let dir = folder(&[
        ("a", "command = 'echo making a; cp a.txt out/a.wasm'\nwatch = ['**/a.txt']"),
        ("b", "command = 'echo making b >&2; cp b.txt out/b.wasm'\nwatch = ['b.txt']"),
    ]);
    for name in ["a.txt", "b.txt"] {
        fs::write(dir.path().join(name), "1").unwrap();
    }
    age(dir.path());
    let ended = build(dir.path(), &[]);
    ended.fails(0, &["a  making a\n", "b  making b\n", "a  built in "]);
    let ended = build(dir.path(), &[]);
    ended.fails(0, &["a  is current\n", "b  is current\n"]);
    assert!(!ended.stderr.contains("making"), "{ended:?}");

    fs::write(dir.path().join("a.txt"), "2").unwrap();
    // From elsewhere, too.
    let ended = build(Path::new("/"), &[dir.path().to_str().unwrap()]);
    ended.fails(0, &["a  making a\n", "b  is current\n"]);
    assert_eq!(fs::read_to_string(dir.path().join("out/a.wasm")).unwrap(), "2");
    let ended = build(dir.path(), &["--force", "--workload", "b", "--jobs", "1"]);
    ended.fails(0, &["b  making b\n"]);
    assert!(!ended.stderr.contains("a  "), "{ended:?}");
}

#[test]
fn a_build_that_fails_is_named() {
    let dir = folder(&[
        ("bad", "command = 'echo broken; exit 7'"),
        ("good", "command = 'touch out/good.wasm'"),
        ("forgetful", "command = 'true'"),
    ]);
    build(dir.path(), &[]).fails(
        1,
        &[
            "bad        broken\n",
            "bad: `echo broken; exit 7` failed (exit status: 7)",
            "forgetful: `true` ended well, but there is no out/forgetful.wasm, which the manifest names",
        ],
    );
    assert!(dir.path().join("out/good.wasm").exists());
    build(dir.path(), &["--workload", "x"])
        .fails(125, &["there is no workload `x`; there is `bad`, `good`, `forgetful`"]);
    build(dir.path(), &["--jobs", "0"]).fails(2, &["write a number from 1 to 1024"]);
    fs::write(dir.path().join("reef.toml"), "name = 'a'\ncolour = 1").unwrap();
    build(dir.path(), &[]).fails(1, &["`colour` is not a known field"]);
    fs::write(dir.path().join("reef.toml"), "name = 'a'").unwrap();
    build(dir.path(), &[]).fails(0, &["No workload of `a` has a build."]);
}

#[test]
fn an_interrupt_ends_what_it_started() {
    let dir = folder(&[("a", "command = 'sleep 600 & echo $! pid; wait'")]);
    let mut command = reef();
    command.current_dir(dir.path()).arg("build");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let line = lines.map_while(Result::ok).find(|line| line.ends_with(" pid")).unwrap();
    let sleeping = line.split_whitespace().nth(1).unwrap().to_owned();
    let pid = child.id().to_string();
    assert!(Command::new("kill").args(["-s", "INT", &pid]).status().unwrap().success());
    let status = eventually("its end", || child.try_wait().unwrap());
    assert_eq!(status.code(), Some(130));
    eventually("the end of its child", || {
        let stat = fs::read_to_string(format!("/proc/{sleeping}/stat")).unwrap_or_default();
        (stat.is_empty() || stat.contains(") Z ")).then_some(())
    });
}
