use super::*;

#[test]
fn what_cargo_compiled_incrementally_is_found_in_every_profile() {
    let target = tempfile::tempdir().unwrap();
    let at = |path: &str| target.path().join(path);
    for folder in [
        "debug/incremental/a-1",
        "debug/deps/incremental-1",
        "release/build",
        "wasm32-wasip2/release/incremental",
    ] {
        fs::create_dir_all(at(folder)).unwrap();
    }
    fs::write(at("debug/deps/incremental"), "a file").unwrap();
    let mut found = Vec::new();
    incremental(target.path(), 2, &mut found).unwrap();
    found.sort();
    assert_eq!(found, [at("debug/incremental"), at("wasm32-wasip2/release/incremental")]);
    incremental(&at("nothing"), 2, &mut Vec::new()).unwrap();
}

#[test]
fn sizes_are_told_in_tenths() {
    assert_eq!(gib(0), "0.0 GiB");
    assert_eq!(gib(3 * GIB / 2), "1.5 GiB");
    assert_eq!(gib(24 * GIB), "24.0 GiB");
}
