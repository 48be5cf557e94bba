use super::*;

fn key(folder: &Path, salt: &str) -> String {
    content_key(&[folder.to_owned()], salt).unwrap()
}

#[test]
fn a_key_changes_with_content_names_and_toolchain_and_with_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    fs::create_dir_all(at.join("src")).unwrap();
    fs::write(at.join("src/main.rs"), "fn main() {}").unwrap();
    let first = key(at, "toolchain 1");
    assert_eq!(first, key(at, "toolchain 1"));
    assert_ne!(first, key(at, "toolchain 2"));

    fs::create_dir_all(at.join("target")).unwrap();
    fs::write(at.join("target/output"), "anything").unwrap();
    assert_eq!(first, key(at, "toolchain 1"), "build output is no source");

    fs::write(at.join("src/main.rs"), "fn main() {} ").unwrap();
    let edited = key(at, "toolchain 1");
    assert_ne!(first, edited);
    fs::rename(at.join("src/main.rs"), at.join("src/lib.rs")).unwrap();
    assert_ne!(edited, key(at, "toolchain 1"));
}

#[test]
fn content_moved_from_one_file_to_the_next_changes_the_key() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for (folder, first, second) in [(&one, "ab", "c"), (&two, "a", "bc")] {
        fs::write(folder.path().join("1"), first).unwrap();
        fs::write(folder.path().join("2"), second).unwrap();
    }
    assert_ne!(key(one.path(), ""), key(two.path(), ""));
}

#[test]
fn a_folder_counts_as_finished_only_for_its_own_key() {
    let folder = tempfile::tempdir().unwrap();
    assert!(!is_finished(folder.path(), "1"));
    finish(folder.path(), "1").unwrap();
    assert!(is_finished(folder.path(), "1"));
    assert!(!is_finished(folder.path(), "2"));
}
