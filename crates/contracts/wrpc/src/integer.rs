//! Integers as WebAssembly writes them: LEB128 (core specification, "Values: Integers").

use bytes::{BufMut, BytesMut};

/// What is at the start of some bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Read<T> {
    /// A value, and how many bytes it takes.
    Whole(T, usize),
    /// The start of one.
    Part,
    /// None.
    Wrong,
}

/// Reads an integer of `bits` bits: at most as many bytes as that needs, and no bit beyond.
pub(crate) fn unsigned(bytes: &[u8], bits: u32) -> Read<u64> {
    let mut value = 0;
    let longest = bits.div_ceil(7);
    for (at, byte) in (0..longest).zip(bytes) {
        let low = u64::from(byte & 0x7f);
        let room = bits - 7 * at;
        if room < 7 && low >> room != 0 {
            return Read::Wrong;
        }
        value |= low << (7 * at);
        if byte & 0x80 == 0 {
            return Read::Whole(value, at as usize + 1);
        }
    }
    if bytes.len() < longest as usize { Read::Part } else { Read::Wrong }
}

/// The same in two's complement: bits beyond are those of the sign.
pub(crate) fn signed(bytes: &[u8], bits: u32) -> Read<i64> {
    let mut value = 0_i64;
    let longest = bits.div_ceil(7);
    for (at, byte) in (0..longest).zip(bytes) {
        let low = i64::from(byte & 0x7f);
        let room = bits - 7 * at;
        if room < 7 {
            // All of the sign, or none of it.
            let sign = low >> (room - 1);
            if sign != 0 && sign != 0x7f >> (room - 1) {
                return Read::Wrong;
            }
        }
        value |= low << (7 * at);
        if byte & 0x80 == 0 {
            let filled = 7 * (at + 1);
            if filled < i64::BITS && byte & 0x40 != 0 {
                value |= -1 << filled;
            }
            return Read::Whole(value, at as usize + 1);
        }
    }
    if bytes.len() < longest as usize { Read::Part } else { Read::Wrong }
}

pub(crate) fn put_unsigned(mut value: u64, out: &mut BytesMut) {
    loop {
        let low = (value & 0x7f) as u8;
        value >>= 7;
        if value == 0 {
            return out.put_u8(low);
        }
        out.put_u8(low | 0x80);
    }
}

pub(crate) fn put_signed(mut value: i64, out: &mut BytesMut) {
    loop {
        let low = (value & 0x7f) as u8;
        value >>= 7;
        // What is left says no more than the sign that is written already.
        if (value == 0 && low & 0x40 == 0) || (value == -1 && low & 0x40 != 0) {
            return out.put_u8(low);
        }
        out.put_u8(low | 0x80);
    }
}

#[cfg(test)]
mod tests;
