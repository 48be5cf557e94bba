//! What a manifest takes of this machine is in its folder.

use std::{fs, os::unix::fs::symlink};

use crate::{
    host::{Host, folder},
    process::{Ended, finish},
    support::reef,
};

fn up(dir: &tempfile::TempDir, command: &str, file: &str) -> Ended {
    let mut reef = reef();
    reef.current_dir(dir.path()).args([command, file]);
    if command == "up" {
        reef.args(["--addr", "127.0.0.1:0"]);
    }
    finish(reef, b"")
}

const NATIVE: &str =
    "name = 'a'\n[[workload]]\nname = 'x'\nsource = 'x.wasm'\ntrigger.http.route = '/...'\n";

#[test]
fn files_do_not_come_from_elsewhere_by_way_of_a_link() {
    let elsewhere = tempfile::tempdir().unwrap();
    fs::write(elsewhere.path().join("secret"), "secret").unwrap();
    let spin = |files: &str| {
        format!(
            "spin_manifest_version = 2\n[application]\nname = 'a'\n[[trigger.http]]\nroute = '/...'\n\
             component = 'c'\n[component.c]\nsource = 'x.wasm'\nfiles = [{files}]\n"
        )
    };
    let native = |from: &str| format!("{NATIVE}files = [{{ from = '{from}', to = '/x' }}]\n");
    for (name, manifest) in [
        ("spin.toml", spin("{ source = 'assets', destination = '/a' }")),
        ("spin.toml", spin("'assets/s*'")),
        ("spin.toml", spin("'assets/secret'")),
        ("spin.toml", spin("'one'")),
        ("spin.toml", spin("'inner/assets/*'")),
        ("reef.toml", native("assets")),
        ("reef.toml", native("inner/assets")),
        ("reef.toml", native("one")),
    ] {
        let dir = folder(&[("x.wasm", "p2-http-kit")], "");
        fs::write(dir.path().join(name), &manifest).unwrap();
        fs::create_dir(dir.path().join("inner")).unwrap();
        symlink(elsewhere.path(), dir.path().join("assets")).unwrap();
        symlink(elsewhere.path(), dir.path().join("inner/assets")).unwrap();
        symlink(elsewhere.path().join("secret"), dir.path().join("one")).unwrap();
        let ended = up(&dir, "up", name);
        assert!(ended.status() != 0, "{manifest}: {ended:?}");
        assert!(ended.stderr.contains("outside of the manifest's folder"), "{manifest}: {ended:?}");
    }
}

#[test]
fn links_within_the_folder_are_followed() {
    let dir = folder(
        &[("x.wasm", "p2-http-kit")],
        &format!("{NATIVE}files = [{{ from = 'link', to = '/x' }}]\n"),
    );
    fs::create_dir(dir.path().join("real")).unwrap();
    fs::write(dir.path().join("real/a.txt"), "a").unwrap();
    symlink("real", dir.path().join("link")).unwrap();
    let host = Host::start(dir);
    assert_eq!(host.server.get("/").status, 200);
}

#[test]
fn files_are_served_from_the_folder_of_the_manifest_alone() {
    let elsewhere = tempfile::tempdir().unwrap();
    fs::write(elsewhere.path().join("secret"), "secret").unwrap();
    let absolute = elsewhere.path().display().to_string();
    let up_and_down = format!("..{}", "/..".repeat(20)) + &absolute;
    for dir_of in [&*absolute, &*up_and_down, "link"] {
        for manifest in [
            format!("name = 'a'\n[[static]]\nroute = '/...'\ndir = '{dir_of}'\n"),
            NATIVE.to_owned() + &format!("trigger.http.files = '{dir_of}'\n"),
        ] {
            let dir = folder(&[("x.wasm", "p2-http-kit")], &manifest);
            symlink(elsewhere.path(), dir.path().join("link")).unwrap();
            for command in ["check", "up"] {
                let ended = up(&dir, command, "reef.toml");
                assert!(ended.status() != 0, "{command} {manifest}: {ended:?}");
                let said = ended.stdout + &ended.stderr;
                assert!(said.contains("outside of the manifest's folder"), "{said}");
                assert!(said.contains("put a copy there"), "{said}");
            }
        }
    }
}
