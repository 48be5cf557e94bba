use super::*;

#[test]
fn checksums_are_those_of_the_standards() {
    assert_eq!(crc32(b"IEND"), 0xae42_6082);
    assert_eq!(adler32(b"Wikipedia"), 0x11e6_0398);
}

#[test]
fn the_png_has_its_size_in_its_header_and_ends_with_the_last_chunk() {
    let png = landscape(30, 20);
    assert_eq!(&png[..8], b"\x89PNG\r\n\x1a\n");
    assert_eq!(&png[16..24], &[0, 0, 0, 30, 0, 0, 0, 20]);
    assert!(png.ends_with(&[b'I', b'E', b'N', b'D', 0xae, 0x42, 0x60, 0x82]));
}
