//! Values between guests and databases.

use reef_sql::{
    Column as OwnColumn, Date, Interval as OwnInterval, Kind, Range, Result, SqlError, Time, Value,
    parse_uuid, uuid,
};

use super::spin::postgres::postgres::{
    Column, DbDataType, DbValue, Interval, ParameterValue, RangeBoundKind,
};
use crate::sql::{date_time, from_epoch};

type Bound<T> = Option<(T, RangeBoundKind)>;

/// A parameter, counted from 0.
pub(super) fn bound(index: usize, value: ParameterValue) -> Result<Value> {
    Ok(match value {
        ParameterValue::Boolean(is) => Value::Bool(is),
        ParameterValue::Int8(n) => Value::I8(n),
        ParameterValue::Int16(n) => Value::I16(n),
        ParameterValue::Int32(n) => Value::I32(n),
        ParameterValue::Int64(n) => Value::I64(n),
        ParameterValue::Floating32(n) => Value::F32(n),
        ParameterValue::Floating64(n) => Value::F64(n),
        ParameterValue::Str(text) => Value::Text(text),
        ParameterValue::Binary(bytes) => Value::Binary(bytes),
        ParameterValue::Date((year, month, day)) => Value::Date(Date::Ymd(year, month, day)),
        ParameterValue::Time((hour, minute, second, nanosecond)) => {
            Value::Time(Time { hour, minute, second, nanosecond })
        }
        ParameterValue::Datetime((year, month, day, hour, minute, second, nanosecond)) => {
            let time = Time { hour, minute, second, nanosecond };
            Value::DateTime(Date::Ymd(year, month, day), time)
        }
        ParameterValue::Timestamp(seconds) => from_epoch(seconds),
        ParameterValue::Uuid(text) => {
            Value::Uuid(parse_uuid(&text).ok_or_else(|| SqlError::parameter(index, "is no UUID"))?)
        }
        ParameterValue::Jsonb(bytes) => Value::Json(
            String::from_utf8(bytes)
                .map_err(|_| SqlError::parameter(index, "is no JSON: it is not UTF-8"))?,
        ),
        ParameterValue::Decimal(text) => Value::Decimal(text),
        ParameterValue::RangeInt32(ends) => range(Kind::I32, ends, Value::I32),
        ParameterValue::RangeInt64(ends) => range(Kind::I64, ends, Value::I64),
        ParameterValue::RangeDecimal(ends) => range(Kind::Decimal, ends, Value::Decimal),
        ParameterValue::ArrayInt32(values) => array(Kind::I32, values, Value::I32),
        ParameterValue::ArrayInt64(values) => array(Kind::I64, values, Value::I64),
        ParameterValue::ArrayDecimal(values) => array(Kind::Decimal, values, Value::Decimal),
        ParameterValue::ArrayStr(values) => array(Kind::Text, values, Value::Text),
        ParameterValue::Interval(Interval { micros, days, months }) => {
            Value::Interval(OwnInterval { months, days, micros })
        }
        ParameterValue::DbNull => Value::Null,
    })
}

fn range<T>(kind: Kind, (lower, upper): (Bound<T>, Bound<T>), of: fn(T) -> Value) -> Value {
    let end = |end: Bound<T>| {
        end.map(|(value, within)| (of(value), matches!(within, RangeBoundKind::Inclusive)))
    };
    Value::Range(Box::new(Range { kind, empty: false, lower: end(lower), upper: end(upper) }))
}

fn array<T>(kind: Kind, values: Vec<Option<T>>, of: fn(T) -> Value) -> Value {
    Value::Array(kind, values.into_iter().map(|value| value.map_or(Value::Null, of)).collect())
}

/// A field of a row. What there is no type for is text as people write it, or its bytes.
pub(super) fn field(value: Value) -> DbValue {
    match value {
        Value::Null => DbValue::DbNull,
        Value::Bool(is) => DbValue::Boolean(is),
        Value::I8(n) => DbValue::Int8(n),
        Value::I16(n) => DbValue::Int16(n),
        Value::I32(n) => DbValue::Int32(n),
        Value::I64(n) => DbValue::Int64(n),
        Value::U32(n) => DbValue::Int64(n.into()),
        Value::F32(n) => DbValue::Floating32(n),
        Value::F64(n) => DbValue::Floating64(n),
        Value::Binary(bytes) => DbValue::Binary(bytes),
        Value::Date(Date::Ymd(year, month, day)) => DbValue::Date((year, month, day)),
        Value::Time(Time { hour, minute, second, nanosecond }) => {
            DbValue::Time((hour, minute, second, nanosecond))
        }
        Value::DateTime(date @ Date::Ymd(..), time)
        | Value::Instant(date @ Date::Ymd(..), time) => match date_time(date, time) {
            Some(stamp) => DbValue::Datetime(stamp),
            None => DbValue::DbNull,
        },
        Value::Uuid(bytes) => DbValue::Uuid(uuid(&bytes)),
        Value::Json(text) => DbValue::Jsonb(text.into_bytes()),
        Value::Decimal(text) => DbValue::Decimal(text),
        Value::Interval(OwnInterval { months, days, micros }) => {
            DbValue::Interval(Interval { micros, days, months })
        }
        Value::Range(range) => ends(&range),
        Value::Array(kind, values) => list(kind, values),
        Value::Other(_, bytes) => DbValue::Unsupported(bytes),
        other => match other.literal() {
            Some(text) => DbValue::Str(text),
            None => DbValue::Unsupported(Vec::new()),
        },
    }
}

fn ends(range: &Range) -> DbValue {
    fn both<T>(range: &Range, of: impl Fn(&Value) -> Option<T>) -> Option<(Bound<T>, Bound<T>)> {
        let end = |end: &Option<(Value, bool)>| match end {
            None => Some(None),
            Some((value, within)) => {
                let kind =
                    if *within { RangeBoundKind::Inclusive } else { RangeBoundKind::Exclusive };
                Some(Some((of(value)?, kind)))
            }
        };
        Some((end(&range.lower)?, end(&range.upper)?))
    }
    let found = match range.kind {
        Kind::I32 => both(range, |value| value.integer()?.try_into().ok()).map(DbValue::RangeInt32),
        Kind::I64 => both(range, |value| value.integer()?.try_into().ok()).map(DbValue::RangeInt64),
        Kind::Decimal => both(range, Value::literal).map(DbValue::RangeDecimal),
        _ => None,
    };
    found.unwrap_or_else(|| {
        let text = Value::Range(Box::new(range.clone())).literal().unwrap_or_default();
        DbValue::Unsupported(text.into_bytes())
    })
}

fn list(kind: Kind, values: Vec<Value>) -> DbValue {
    fn each<T>(values: &[Value], of: impl Fn(&Value) -> Option<T>) -> Option<Vec<Option<T>>> {
        let each = values.iter().map(|value| match value {
            Value::Null => Some(None),
            value => of(value).map(Some),
        });
        each.collect()
    }
    let found = match kind {
        Kind::I16 | Kind::I32 => {
            each(&values, |value| value.integer()?.try_into().ok()).map(DbValue::ArrayInt32)
        }
        Kind::I64 => {
            each(&values, |value| value.integer()?.try_into().ok()).map(DbValue::ArrayInt64)
        }
        Kind::Decimal => each(&values, Value::literal).map(DbValue::ArrayDecimal),
        Kind::Text => each(&values, Value::literal).map(DbValue::ArrayStr),
        _ => None,
    };
    found.unwrap_or_else(|| {
        let text = Value::Array(kind, values).literal().unwrap_or_default();
        DbValue::Unsupported(text.into_bytes())
    })
}

/// A column, with what its fields will be.
pub(super) fn column(column: &OwnColumn) -> Column {
    let other = |name: &str| DbDataType::Other(name.to_owned());
    let data_type = match &column.kind {
        Kind::Bool => DbDataType::Boolean,
        Kind::I8 => DbDataType::Int8,
        Kind::I16 => DbDataType::Int16,
        Kind::I32 => DbDataType::Int32,
        Kind::I64 | Kind::U32 => DbDataType::Int64,
        Kind::F32 => DbDataType::Floating32,
        Kind::F64 => DbDataType::Floating64,
        Kind::Binary => DbDataType::Binary,
        Kind::Date => DbDataType::Date,
        Kind::Time => DbDataType::Time,
        Kind::DateTime | Kind::Instant => DbDataType::Datetime,
        Kind::Uuid => DbDataType::Uuid,
        Kind::Json => DbDataType::Jsonb,
        Kind::Decimal => DbDataType::Decimal,
        Kind::Interval => DbDataType::Interval,
        Kind::Range(of) => match **of {
            Kind::I32 => DbDataType::RangeInt32,
            Kind::I64 => DbDataType::RangeInt64,
            Kind::Decimal => DbDataType::RangeDecimal,
            _ => other("range"),
        },
        Kind::Array(of) => match **of {
            Kind::I16 | Kind::I32 => DbDataType::ArrayInt32,
            Kind::I64 => DbDataType::ArrayInt64,
            Kind::Decimal => DbDataType::ArrayDecimal,
            Kind::Text => DbDataType::ArrayStr,
            _ => other("array"),
        },
        Kind::Any => other("any"),
        Kind::Other(name) => other(name),
        _ => DbDataType::Str,
    };
    Column { name: column.name.clone(), data_type }
}
