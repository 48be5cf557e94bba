use super::*;

fn version(text: &str) -> Version {
    Version::parse(text).unwrap()
}

#[test]
fn names_come_apart_and_together() {
    for text in
        ["wasi:http/types@0.2.3", "wasi:http/handler@0.3.0-rc-2026-03-15", "a:b/c", "run", "x@y"]
    {
        assert_eq!(InterfaceName::parse(text).to_string(), text);
    }
    let name = InterfaceName::parse("wasi:http/handler@0.3.0-rc-2026-03-15");
    assert_eq!(name.name, "wasi:http/handler");
    assert_eq!(name.version, Some(version("0.3.0-rc-2026-03-15")));
    assert_eq!(InterfaceName::parse("x@y").version, None);
}

#[test]
fn a_track_is_compatible_both_ways_and_a_prerelease_only_with_itself() {
    let cases = [
        ("0.2.12", "0.2.0", true),
        ("0.2.0", "0.2.12", true),
        ("0.3.0", "0.2.0", false),
        ("1.4.0", "1.0.2", true),
        ("2.0.0", "1.0.0", false),
        ("0.0.1", "0.0.2", false),
        ("0.0.1", "0.0.1", true),
        ("0.3.0", "0.3.0-rc-2026-03-15", false),
        ("0.3.0-rc-2026-03-15", "0.3.0-rc-2026-03-15", true),
        ("0.3.0-rc-2026-01-06", "0.3.0-rc-2026-03-15", false),
    ];
    for (have, want, expected) in cases {
        assert_eq!(compatible(&version(have), &version(want)), expected, "{have} for {want}");
    }
}
