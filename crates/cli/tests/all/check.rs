//! `reef check`.

use std::fs;

use serde_json::Value;
use tempfile::tempdir;

use crate::{process::finish, support::reef};

const GOOD: &str = "name = 'shop'\n[[workload]]\nname = 'front'\nsource = 'front.wasm'\n\
    trigger.http.route = '/...'\n";

#[test]
fn a_manifest_that_is_well_formed_is_said_to_be() {
    let dir = tempdir().unwrap();
    fs::write(dir.path().join("front.wasm"), "").unwrap();
    fs::write(dir.path().join("reef.toml"), GOOD).unwrap();
    // The one of the folder, the folder's, and by name.
    for args in [&[][..], &["."], &["reef.toml"]] {
        let mut command = reef();
        command.current_dir(dir.path()).arg("check").args(args);
        let ended = finish(command, b"");
        assert_eq!((ended.status(), &*ended.stderr), (0, ""), "{args:?}");
        assert!(ended.stdout.ends_with("shop is well formed: 1 workload, 1 route\n"), "{ended:?}");
    }
}

#[test]
fn what_is_wrong_is_shown_with_its_line_a_caret_and_what_to_do() {
    let dir = tempdir().unwrap();
    let text = format!("{GOOD}trigger.http.rout = '/'\nlimits.memory = 'much'\n");
    fs::write(dir.path().join("reef.toml"), text).unwrap();
    let mut command = reef();
    command.current_dir(dir.path()).arg("check");
    let ended = finish(command, b"");
    assert_eq!(ended.status(), 1);
    assert_eq!(ended.stdout, "");
    for said in [
        "`rout` is not a known field",
        "reef.toml:6:14",
        "6 | trigger.http.rout = '/'",
        "^^^^",
        "did you mean `route`?",
        "reef.toml:7:17",
        "`much` is not a size; write a number with an optional unit",
    ] {
        assert!(ended.stderr.contains(said), "{said:?} is not in\n{}", ended.stderr);
    }
}

#[test]
fn files_that_are_not_there_are_errors_unless_something_makes_them() {
    let dir = tempdir().unwrap();
    let check = |text: &str| {
        fs::write(dir.path().join("reef.toml"), text).unwrap();
        let mut command = reef();
        command.current_dir(dir.path()).arg("check");
        finish(command, b"")
    };
    let ended = check(GOOD);
    assert_eq!(ended.status(), 1);
    assert!(ended.stderr.contains("there is no file front.wasm"), "{ended:?}");
    let ended = check(&format!("{GOOD}build.command = 'make'\n"));
    assert_eq!(ended.status(), 0);
    assert!(ended.stderr.contains("`make` makes it"), "{ended:?}");
    let ended = check(&format!("{GOOD}build.command = 'make'\ndirs = ['data']\n"));
    assert_eq!(ended.status(), 1);
    assert!(ended.stderr.contains("there is no folder data"), "{ended:?}");
}

#[test]
fn machines_get_json() {
    let dir = tempdir().unwrap();
    fs::write(dir.path().join("front.wasm"), "").unwrap();
    fs::write(dir.path().join("good.toml"), GOOD).unwrap();
    fs::write(dir.path().join("bad.toml"), format!("{GOOD}colour = 'red'\n")).unwrap();
    let mut command = reef();
    command.current_dir(dir.path()).args(["check", "--json", "good.toml", "bad.toml"]);
    let ended = finish(command, b"");
    assert_eq!((ended.status(), &*ended.stderr), (1, ""));
    let answers: Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(answers[0]["valid"], true);
    assert_eq!(answers[0]["diagnostics"], Value::Array(Vec::new()));
    assert_eq!(answers[1]["valid"], false);
    let wrong = &answers[1]["diagnostics"][0];
    assert_eq!((&wrong["line"], &wrong["column"]), (&6.into(), &1.into()));
    assert_eq!(wrong["severity"], "error");
    assert_eq!(wrong["message"], "`colour` is not a known field");
}

#[test]
fn what_is_no_manifest_is_said_so() {
    let dir = tempdir().unwrap();
    fs::write(dir.path().join("huge.toml"), vec![b' '; 100 << 20]).unwrap();
    fs::write(dir.path().join("binary.toml"), b"\0asm\xff\xfe").unwrap();
    fs::write(dir.path().join("broken.toml"), "name = \n").unwrap();
    for (args, said) in [
        (&["check"][..], "has neither a reef.toml nor a .wasm file nor workers"),
        (&["check", "nowhere.toml"], "there is no manifest nowhere.toml"),
        (&["check", "huge.toml"], "a manifest has at most 4194304"),
        (&["check", "binary.toml"], "it is not text in UTF-8"),
        (&["check", "broken.toml"], "broken.toml:1:8"),
    ] {
        let mut command = reef();
        command.current_dir(dir.path()).args(args);
        let ended = finish(command, b"");
        assert_ne!(ended.status(), 0, "{args:?}");
        assert!(ended.stderr.contains(said), "{said:?} is not in\n{}", ended.stderr);
    }
}

#[test]
fn what_is_converted_into_another_folder_is_well_formed_there_or_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    for folder in ["app/pub", "beside"] {
        std::fs::create_dir_all(path(folder)).unwrap();
    }
    std::fs::copy(crate::support::guest("wagi-echo"), path("app/w.wasm")).unwrap();
    let run = |args: &[&str]| {
        let mut command = crate::support::reef();
        command.args(args).current_dir(dir.path());
        crate::process::finish(command, b"")
    };
    let plain = "name = 'a'\n[[workload]]\nname = 'w'\nsource = 'w.wasm'\ntrigger.http.route = '/...'\n\
        build = { command = 'make', watch = ['src/*.rs'] }\n";
    std::fs::write(path("app/reef.toml"), plain).unwrap();
    let ended = run(&["convert", "app", "--to", "beside/reef.toml"]);
    assert_eq!(ended.status(), 0, "{ended:?}");
    let written = std::fs::read_to_string(path("beside/reef.toml")).unwrap();
    assert!(
        written.contains("\"../app/w.wasm\"") && written.contains("../app/src/*.rs"),
        "{written}"
    );
    assert_eq!(run(&["check", "beside"]).status(), 0);
    // Files are below a manifest's own folder: above they still are, beside it they would not be.
    let files = format!("{plain}[[static]]\nroute = '/s/...'\ndir = 'pub'\n");
    std::fs::write(path("app/reef.toml"), files).unwrap();
    assert_eq!(run(&["convert", "app", "--to", "reef.toml"]).status(), 0);
    assert_eq!(run(&["check", "reef.toml"]).status(), 0);
    let refused = run(&["convert", "app", "--to", "beside/other.toml"]);
    assert_ne!(refused.status(), 0);
    assert!(refused.stderr.contains("below its own folder"), "{refused:?}");
}
