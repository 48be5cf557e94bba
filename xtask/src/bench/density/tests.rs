use super::custom_section;

#[test]
fn a_custom_section_has_a_name_and_content() {
    // WebAssembly 3.0, 5.5.3: id 0, size, then a name with its own length, then anything.
    assert_eq!(custom_section("ab", "17"), b"\x00\x05\x02ab17");
}
