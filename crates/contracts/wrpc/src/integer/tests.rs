use bytes::BytesMut;

use super::{Read, put_signed, put_unsigned, signed, unsigned};

fn written(put: impl FnOnce(&mut BytesMut)) -> Vec<u8> {
    let mut out = BytesMut::new();
    put(&mut out);
    out.to_vec()
}

#[test]
fn the_edges_of_each_width_are_read_as_they_are_written() {
    for bits in [16, 32, 64] {
        let most = u64::MAX >> (64 - bits);
        for value in [0, 1, 127, 128, most - 1, most] {
            let bytes = written(|out| put_unsigned(value, out));
            assert_eq!(unsigned(&bytes, bits), Read::Whole(value, bytes.len()));
        }
        let (least, most) = (i64::MIN >> (64 - bits), i64::MAX >> (64 - bits));
        for value in [least, least + 1, -129, -65, -64, -1, 0, 1, 63, 64, most] {
            let bytes = written(|out| put_signed(value, out));
            assert_eq!(signed(&bytes, bits), Read::Whole(value, bytes.len()), "{bits} {value}");
        }
    }
}

#[test]
fn what_does_not_fit_is_no_integer() {
    let one_too_many = written(|out| put_unsigned(1 << 16, out));
    assert_eq!(unsigned(&one_too_many, 16), Read::Wrong);
    let one_too_many = written(|out| put_signed(1 << 15, out));
    assert_eq!(signed(&one_too_many, 16), Read::Wrong);
    let one_too_few = written(|out| put_signed(-(1 << 15) - 1, out));
    assert_eq!(signed(&one_too_few, 16), Read::Wrong);
    // It goes on after the last byte that it may have.
    assert_eq!(unsigned(&[0x80, 0x80, 0x80], 16), Read::Wrong);
    assert_eq!(signed(&[0xff; 10], 64), Read::Wrong);
}

#[test]
fn zeros_in_front_are_allowed_within_the_length_and_a_start_is_a_start() {
    assert_eq!(unsigned(&[0x83, 0x80, 0x00], 16), Read::Whole(3, 3));
    assert_eq!(signed(&[0xff, 0xff, 0x7f], 16), Read::Whole(-1, 3));
    assert_eq!(unsigned(&[0x83, 0x80], 16), Read::Part);
    assert_eq!(unsigned(&[], 64), Read::Part);
    assert_eq!(signed(&[], 64), Read::Part);
}
