//! Any value of any type comes out as it went in, in whatever pieces, and as the codec of wRPC's own
//! crates writes it.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use proptest::{collection::vec, prelude::*};
use reef_wrpc::{Decoder, Limits, Type, Types, Value, encode};
use tokio_util::codec::{Decoder as _, Encoder as _};

fn ty() -> impl Strategy<Value = Type> {
    let leaf = prop_oneof![
        prop::sample::select(vec![
            Type::Bool,
            Type::S8,
            Type::U8,
            Type::S16,
            Type::U16,
            Type::S32,
            Type::U32,
            Type::S64,
            Type::U64,
            Type::F32,
            Type::F64,
            Type::Char,
            Type::String,
            Type::Resource,
            Type::Stream(None),
            Type::Future(None),
        ]),
        (1..300_u32).prop_map(Type::Enum),
        (1..40_u32).prop_map(Type::Flags),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        let boxed = inner.clone().prop_map(Arc::new);
        let maybe = prop::option::of(boxed.clone());
        prop_oneof![
            boxed.clone().prop_map(Type::List),
            (boxed.clone(), 1..4_u32).prop_map(|(ty, length)| Type::FixedList(ty, length)),
            vec(inner.clone(), 1..4).prop_map(|types| Type::Tuple(types.into())),
            vec(prop::option::of(inner), 1..4).prop_map(|cases| Type::Variant(cases.into())),
            boxed.clone().prop_map(Type::Option),
            (maybe.clone(), maybe.clone()).prop_map(|(ok, error)| Type::Result(ok, error)),
            maybe.clone().prop_map(Type::Stream),
            maybe.prop_map(Type::Future),
        ]
    })
}

fn carried(ty: Option<&Type>) -> BoxedStrategy<Option<Box<Value>>> {
    match ty {
        None => Just(None).boxed(),
        Some(ty) => value(ty).prop_map(|value| Some(Box::new(value))).boxed(),
    }
}

fn elements(element: &Type, length: std::ops::Range<usize>) -> BoxedStrategy<Value> {
    match element {
        Type::U8 => vec(any::<u8>(), length).prop_map(|bytes| Value::Bytes(bytes.into())).boxed(),
        other => vec(value(other), length).prop_map(Value::List).boxed(),
    }
}

fn value(ty: &Type) -> BoxedStrategy<Value> {
    match ty {
        Type::Bool => any::<bool>().prop_map(Value::Bool).boxed(),
        Type::S8 => any::<i8>().prop_map(Value::S8).boxed(),
        Type::U8 => any::<u8>().prop_map(Value::U8).boxed(),
        Type::S16 => any::<i16>().prop_map(Value::S16).boxed(),
        Type::U16 => any::<u16>().prop_map(Value::U16).boxed(),
        Type::S32 => any::<i32>().prop_map(Value::S32).boxed(),
        Type::U32 => any::<u32>().prop_map(Value::U32).boxed(),
        Type::S64 => any::<i64>().prop_map(Value::S64).boxed(),
        Type::U64 => any::<u64>().prop_map(Value::U64).boxed(),
        Type::F32 => any::<f32>().prop_map(Value::F32).boxed(),
        Type::F64 => any::<f64>().prop_map(Value::F64).boxed(),
        Type::Char => any::<char>().prop_map(Value::Char).boxed(),
        Type::String => any::<String>().prop_map(Value::String).boxed(),
        Type::Resource => elements(&Type::U8, 0..20),
        Type::List(element) => elements(element, 0..4),
        Type::FixedList(element, length) => {
            elements(element, *length as usize..*length as usize + 1)
        }
        Type::Tuple(types) => {
            types.iter().map(value).collect::<Vec<_>>().prop_map(Value::Tuple).boxed()
        }
        Type::Variant(cases) => {
            let cases = cases.clone();
            (0..cases.len())
                .prop_flat_map(move |case| {
                    carried(cases[case].as_ref())
                        .prop_map(move |value| Value::Variant(case as u32, value))
                })
                .boxed()
        }
        Type::Enum(cases) => (0..*cases).prop_map(Value::Enum).boxed(),
        Type::Option(ty) => {
            prop::option::of(value(ty)).prop_map(|value| Value::Option(value.map(Box::new))).boxed()
        }
        Type::Result(ok, error) => prop_oneof![
            carried(ok.as_deref()).prop_map(|value| Value::Result(Ok(value))),
            carried(error.as_deref()).prop_map(|value| Value::Result(Err(value))),
        ]
        .boxed(),
        Type::Flags(count) => {
            let count = *count;
            vec(any::<bool>(), count as usize)
                .prop_map(move |set| {
                    let mut flags = vec![0_u8; count.div_ceil(8) as usize];
                    for (at, _) in set.iter().enumerate().filter(|(_, set)| **set) {
                        flags[at / 8] |= 1 << (at % 8);
                    }
                    Value::Flags(flags.into())
                })
                .boxed()
        }
        Type::Stream(None) => {
            let there = (1..4_usize).prop_map(|n| Value::List(vec![Value::Tuple(Vec::new()); n]));
            prop_oneof![Just(Value::Later(0)), there].boxed()
        }
        Type::Stream(Some(element)) => {
            prop_oneof![Just(Value::Later(0)), elements(element, 1..4)].boxed()
        }
        Type::Future(ty) => {
            prop_oneof![Just(Value::Later(0)), carried(ty.as_deref()).prop_map(Value::Ready)]
                .boxed()
        }
    }
}

/// Counts what comes later as decoding does.
fn number(value: &mut Value, next: &mut usize) {
    match value {
        Value::Later(number) => {
            *number = *next;
            *next += 1;
        }
        Value::List(values) | Value::Tuple(values) => {
            values.iter_mut().for_each(|value| number(value, next));
        }
        Value::Variant(_, Some(value))
        | Value::Option(Some(value))
        | Value::Ready(Some(value))
        | Value::Result(Ok(Some(value)) | Err(Some(value))) => number(value, next),
        _ => {}
    }
}

/// NaN is not itself, and there is one NaN only.
fn same(value: &Value) -> String {
    format!("{value:?}").replace("-NaN", "NaN")
}

fn typed() -> impl Strategy<Value = (Types, Vec<Value>)> {
    vec(ty(), 0..4)
        .prop_filter_map("two on one channel", |types| Types::new(types).ok())
        .prop_flat_map(|types| {
            let values: Vec<_> = types.as_slice().iter().map(value).collect();
            (Just(types), values)
        })
        .prop_map(|(types, mut values)| {
            let mut next = 0;
            values.iter_mut().for_each(|value| number(value, &mut next));
            (types, values)
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn what_is_written_is_read_in_any_pieces(
        (types, values) in typed(),
        cuts in vec(any::<prop::sample::Index>(), 0..6),
        after in vec(any::<u8>(), 0..4),
    ) {
        let mut out = BytesMut::new();
        let later = encode(&types, &values, &mut out).unwrap();
        let length = out.len();
        out.extend_from_slice(&after);
        let whole = out.freeze();
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(length + 1)).collect();
        cuts.extend([0, length]);
        cuts.sort_unstable();
        let limits = Limits { later: 1024, ..Limits::default() };
        let mut decoder = Decoder::new(&types, limits);
        let mut read = None;
        for pair in cuts.windows(2) {
            let mut piece = whole.slice(pair[0]..pair[1]);
            read = read.or(decoder.feed(&mut piece).unwrap());
        }
        let Some(Value::Tuple(read)) = read.or(decoder.feed(&mut Bytes::new()).unwrap()) else {
            panic!("not whole")
        };
        prop_assert_eq!(read.iter().map(same).collect::<Vec<_>>(), values.iter().map(same).collect::<Vec<_>>());
        prop_assert_eq!(decoder.take_later(), later);
        // What follows is left.
        let mut decoder = Decoder::new(&types, limits);
        let mut input = whole.clone();
        decoder.feed(&mut input).unwrap().unwrap();
        prop_assert_eq!(&input[..], &after[..]);
    }

    #[test]
    fn no_bytes_make_it_panic_or_keep_more_than_is_allowed(
        types in vec(ty(), 0..4),
        bytes in vec(any::<u8>(), 0..200),
        cut in any::<prop::sample::Index>(),
    ) {
        let Ok(types) = Types::new(types) else { return Ok(()) };
        let limits = Limits { bytes: 150, values: 100, later: 4 };
        let mut decoder = Decoder::new(&types, limits);
        let cut = cut.index(bytes.len() + 1);
        for piece in [&bytes[..cut], &bytes[cut..]] {
            if !matches!(decoder.feed(&mut Bytes::copy_from_slice(piece)), Ok(None)) {
                break;
            }
        }
    }

    #[test]
    fn wrpcs_own_codec_agrees(
        s16: i16, u16: u16, s32: i32, u32: u32, s64: i64, u64: u64, f64: f64,
        character: char, text: String, bytes: Vec<u8>, flag: bool, maybe: Option<u32>,
    ) {
        let types = [
            Type::S16, Type::U16, Type::S32, Type::U32, Type::S64, Type::U64, Type::F64, Type::Char,
            Type::String, Type::List(Arc::new(Type::U8)), Type::Bool,
            Type::Option(Arc::new(Type::U32)),
        ];
        let values = [
            Value::S16(s16), Value::U16(u16), Value::S32(s32), Value::U32(u32), Value::S64(s64),
            Value::U64(u64), Value::F64(f64), Value::Char(character), Value::String(text.clone()),
            Value::Bytes(bytes.clone().into()), Value::Bool(flag),
            Value::Option(maybe.map(|value| Box::new(Value::U32(value)))),
        ];
        let types = Types::new(types).unwrap();
        let mut ours = BytesMut::new();
        encode(&types, &values, &mut ours).unwrap();

        use wasm_tokio::{CoreNameEncoder, CoreVecEncoderBytes, Leb128Encoder, Utf8Codec, cm};
        let mut theirs = BytesMut::new();
        cm::S16Codec.encode(s16, &mut theirs).unwrap();
        cm::U16Codec.encode(u16, &mut theirs).unwrap();
        cm::S32Codec.encode(s32, &mut theirs).unwrap();
        cm::U32Codec.encode(u32, &mut theirs).unwrap();
        Leb128Encoder.encode(s64, &mut theirs).unwrap();
        Leb128Encoder.encode(u64, &mut theirs).unwrap();
        cm::F64Codec.encode(f64, &mut theirs).unwrap();
        Utf8Codec.encode(character, &mut theirs).unwrap();
        CoreNameEncoder.encode(text.as_str(), &mut theirs).unwrap();
        CoreVecEncoderBytes.encode(bytes, &mut theirs).unwrap();
        cm::BoolCodec.encode(flag, &mut theirs).unwrap();
        cm::OptionEncoder(cm::U32Codec).encode(maybe, &mut theirs).unwrap();
        prop_assert_eq!(&ours[..], &theirs[..]);
        prop_assert_eq!(cm::S16Codec.decode(&mut ours).unwrap(), Some(s16));
    }
}
