//! No bytes, in whatever pieces, make reading values of any type panic, or keep more than is allowed;
//! what is read is written again as something that reads the same.
#![no_main]

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use libfuzzer_sys::fuzz_target;
use reef_wrpc::{Decoder, Function, Limits, Path, Type, Types, Value, encode};

/// A type out of the first bytes.
fn ty(input: &mut impl Iterator<Item = u8>, depth: usize) -> Type {
    let inner = |input: &mut _| Arc::new(ty(input, depth + 1));
    let choice = input.next().unwrap_or(0);
    match if depth > 6 { choice % 16 } else { choice % 26 } {
        0 => Type::Bool,
        1 => Type::S8,
        2 => Type::U8,
        3 => Type::S16,
        4 => Type::U16,
        5 => Type::S32,
        6 => Type::U32,
        7 => Type::S64,
        8 => Type::U64,
        9 => Type::F32,
        10 => Type::F64,
        11 => Type::Char,
        12 => Type::String,
        13 => Type::Enum(u32::from(choice) + 1),
        14 => Type::Flags(u32::from(choice) + 1),
        15 => Type::Resource,
        16 => Type::List(inner(input)),
        17 => Type::FixedList(inner(input), u32::from(choice)),
        18 => Type::Tuple([(*inner(input)).clone(), (*inner(input)).clone()].into()),
        19 => Type::Variant([None, Some((*inner(input)).clone())].into()),
        20 => Type::Option(inner(input)),
        21 => Type::Result(Some(inner(input)), None),
        22 => Type::Stream(Some(inner(input))),
        23 => Type::Future(Some(inner(input))),
        24 => Type::Stream(None),
        _ => Type::Future(None),
    }
}

fuzz_target!(|input: &[u8]| {
    let mut bytes = input.iter().copied();
    let cut = usize::from(bytes.next().unwrap_or(0));
    let Ok(types) = Types::new([ty(&mut bytes, 0)]) else { return };
    let rest: Vec<u8> = bytes.collect();
    if let Ok(text) = str::from_utf8(&rest) {
        if let Ok(path) = text.parse::<Path>() {
            assert_eq!(path.to_string(), text);
        }
        if let Some(function) = Function::parse(text) {
            assert_eq!(function.to_string(), text);
        }
    }
    let limits = Limits { bytes: 4096, values: 256, later: 8 };
    let mut decoder = Decoder::new(&types, limits);
    let (first, second) = rest.split_at(cut.min(rest.len()));
    for piece in [first, second] {
        let Ok(read) = decoder.feed(&mut Bytes::copy_from_slice(piece)) else { return };
        let Some(Value::Tuple(values)) = read else { continue };
        let later = decoder.take_later();
        let mut out = BytesMut::new();
        assert_eq!(encode(&types, &values, &mut out).expect("of the types"), later);
        let mut again = Decoder::new(&types, limits);
        let again = again.feed(&mut out.freeze()).expect("no more than before");
        assert_eq!(
            format!("{:?}", again.expect("whole")).replace("-NaN", "NaN"),
            format!("{:?}", Value::Tuple(values)).replace("-NaN", "NaN")
        );
        return;
    }
});
