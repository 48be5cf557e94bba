#![allow(clippy::unwrap_used, reason = "tests")]

use std::path::PathBuf;

use reef_app::Manifest;
use reef_document::{Diagnostics, Source};

use super::*;
use crate::expect;

#[test]
fn every_template_makes_a_manifest_and_tests_without_fault() {
    for template in ALL {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("My.App");
        make(template, &"My.App".parse().unwrap(), &folder).unwrap();
        let text = fs::read_to_string(folder.join("reef.toml")).unwrap();
        let mut found = Diagnostics::default();
        let manifest = Manifest::parse(&Source::new("reef.toml", text)).unwrap();
        let application = manifest.application(None, &mut found);
        assert!(found.is_empty(), "{}: {found:?}", template.name);
        let application = application.unwrap();
        assert_eq!(application.name.as_str(), "My.App");
        let built = application.workloads.iter().any(|workload| workload.build.is_some());
        assert_eq!(built, template.is_built(), "{}", template.name);
        for (path, text) in template.files {
            assert!(folder.join(path).is_file());
            let made = fs::read_to_string(folder.join(path)).unwrap();
            for left in ["@name@", "@package@", "@crate@"] {
                assert!(!made.contains(left), "{}: {path} has {left}: {text}", template.name);
            }
            if path.starts_with("tests/") {
                let mut found = Diagnostics::default();
                expect::parse(&Source::new(*path, made), &mut found);
                assert!(found.is_empty(), "{}: {found:?}", template.name);
            }
        }
    }
}

#[test]
fn nothing_is_overwritten() {
    let dir = tempfile::tempdir().unwrap();
    let name: Name = "a".parse().unwrap();
    let make = |folder: PathBuf| make(&ALL[0], &name, &folder);
    make(dir.path().join("new/below")).unwrap();
    let again = make(dir.path().join("new/below")).unwrap_err().to_string();
    assert!(again.contains("has something in it"), "{again}");
    fs::write(dir.path().join("file"), "mine").unwrap();
    let over = make(dir.path().join("file")).unwrap_err().to_string();
    assert!(over.contains("is no folder"), "{over}");
    fs::create_dir(dir.path().join("empty")).unwrap();
    make(dir.path().join("empty")).unwrap();
}

#[test]
fn packages_have_names_that_package_managers_take() {
    for (name, made) in [("shop", "shop"), ("My.App_2", "my-app_2"), ("3d", "app-3d")] {
        assert_eq!(package(&name.parse().unwrap()), made);
    }
}
