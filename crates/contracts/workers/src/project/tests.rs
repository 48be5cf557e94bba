#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;

const RUNTIME: &str = r#"
version = 1

[[repositories]]
name = "languages"
url = "https://example.com/index.toml"

[[repositories.runtimes]]
name = "python"
version = "3.11.1"
tags = ["latest"]
status = "active"
extensions = ["py", "phtml"]
args = ["--", "/src/index.py"]
binary = { url = "https://example.com/p.wasm", filename = "p.wasm", checksum = { type = "sha256", value = "00" } }
"#;

#[test]
fn the_languages_of_a_site_are_read() {
    let mut found = Diagnostics::default();
    let project = Project::parse(&Source::new(".wws.toml", RUNTIME), &mut found).unwrap();
    let names: Vec<_> = project.runtimes().map(|runtime| &**runtime.name).collect();
    assert_eq!(names, ["python"]);
    let warnings: Vec<_> = found.iter().map(ToString::to_string).collect();
    assert_eq!(warnings, ["there is no runtime for `.phtml` files"]);
}

#[test]
fn a_site_may_name_none() {
    let mut found = Diagnostics::default();
    let source = Source::new(".wws.toml", "version = 1\n");
    assert_eq!(Project::parse(&source, &mut found).unwrap().runtimes().count(), 0);
    assert!(found.is_empty());
}
