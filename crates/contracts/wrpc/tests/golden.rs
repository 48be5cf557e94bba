//! Values and their bytes, each written by hand after the component model's `Binary.md` ("Value
//! Definitions") and wRPC's `SPEC.md`.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use reef_wrpc::{
    DecodeError, Decoder, EncodeError, Later, Limits, Path, Type, TypeError, Types, Value, encode,
    encode_chunk, encode_ready,
};

fn one(ty: Type) -> Types {
    Types::new([ty]).unwrap()
}

fn decode(types: &Types, bytes: &[u8]) -> Result<Option<Vec<Value>>, DecodeError> {
    let mut decoder = Decoder::new(types, Limits::default());
    match decoder.feed(&mut Bytes::copy_from_slice(bytes))? {
        Some(Value::Tuple(values)) => Ok(Some(values)),
        Some(other) => panic!("{other:?}"),
        None => Ok(None),
    }
}

#[track_caller]
fn is(ty: Type, value: Value, bytes: &[u8]) {
    let types = one(ty);
    let mut out = BytesMut::new();
    encode(&types, std::slice::from_ref(&value), &mut out).unwrap();
    assert_eq!(&out[..], bytes, "{value:?}");
    assert_eq!(decode(&types, bytes).unwrap(), Some(vec![value]));
}

fn some(value: Value) -> Option<Box<Value>> {
    Some(Box::new(value))
}

#[test]
fn numbers_and_text() {
    is(Type::Bool, Value::Bool(true), &[1]);
    is(Type::S8, Value::S8(-2), &[0xfe]);
    is(Type::U8, Value::U8(200), &[200]);
    is(Type::S16, Value::S16(-2), &[0x7e]);
    is(Type::U16, Value::U16(300), &[0xac, 0x02]);
    is(Type::S32, Value::S32(i32::MIN), &[0x80, 0x80, 0x80, 0x80, 0x78]);
    is(Type::U32, Value::U32(624_485), &[0xe5, 0x8e, 0x26]);
    is(Type::S64, Value::S64(-123_456), &[0xc0, 0xbb, 0x78]);
    is(Type::U64, Value::U64(u64::MAX), &[255, 255, 255, 255, 255, 255, 255, 255, 255, 1]);
    is(Type::F32, Value::F32(1.5), &[0, 0, 0xc0, 0x3f]);
    is(Type::F64, Value::F64(-2.0), &[0, 0, 0, 0, 0, 0, 0, 0xc0]);
    is(Type::Char, Value::Char('é'), &[0xc3, 0xa9]);
    is(Type::String, Value::String("fjörd".into()), b"\x06fj\xc3\xb6rd");
}

#[test]
fn there_is_one_nan() {
    let mut out = BytesMut::new();
    let types = Types::new([Type::F32, Type::F64]).unwrap();
    let nans = [Value::F32(f32::from_bits(0xffff_ffff)), Value::F64(-f64::NAN)];
    encode(&types, &nans, &mut out).unwrap();
    assert_eq!(out[..], [0, 0, 0xc0, 0x7f, 0, 0, 0, 0, 0, 0, 0xf8, 0x7f]);
}

#[test]
fn what_is_made_of_others() {
    let text = || Arc::new(Type::String);
    is(
        Type::List(text()),
        Value::List(vec![Value::String("a".into()), Value::String(String::new())]),
        b"\x02\x01a\x00",
    );
    is(Type::List(text()), Value::List(Vec::new()), &[0]);
    is(Type::List(Arc::new(Type::U8)), Value::Bytes(Bytes::from_static(&[7, 8])), &[2, 7, 8]);
    is(
        Type::FixedList(Arc::new(Type::U16), 2),
        Value::List(vec![Value::U16(1), Value::U16(128)]),
        &[1, 0x80, 1],
    );
    is(
        Type::map(Type::U8, Type::Bool),
        Value::List(vec![Value::Tuple(vec![Value::U8(9), Value::Bool(true)])]),
        &[1, 9, 1],
    );
    is(
        Type::Tuple([Type::U8, Type::String].into()),
        Value::Tuple(vec![Value::U8(3), Value::String("x".into())]),
        b"\x03\x01x",
    );
    let cases = || Type::Variant([None, Some(Type::U32)].into());
    is(cases(), Value::Variant(0, None), &[0]);
    is(cases(), Value::Variant(1, some(Value::U32(128))), &[1, 0x80, 1]);
    is(Type::Enum(300), Value::Enum(299), &[0xab, 0x02]);
    let option = || Type::Option(Arc::new(Type::Option(Arc::new(Type::Bool))));
    is(option(), Value::Option(None), &[0]);
    is(option(), Value::Option(some(Value::Option(None))), &[1, 0]);
    let result = || Type::Result(Some(Arc::new(Type::U8)), None);
    is(result(), Value::Result(Ok(some(Value::U8(5)))), &[0, 5]);
    is(result(), Value::Result(Err(None)), &[1]);
    is(Type::Flags(3), Value::Flags(Bytes::from_static(&[0b101])), &[0b101]);
    is(Type::Flags(9), Value::Flags(Bytes::from_static(&[1, 1])), &[1, 1]);
    is(Type::Flags(40), Value::Flags(Bytes::from_static(&[0, 0, 0, 0, 128])), &[0, 0, 0, 0, 128]);
    is(Type::Resource, Value::Bytes(Bytes::from_static(b"id")), b"\x02id");
}

#[test]
fn what_is_there_of_streams_and_futures() {
    let stream = || Type::Stream(Some(Arc::new(Type::U8)));
    is(stream(), Value::Bytes(Bytes::from_static(b"abc")), b"\x03abc");
    let future = || Type::Future(Some(Arc::new(Type::U32)));
    is(future(), Value::Ready(some(Value::U32(1))), &[1, 1]);
    is(Type::Future(None), Value::Ready(None), &[1]);

    let empty = encode(&one(stream()), &[Value::Bytes(Bytes::new())], &mut BytesMut::new());
    assert_eq!(empty.unwrap_err(), EncodeError::EmptyStream { path: Path::new([0]) });
}

/// The first function is the one of the specification's section on indexing, with a future beside it.
#[test]
fn what_comes_later_is_named_by_its_place() {
    let stream = Type::Stream(Some(Arc::new(Type::U8)));
    let future = Type::Future(Some(Arc::new(Type::Bool)));
    let record = Type::Tuple([stream.clone(), Type::U32].into());
    let list = Type::List(Arc::new(Type::Option(Arc::new(future.clone()))));
    let types = Types::new([record, list]).unwrap();
    let values = [
        Value::Tuple(vec![Value::Later(0), Value::U32(7)]),
        Value::List(vec![Value::Option(None), Value::Option(some(Value::Later(1)))]),
    ];
    let mut out = BytesMut::new();
    let later = encode(&types, &values, &mut out).unwrap();
    assert_eq!(out[..], [0, 7, 2, 0, 1, 0]);
    let expected = [
        Later { number: 0, path: "0.0".parse().unwrap(), ty: stream },
        // An option is no step.
        Later { number: 1, path: "1.1".parse().unwrap(), ty: future },
    ];
    assert_eq!(later, expected);

    let mut decoder = Decoder::new(&types, Limits::default());
    let read = decoder.feed(&mut out.freeze()).unwrap();
    assert_eq!(read, Some(Value::Tuple(values.to_vec())));
    assert_eq!(decoder.take_later(), expected);
}

#[test]
fn a_stream_comes_in_chunks_and_ends_with_an_empty_one() {
    let element = Type::Stream(Some(Arc::new(Type::U8)));
    let stream = Later {
        number: 0,
        path: Path::new([2]),
        ty: Type::Stream(Some(Arc::new(element.clone()))),
    };
    let mut out = BytesMut::new();
    let chunk = Value::List(vec![Value::Bytes(Bytes::from_static(b"hi")), Value::Later(0)]);
    let later = encode_chunk(&stream, 10, &chunk, &mut out).unwrap();
    assert_eq!(out[..], *b"\x02\x02hi\x00");
    assert_eq!(later, [Later { number: 0, path: Path::new([2, 11]), ty: element }]);

    let mut decoder = Decoder::of(&stream, 10, Limits::default()).unwrap();
    assert_eq!(decoder.feed(&mut out.freeze()).unwrap(), Some(chunk));
    assert_eq!(decoder.take_later(), later);

    let mut end = BytesMut::new();
    encode_chunk(&stream, 12, &Value::List(Vec::new()), &mut end).unwrap();
    assert_eq!(end[..], [0]);
    let mut decoder = Decoder::of(&stream, 12, Limits::default()).unwrap();
    assert_eq!(decoder.feed(&mut end.freeze()).unwrap(), Some(Value::List(Vec::new())));
}

#[test]
fn a_future_is_what_it_became() {
    let future =
        Later { number: 0, path: Path::new([0]), ty: Type::Future(Some(Arc::new(Type::String))) };
    let mut out = BytesMut::new();
    encode_ready(&future, Some(&Value::String("ok".into())), &mut out).unwrap();
    assert_eq!(out[..], *b"\x02ok");
    let mut decoder = Decoder::of(&future, 0, Limits::default()).unwrap();
    let read = decoder.feed(&mut out.freeze()).unwrap();
    assert_eq!(read, Some(Value::String("ok".into())));
    let nothing = Later { ty: Type::Future(None), ..future };
    assert!(Decoder::of(&nothing, 0, Limits::default()).is_none());
}

#[test]
fn what_is_no_value_is_refused_at_its_place() {
    let refused = |ty, bytes: &[u8]| decode(&one(ty), bytes).unwrap_err();
    assert_eq!(refused(Type::Bool, &[2]), DecodeError::Invalid { at: 0, expected: "bool" });
    assert_eq!(
        refused(Type::String, &[2, 0xff, 0xff]),
        DecodeError::Invalid { at: 3, expected: "string in UTF-8" }
    );
    assert_eq!(
        refused(Type::Char, &[0xed, 0xa0, 0x80]),
        DecodeError::Invalid { at: 0, expected: "character" }
    );
    assert_eq!(refused(Type::Enum(2), &[2]), DecodeError::Case { at: 0, found: 2, cases: 2 });
    assert_eq!(
        refused(Type::U16, &[0x80, 0x80, 0x04]),
        DecodeError::Invalid { at: 0, expected: "u16" }
    );
}

#[test]
fn a_length_is_checked_before_anything_is_kept() {
    let longest = [0xff, 0xff, 0xff, 0xff, 0x0f];
    for ty in [Type::String, Type::Resource, Type::List(Arc::new(Type::U8))] {
        let refused = decode(&one(ty), &longest).unwrap_err();
        assert_eq!(refused, DecodeError::TooManyBytes(Limits::default().bytes));
    }
    for ty in [Type::List(Arc::new(Type::String)), Type::Stream(None)] {
        let refused = decode(&one(ty), &longest).unwrap_err();
        assert_eq!(refused, DecodeError::TooManyValues(Limits::default().values));
    }
    let limits = Limits { later: 1, ..Limits::default() };
    let two = Types::new([Type::Stream(None), Type::Stream(None)]).unwrap();
    let refused = Decoder::new(&two, limits).feed(&mut Bytes::from_static(&[0, 0]));
    assert_eq!(refused.unwrap_err(), DecodeError::TooManyLater(1));
}

#[test]
fn a_type_whose_values_cannot_be_bounded_or_told_apart_is_none() {
    let deep = (0..200).fold(Type::Bool, |ty, _| Type::Option(Arc::new(ty)));
    assert_eq!(Types::new([deep]).unwrap_err(), TypeError::TooDeep);
    let nothing = Type::List(Arc::new(Type::Tuple([].into())));
    assert_eq!(Types::new([nothing]).unwrap_err(), TypeError::Empty);
    let stream = Type::Option(Arc::new(Type::Stream(None)));
    let refused = Types::new([Type::Future(Some(Arc::new(stream)))]).unwrap_err();
    assert_eq!(refused, TypeError::SameChannel);
}

#[test]
fn a_value_of_another_type_is_named_with_its_place() {
    let types = Types::new([Type::Tuple([Type::U8, Type::Bool].into())]).unwrap();
    let values = [Value::Tuple(vec![Value::U8(1), Value::Char('x')])];
    let refused = encode(&types, &values, &mut BytesMut::new()).unwrap_err();
    assert_eq!(refused.to_string(), "a char at 0.1 is not of the type Bool");
    let flags = [Value::Flags(Bytes::from_static(&[8]))];
    assert!(encode(&one(Type::Flags(3)), &flags, &mut BytesMut::new()).is_err());
}
