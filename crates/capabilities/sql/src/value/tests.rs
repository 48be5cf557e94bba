use proptest::prelude::*;

use super::*;

#[test]
fn literals_are_what_databases_read() {
    let time = Time { hour: 1, minute: 2, second: 3, nanosecond: 4_000 };
    let of = |value: Value| value.literal().unwrap();
    assert_eq!(of(Value::Date(Date::Ymd(2024, 2, 29))), "2024-02-29");
    assert_eq!(of(Value::Instant(Date::Ymd(-43, 3, 15), time)), "0044-03-15 01:02:03.000004+00 BC");
    assert_eq!(of(Value::DateTime(Date::Future, time)), "infinity");
    assert_eq!(of(Value::TimeTz(time, -5400)), "01:02:03.000004-01:30:00");
    let span = Interval { months: -1, days: 2, micros: -1_500_000 };
    assert_eq!(of(Value::Interval(span)), "-1 mons 2 days -1.500000 seconds");
    assert_eq!(of(Value::F64(f64::NEG_INFINITY)), "-Infinity");
    let list = vec![Value::Text("a\"b\\,".to_owned()), Value::Null];
    assert_eq!(of(Value::Array(Kind::Text, list)), r#"{"a\"b\\,",NULL}"#);
    let range =
        Range { kind: Kind::I32, empty: false, lower: Some((Value::I32(1), true)), upper: None };
    assert_eq!(of(Value::Range(Box::new(range))), "[\"1\",)");
}

#[test]
fn days_of_no_calendar_are_none() {
    assert_eq!(Date::Ymd(1970, 1, 1).days(), Some(0));
    assert_eq!(Date::Ymd(2000, 1, 1).days(), Some(10_957));
    assert_eq!(Date::Ymd(2023, 2, 29).days(), None);
    assert_eq!(Date::Ymd(2024, 13, 1).days(), None);
    assert_eq!(Date::Ymd(2024, 1, 0).days(), None);
    assert_eq!(Date::Past.days(), None);
}

#[test]
fn uuids_are_read_as_people_write_them() {
    let text = "6ba7b810-9dad-11d1-80b4-00c04fd430c8";
    let bytes = parse_uuid(text).unwrap();
    assert_eq!(uuid(&bytes), text);
    assert_eq!(parse_uuid(&text.to_uppercase().replace('-', "")), Some(bytes));
    assert_eq!(parse_uuid(&format!("{{{text}}}")), Some(bytes));
    for wrong in ["", "6ba7b810", "6ba7b810-9dad-11d1-80b4-00c04fd430cé", &"0".repeat(33)] {
        assert_eq!(parse_uuid(wrong), None, "{wrong}");
    }
}

proptest! {
    #[test]
    fn days_there_and_back(days in -800_000_000_000_i64..800_000_000_000) {
        let date = Date::from_days(days);
        if let Date::Ymd(..) = date {
            prop_assert_eq!(date.days(), Some(days));
        } else {
            prop_assert!(days.abs() > 700_000_000_000);
        }
    }

    #[test]
    fn times_there_and_back(micros in 0_i64..=86_400_000_000) {
        let time = Time::from_micros(micros);
        prop_assert!(time.is_valid());
        prop_assert_eq!(time.micros(), micros);
    }
}
