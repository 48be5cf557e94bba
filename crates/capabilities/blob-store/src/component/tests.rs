use proptest::prelude::*;

use super::*;

#[test]
fn a_name_is_one_component_whatever_is_in_it() {
    for (name, file) in [
        ("plain.txt", "plain.txt"),
        ("a/b", "a%2Fb"),
        ("/", "%2F"),
        ("..", "%2E."),
        (".", "%2E"),
        ("../../etc/passwd", "%2E.%2F..%2Fetc%2Fpasswd"),
        ("50%", "50%25"),
        ("nul\0", "nul%00"),
        ("größe", "größe"),
    ] {
        assert_eq!(encode("object", name).unwrap(), file);
        assert_eq!(decode(file.as_bytes()).as_deref(), Some(name));
    }
}

#[test]
fn files_of_others_stand_for_no_name() {
    for file in ["", ".partial-1", ".", "..", "a%2fb", "a%2", "100%", "%41", "\u{7f}"] {
        assert_eq!(decode(file.as_bytes()), None, "{file}");
    }
    assert_eq!(decode(b"\xff"), None);
}

#[test]
fn names_that_no_file_can_have_are_refused() {
    assert!(matches!(encode("object", ""), Err(Failure::Invalid(_))));
    assert!(encode("object", &"x".repeat(255)).is_ok());
    let long = encode("object", &"/".repeat(86));
    assert!(matches!(long, Err(Failure::TooLarge { is: 258, most: 255, .. })), "{long:?}");
}

proptest! {
    #[test]
    fn every_name_is_a_file_of_its_own(name in "\\PC{1,40}|[./%\\x00-\\x20a]{1,20}") {
        let file = encode("object", &name).unwrap();
        prop_assert!(!file.contains(['/', '\0']) && !file.starts_with('.'));
        prop_assert_eq!(decode(file.as_bytes()), Some(name));
    }

    #[test]
    fn no_two_files_stand_for_one_name(file in proptest::collection::vec(any::<u8>(), 0..20)) {
        if let Some(name) = decode(&file) {
            prop_assert_eq!(encode("object", &name).unwrap().into_bytes(), file);
        }
    }
}
