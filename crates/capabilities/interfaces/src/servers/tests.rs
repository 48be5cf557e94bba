#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;

#[test]
fn an_answer_loses_its_levels_and_keeps_its_order() {
    let inner = Value::Array(vec![Value::Int(2), Value::Nil]);
    let answer = Value::Array(vec![Value::Int(1), inner, Value::Okay]);
    let shown = parts(answer).unwrap().into_iter().map(|part| match part {
        Part::Nil => "nil".to_owned(),
        Part::Status(text) => text,
        Part::Number(number) => number.to_string(),
        Part::Bytes(bytes) => format!("{bytes:?}"),
    });
    assert_eq!(shown.collect::<Vec<_>>(), ["1", "2", "nil", "OK"]);
    let pairs = Value::Map(vec![(Value::Int(1), Value::Int(2)), (Value::Int(3), Value::Int(4))]);
    assert_eq!(parts(pairs).unwrap().len(), 4);
}

#[test]
fn what_is_of_another_kind_is_said() {
    assert!(number(Value::Nil).is_err() && bytes(Value::Int(1)).is_err());
    assert!(texts(Value::Array(vec![Value::BulkString(vec![0xff])])).is_err());
    assert_eq!(texts(Value::Set(vec![Value::BulkString(b"a".to_vec())])), Ok(vec!["a".to_owned()]));
}
