use proptest::prelude::*;

use super::*;

fn digits(sign: u16, weight: i16, scale: i16, groups: &[i16]) -> Vec<u8> {
    let count = i16::try_from(groups.len()).unwrap();
    let head = [count, weight, i16::from_ne_bytes(sign.to_ne_bytes()), scale];
    head.iter().chain(groups).flat_map(|part| part.to_be_bytes()).collect()
}

#[test]
fn numbers_are_written_out() {
    let of = |sign, weight, scale, groups: &[i16]| match read(
        &Type::NUMERIC,
        &digits(sign, weight, scale, groups),
    )
    .unwrap()
    {
        Value::Decimal(text) => text,
        other => panic!("{other:?}"),
    };
    assert_eq!(of(0, 0, 0, &[]), "0");
    assert_eq!(of(0, 1, 2, &[12, 3456, 7800]), "123456.78");
    assert_eq!(of(0x4000, -2, 10, &[1]), "-0.0000000100");
    assert_eq!(of(0, 2, 0, &[1]), "100000000");
    assert_eq!(of(0, -1, 3, &[5000]), "0.500");
    assert_eq!(of(0xC000, 0, 0, &[]), "NaN");
}

#[test]
fn parameters_that_do_not_fit_say_what_would() {
    let error = Parameter::new(1, &Value::I32(1), &Type::TEXT).unwrap_err().to_string();
    assert!(error.contains("parameter 2 is an integer, and the statement wants `text`"), "{error}");
    Parameter::new(0, &Value::Text("{1,2}".into()), &Type::INT4_ARRAY).unwrap();
    let list = Value::Array(Kind::Text, vec![Value::Text("a".into()), Value::Null]);
    Parameter::new(0, &list, &Type::TEXT_ARRAY).unwrap();
    let list = Value::Array(Kind::I32, vec![Value::I32(1)]);
    Parameter::new(0, &list, &Type::TEXT_ARRAY).unwrap_err();
}

proptest! {
    /// Whatever a server sends: a value or an error.
    #[test]
    fn any_bytes_are_a_value_or_an_error(raw in proptest::collection::vec(any::<u8>(), 0..200)) {
        for of in [
            Type::BOOL, Type::INT4, Type::FLOAT8, Type::NUMERIC, Type::DATE, Type::TIMETZ, Type::TIMESTAMP,
            Type::INTERVAL, Type::UUID, Type::JSONB, Type::TEXT, Type::INT4_ARRAY, Type::TEXT_ARRAY,
            Type::NUM_RANGE, Type::TS_RANGE, Type::INET,
        ] {
            let _ = read(&of, &raw);
        }
    }
}
