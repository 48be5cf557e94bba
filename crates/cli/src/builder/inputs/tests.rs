#![allow(clippy::unwrap_used, reason = "tests")]

use std::time::Duration;

use proptest::prelude::*;
use tempfile::{TempDir, tempdir};

use super::*;

/// A folder with these files in it.
fn folder(files: &[(&str, &str)]) -> TempDir {
    let dir = tempdir().unwrap();
    for (path, text) in files {
        let path = dir.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    dir
}

fn inputs(dir: &Path, build: Option<&str>, watch: &[&str], artifacts: &[&str]) -> Inputs {
    let watch = watch.iter().map(|pattern| (*pattern).to_owned()).collect();
    let build = Build { command: "make".into(), dir: build.map(str::to_owned), watch };
    let artifacts = artifacts.iter().map(|path| dir.join(path)).collect();
    Inputs::new(Some(&build), dir, artifacts).unwrap()
}

/// All that count, by walking; each must also be taken when it is asked for, and no other.
fn files(dir: &Path, inputs: &Inputs) -> Vec<String> {
    let mut found = Vec::new();
    for root in &inputs.roots {
        root.walk(&mut |path, is_folder| {
            if !is_folder && !inputs.artifacts.contains(path) {
                found.push(path.strip_prefix(dir).unwrap().display().to_string());
            }
        })
        .unwrap();
    }
    found.sort();
    found.dedup();
    let mut open = vec![dir.to_owned()];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else {
                let name = path.strip_prefix(dir).unwrap().display().to_string();
                assert_eq!(inputs.has(&path), found.contains(&name), "{name}: {inputs:?}");
            }
        }
    }
    found
}

#[test]
fn without_patterns_all_counts_but_what_is_made() {
    let dir = folder(&[
        ("reef.toml", ""),
        ("src/main.rs", ""),
        ("src/target.rs", ""),
        ("target/release/a.wasm", ""),
        ("node_modules/x/index.js", ""),
        ("below/node_modules/x.js", ""),
        (".git/HEAD", ""),
        ("out.wasm", ""),
        ("other.wasm", ""),
        ("seen.wasm", ""),
        (".gitignore", "/generated/\n*.log\n!kept.log\n"),
        ("generated/x.rs", ""),
        ("a.log", ""),
        ("kept.log", ""),
    ]);
    let all = inputs(dir.path(), None, &[], &["out.wasm", "./other.wasm"]);
    let expected =
        [".gitignore", "kept.log", "reef.toml", "seen.wasm", "src/main.rs", "src/target.rs"];
    assert_eq!(files(dir.path(), &all), expected);
    // What is not there (any more) counts as well.
    assert!(all.has(&dir.path().join("src/removed.rs")));
    assert!(!all.has(&dir.path().join("target/removed.rs")));
    assert!(!all.has(Path::new("/somewhere/else")));
}

#[test]
fn a_build_in_a_folder_is_made_from_that() {
    let dir = folder(&[
        ("reef.toml", ""),
        (".gitignore", "*.tmp\n"),
        ("a/main.go", ""),
        ("a/x.tmp", ""),
        ("b/main.go", ""),
        ("shared/lib.go", ""),
    ]);
    assert_eq!(files(dir.path(), &inputs(dir.path(), Some("a"), &[], &[])), ["a/main.go"]);
    let shared = inputs(dir.path(), Some("a"), &["**/*.go", "../shared/**"], &[]);
    assert_eq!(files(dir.path(), &shared), ["a/main.go", "shared/lib.go"]);
    let folders: Vec<_> = shared.folders().unwrap();
    assert_eq!(folders, [dir.path().join("a"), dir.path().join("shared")]);
}

#[test]
fn patterns_say_what_counts() {
    let files_of = |watch: &[&str]| {
        let dir = folder(&[
            ("src/main.rs", ""),
            ("src/deep/er.rs", ""),
            ("src/note.txt", ""),
            ("target/x.rs", ""),
            ("Cargo.toml", ""),
            ("build.rs", ""),
        ]);
        let inputs = inputs(dir.path(), None, watch, &[]);
        files(dir.path(), &inputs).join(" ")
    };
    for (watch, expected) in [
        (&["src/**/*.rs"][..], "src/deep/er.rs src/main.rs"),
        (&["src/*.rs"], "src/main.rs"),
        (&["src"], "src/deep/er.rs src/main.rs src/note.txt"),
        (&["src/", "./Cargo.toml"], "Cargo.toml src/deep/er.rs src/main.rs src/note.txt"),
        (&["*.rs"], "build.rs"),
        (&["**/*.rs"], "build.rs src/deep/er.rs src/main.rs"),
        (&["*.{rs,toml}"], "Cargo.toml build.rs"),
        // Somebody means it.
        (&["target/*.rs"], "target/x.rs"),
        (&["nothing/**", "gone.txt"], ""),
    ] {
        assert_eq!(files_of(watch), expected, "{watch:?}");
    }
}

#[test]
fn what_is_no_pattern_is_said() {
    let build = Build { command: "x".into(), dir: None, watch: vec!["src/[a".into()] };
    let error = Inputs::new(Some(&build), Path::new(""), Vec::new()).unwrap_err().to_string();
    assert!(error.contains("`src/[a`, which is no pattern"), "{error}");
}

#[test]
fn the_newest_counts() {
    let dir = folder(&[("a", ""), ("b", ""), ("out", "")]);
    let inputs = inputs(dir.path(), None, &[], &["out"]);
    let old = SystemTime::now() - Duration::from_secs(1000);
    let set = |name: &str, time| {
        fs::File::options()
            .write(true)
            .open(dir.path().join(name))
            .unwrap()
            .set_modified(time)
            .unwrap();
    };
    set("a", old);
    set("b", old + Duration::from_secs(5));
    assert_eq!(inputs.newest().unwrap(), Some(old + Duration::from_secs(5)));
    let nothing = Inputs::new(None, dir.path(), Vec::new()).unwrap();
    assert_eq!(nothing.newest().unwrap(), None);
}

/// Whether a pattern takes a path, part by part, as its documentation has it.
fn takes(pattern: &[&str], path: &[&str]) -> bool {
    match (pattern, path) {
        (["**"], path) => !path.is_empty(),
        (["**", rest @ ..], path) => (0..=path.len()).any(|at| takes(rest, &path[at..])),
        ([part, pattern @ ..], [name, path @ ..]) => {
            let fits = match part.split_once('*') {
                Some((start, end)) => {
                    name.len() >= start.len() + end.len()
                        && name.starts_with(start)
                        && name.ends_with(end)
                }
                None => part == name,
            };
            fits && takes(pattern, path)
        }
        ([], path) => path.is_empty(),
        (_, []) => false,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// What is found by walking is what is taken when asked for ([`files`] sees to that), and what the
    /// simple model says.
    #[test]
    fn patterns_are_what_a_simple_model_says(
        paths in prop::collection::btree_set("([ab]/){0,3}[abc]\\.(rs|md)", 1..12),
        pattern in "([ab]/|\\*/|\\*\\*/){0,3}(\\*|\\*\\*|\\*\\.rs|a\\*|[abc]\\.rs)",
    ) {
        let files_there: Vec<_> = paths.iter().map(|path| (path.as_str(), "")).collect();
        let dir = folder(&files_there);
        let inputs = inputs(dir.path(), None, &[&pattern], &[]);
        let parts: Vec<_> = pattern.split('/').collect();
        let expected: Vec<_> = paths
            .iter()
            .filter(|path| takes(&parts, &path.split('/').collect::<Vec<_>>()))
            .cloned()
            .collect();
        let mut expected = expected;
        expected.sort();
        prop_assert_eq!(files(dir.path(), &inputs), expected, "{}", pattern);
    }
}
