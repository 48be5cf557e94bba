#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::os::unix::fs::symlink;
use std::path::PathBuf;

use proptest::prelude::*;

use super::*;

struct Tree {
    _dir: tempfile::TempDir,
    root: Root,
}

/// `site` is the root; beside it lie a secret file and a secret folder.
fn tree() -> Tree {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    std::fs::create_dir_all(at("site/a/b")).unwrap();
    std::fs::create_dir(at("secrets")).unwrap();
    for file in ["secret", "secrets/file"] {
        std::fs::write(at(file), "SECRET").unwrap();
    }
    for file in ["site/file", "site/a/file", "site/a/b/file"] {
        std::fs::write(at(file), "public").unwrap();
    }
    for (target, link) in [
        ("../secret", "site/out"),
        ("../../secret", "site/a/out"),
        ("..", "site/up"),
        ("../..", "site/a/up"),
        ("../secrets", "site/folder"),
        ("/etc/passwd", "site/absolute"),
        ("/proc/self/root", "site/magic"),
        ("a/b/file", "site/in"),
        ("../a/b", "site/a/in"),
        ("a/up/secret", "site/twice"),
        ("loop", "site/loop"),
    ] {
        symlink(target, at(link)).unwrap();
    }
    let root = Root::open(&at("site")).unwrap();
    Tree { _dir: dir, root }
}

/// What is there when it was looked up without waiting (waiting where that is asked for), and by
/// waiting at once: the two must agree.
fn look(root: &Root, path: &Path) -> Option<Entry> {
    let [mut quick, slow] = [Wait::No, Wait::Yes].map(|wait| root.look(path, wait));
    if matches!(&quick, Err(error) if error.kind() == io::ErrorKind::WouldBlock) {
        quick = root.look(path, Wait::Yes);
    }
    match (quick, slow) {
        (Ok(quick), Ok(slow)) => {
            assert_eq!(std::mem::discriminant(&quick), std::mem::discriminant(&slow), "{path:?}");
            if let (Entry::File(quick), Entry::File(slow)) = (&quick, &slow) {
                assert_eq!((quick.length, quick.modified), (slow.length, slow.modified));
            }
            Some(quick)
        }
        (Err(quick), Err(slow)) => {
            assert!(is_missing(&quick) && is_missing(&slow), "{path:?}: {quick}, {slow}");
            None
        }
        (quick, slow) => panic!("{path:?}: {quick:?}, {slow:?}"),
    }
}

#[test]
fn links_lead_about_inside_and_never_out() {
    let tree = tree();
    for path in ["file", "a/b/file", "in", "a/in/file", "a/../file", "a/./file"] {
        let Some(Entry::File(opened)) = look(&tree.root, Path::new(path)) else { panic!("{path}") };
        assert_eq!(read(&opened.file, 0, 100, Wait::Yes).unwrap(), b"public", "{path}");
        assert_eq!(read(&opened.file, 3, 2, Wait::Yes).unwrap(), b"li");
        assert_eq!(read(&opened.file, 100, 2, Wait::Yes).unwrap(), b"");
    }
    for path in ["", "a", "a/up/a", "a/in"] {
        let inside = !path.contains("up");
        assert_eq!(
            matches!(look(&tree.root, Path::new(path)), Some(Entry::Folder)),
            inside,
            "{path}"
        );
    }
    for path in [
        "../secret",
        "..",
        "a/../../secret",
        "/etc/passwd",
        "/",
        "out",
        "a/out",
        "up",
        "up/secret",
        "a/up",
        "a/up/secret",
        "folder",
        "folder/file",
        "absolute",
        "magic",
        "magic/etc/passwd",
        "twice",
        "loop",
        "none",
        "file/none",
        "file/",
    ] {
        assert!(look(&tree.root, Path::new(path)).is_none(), "{path}");
    }
    assert!(look(&tree.root, Path::new("/dev/null")).is_none());
}

#[test]
fn what_is_no_file_is_not_waited_for() {
    let tree = tree();
    let pipe = tree._dir.path().join("site/pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    std::os::unix::net::UnixListener::bind(tree._dir.path().join("site/socket")).unwrap();
    assert!(matches!(look(&tree.root, Path::new("pipe")), Some(Entry::Other)));
    assert!(look(&tree.root, Path::new("socket")).is_none());
}

proptest! {
    /// The kernel's way and cap-std's agree on every path, and neither leads to a secret.
    #[test]
    fn hostile_paths_stay_inside(parts in proptest::collection::vec(
        prop_oneof![
            Just(".."), Just("."), Just("a"), Just("b"), Just("file"), Just("up"), Just("out"), Just("in"),
            Just("folder"), Just("magic"), Just("absolute"), Just("secret"), Just("site"), Just("twice"),
        ], 1..8,
    ), absolute: bool) {
        thread_local!(static TREE: Tree = tree());
        let mut path = PathBuf::from(if absolute { "/" } else { "" });
        path.extend(parts);
        TREE.with(|tree| {
            if let Some(Entry::File(opened)) = look(&tree.root, &path) {
                prop_assert_eq!(read(&opened.file, 0, 100, Wait::Yes).unwrap(), b"public");
            }
            Ok(())
        })?;
    }
}
