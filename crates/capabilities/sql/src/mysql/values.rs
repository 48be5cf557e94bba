//! Values between Reef and MySQL.

use std::sync::Arc;

use mysql_async::{
    Column, Value as Mine,
    consts::{ColumnFlags, ColumnType},
};

use crate::{
    error::{Result, SqlError},
    value::{Date, Kind, Time, Value},
};

/// The character set that is none: bytes.
const BINARY: u16 = 63;

/// A value as MySQL has it: what it has no type for is text as people write it.
pub(super) fn bound(index: usize, value: &Value) -> Result<Mine> {
    Ok(match value {
        Value::Null => Mine::NULL,
        Value::Bool(is) => Mine::Int((*is).into()),
        Value::U64(n) => Mine::UInt(*n),
        Value::F32(n) => Mine::Float(*n),
        Value::F64(n) => Mine::Double(*n),
        Value::Text(text) | Value::Decimal(text) | Value::Json(text) => {
            Mine::Bytes(text.clone().into_bytes())
        }
        Value::Binary(bytes) => Mine::Bytes(bytes.clone()),
        Value::Date(date) => day(index, *date, Time::default())?,
        Value::DateTime(date, time) | Value::Instant(date, time) => day(index, *date, *time)?,
        Value::Time(time) => {
            if !time.is_valid() {
                return Err(SqlError::parameter(index, "is no time of day"));
            }
            let Time { hour, minute, second, nanosecond } = *time;
            Mine::Time(false, 0, hour, minute, second, nanosecond / 1000)
        }
        Value::Uuid(bytes) => Mine::Bytes(crate::value::uuid(bytes).into_bytes()),
        Value::TimeTz(..)
        | Value::Interval(_)
        | Value::Range(_)
        | Value::Array(..)
        | Value::Other(..) => {
            let why = format!("is {}, which MySQL does not have", value.kind());
            return Err(SqlError::parameter(index, why));
        }
        integers => {
            let n = integers.integer().and_then(|n| i64::try_from(n).ok());
            Mine::Int(n.ok_or_else(|| SqlError::parameter(index, "is too large"))?)
        }
    })
}

fn day(index: usize, date: Date, time: Time) -> Result<Mine> {
    let Date::Ymd(year, month, day) = date else {
        return Err(SqlError::parameter(index, "is no day, and MySQL has none like it"));
    };
    match u16::try_from(year) {
        Ok(year) if date.days().is_some() && time.is_valid() => {
            let Time { hour, minute, second, nanosecond } = time;
            Ok(Mine::Date(year, month, day, hour, minute, second, nanosecond / 1000))
        }
        _ => Err(SqlError::parameter(
            index,
            format!("is {date} {time}, which is in no calendar of MySQL"),
        )),
    }
}

/// What a column holds.
pub(super) fn kind(column: &Column) -> Kind {
    use ColumnType as T;
    let unsigned = column.flags().contains(ColumnFlags::UNSIGNED_FLAG);
    let sized = |signed: Kind, without: Kind| if unsigned { without } else { signed };
    let bytes = column.character_set() == BINARY;
    match column.column_type() {
        T::MYSQL_TYPE_TINY => sized(Kind::I8, Kind::U8),
        T::MYSQL_TYPE_SHORT => sized(Kind::I16, Kind::U16),
        T::MYSQL_TYPE_YEAR => Kind::U16,
        T::MYSQL_TYPE_LONG | T::MYSQL_TYPE_INT24 => sized(Kind::I32, Kind::U32),
        T::MYSQL_TYPE_LONGLONG => sized(Kind::I64, Kind::U64),
        T::MYSQL_TYPE_FLOAT => Kind::F32,
        T::MYSQL_TYPE_DOUBLE => Kind::F64,
        T::MYSQL_TYPE_DECIMAL | T::MYSQL_TYPE_NEWDECIMAL => Kind::Decimal,
        T::MYSQL_TYPE_DATE | T::MYSQL_TYPE_NEWDATE => Kind::Date,
        T::MYSQL_TYPE_DATETIME
        | T::MYSQL_TYPE_DATETIME2
        | T::MYSQL_TYPE_TIMESTAMP
        | T::MYSQL_TYPE_TIMESTAMP2 => Kind::DateTime,
        T::MYSQL_TYPE_TIME | T::MYSQL_TYPE_TIME2 => Kind::Time,
        T::MYSQL_TYPE_JSON => Kind::Json,
        T::MYSQL_TYPE_ENUM | T::MYSQL_TYPE_SET => Kind::Text,
        T::MYSQL_TYPE_STRING
        | T::MYSQL_TYPE_VAR_STRING
        | T::MYSQL_TYPE_VARCHAR
        | T::MYSQL_TYPE_BLOB
        | T::MYSQL_TYPE_TINY_BLOB
        | T::MYSQL_TYPE_MEDIUM_BLOB
        | T::MYSQL_TYPE_LONG_BLOB => {
            if bytes {
                Kind::Binary
            } else {
                Kind::Text
            }
        }
        T::MYSQL_TYPE_BIT => Kind::Binary,
        T::MYSQL_TYPE_NULL => Kind::Any,
        other => {
            let name = format!("{other:?}").to_ascii_lowercase();
            Kind::Other(Arc::from(name.trim_start_matches("mysql_type_")))
        }
    }
}

/// A field of a row, whose column is for the message.
pub(super) fn read(value: Mine, kind: &Kind, column: &str) -> Result<Value> {
    let wrong =
        || SqlError::invalid(format!("column `{column}` holds what its type cannot hold: cast it"));
    let signed = |n: i64| {
        Some(match kind {
            Kind::I8 => Value::I8(i8::try_from(n).ok()?),
            Kind::I16 => Value::I16(i16::try_from(n).ok()?),
            Kind::I32 => Value::I32(i32::try_from(n).ok()?),
            Kind::U8 => Value::U8(u8::try_from(n).ok()?),
            Kind::U16 => Value::U16(u16::try_from(n).ok()?),
            Kind::U32 => Value::U32(u32::try_from(n).ok()?),
            Kind::U64 => Value::U64(u64::try_from(n).ok()?),
            _ => Value::I64(n),
        })
    };
    Ok(match value {
        Mine::NULL => Value::Null,
        Mine::Int(n) => signed(n).ok_or_else(wrong)?,
        Mine::UInt(n) => match i64::try_from(n) {
            Ok(n) => signed(n).ok_or_else(wrong)?,
            Err(_) => Value::U64(n),
        },
        Mine::Float(n) => Value::F32(n),
        Mine::Double(n) => Value::F64(n),
        Mine::Date(year, month, day, hour, minute, second, micros) => {
            let date = Date::Ymd(year.into(), month, day);
            let time = Time { hour, minute, second, nanosecond: micros.saturating_mul(1000) };
            if *kind == Kind::Date { Value::Date(date) } else { Value::DateTime(date, time) }
        }
        Mine::Time(negative, days, hour, minute, second, micros) => {
            if negative || days > 0 {
                let seconds = ((i64::from(days) * 24 + i64::from(hour)) * 60 + i64::from(minute))
                    * 60
                    + i64::from(second);
                let span = seconds * 1_000_000 + i64::from(micros);
                let micros = if negative { -span } else { span };
                Value::Interval(crate::value::Interval { micros, ..Default::default() })
            } else {
                Value::Time(Time { hour, minute, second, nanosecond: micros.saturating_mul(1000) })
            }
        }
        Mine::Bytes(bytes) => match kind {
            Kind::Binary => Value::Binary(bytes),
            Kind::Other(name) => Value::Other(name.clone(), bytes),
            _ => {
                let text = String::from_utf8(bytes).map_err(|_| {
                    SqlError::invalid(format!(
                        "column `{column}` holds text that is not UTF-8: select CAST({column} AS BINARY)"
                    ))
                })?;
                match kind {
                    Kind::Decimal => Value::Decimal(text),
                    Kind::Json => Value::Json(text),
                    _ => Value::Text(text),
                }
            }
        },
    })
}
