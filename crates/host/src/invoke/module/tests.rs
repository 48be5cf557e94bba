#![allow(clippy::unwrap_used, reason = "tests")]

use super::integer;

#[test]
fn integers_are_read_with_and_without_a_sign() {
    for (text, bits, expected) in [
        ("0", 32, Some(0)),
        ("-2147483648", 32, Some(-2_147_483_648)),
        ("4294967295", 32, Some(4_294_967_295)),
        ("0xffffffff", 32, Some(4_294_967_295)),
        ("-0x1", 64, Some(-1)),
        ("+7", 64, Some(7)),
        ("18446744073709551615", 64, Some(-1)),
        ("4294967296", 32, None),
        ("-2147483649", 32, None),
        ("", 32, None),
        ("-", 32, None),
        ("0x", 32, None),
        ("--1", 32, None),
        ("+-1", 32, None),
        ("1.0", 32, None),
        ("18446744073709551616", 64, None),
    ] {
        assert_eq!(integer(text, bits), expected, "{text}");
    }
    assert_eq!(integer("4294967295", 32).unwrap() as i32, -1);
}
