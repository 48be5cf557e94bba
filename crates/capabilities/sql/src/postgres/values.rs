//! Values between Reef and PostgreSQL.
//!
//! Parameters go as text, which the server reads by the type that it found for each, except for bytes; rows come in
//! the binary format. Formats: PostgreSQL's sources, `src/backend/utils/adt/*.c`, the functions `*send`.

use bytes::{BufMut as _, BytesMut};
use reef_postgres::tokio_postgres::types::{
    Format, FromSql, IsNull, Kind as PgKind, ToSql, Type, to_sql_checked,
};

use crate::{
    error::SqlError,
    value::{Date, Interval, Kind, Range, Time, Value},
};

type Error = Box<dyn std::error::Error + Send + Sync>;

/// Days from 1970-01-01 to 2000-01-01, where PostgreSQL begins to count.
const EPOCH: i64 = 10_957;
const DAY: i64 = 86_400_000_000;

/// A parameter, checked against its type.
#[derive(Debug)]
pub(super) struct Parameter<'a>(&'a Value);

/// A field of a row.
pub(super) struct Field(pub(super) Value);

impl<'a> Parameter<'a> {
    /// A value for a parameter of that type, if they go together.
    pub(super) fn new(index: usize, value: &'a Value, wanted: &Type) -> Result<Self, SqlError> {
        if fits(value, wanted) {
            return Ok(Self(value));
        }
        let (name, kind) = (wanted.name(), value.kind());
        Err(SqlError::parameter(
            index,
            format!(
                "is {kind}, and the statement wants `{name}`: give that, or cast it (`${}::…`)",
                index + 1
            ),
        ))
    }
}

fn fits(value: &Value, wanted: &Type) -> bool {
    let wanted = match wanted.kind() {
        PgKind::Domain(inner) => inner,
        _ => wanted,
    };
    let among = |types: &[Type]| types.contains(wanted);
    let texts = [Type::TEXT, Type::VARCHAR, Type::BPCHAR, Type::NAME, Type::UNKNOWN];
    match value {
        // Text is read as whatever is wanted; only bytes are not written so.
        Value::Null => true,
        Value::Text(_) => *wanted != Type::BYTEA,
        Value::Bool(_) => among(&[Type::BOOL]),
        Value::Binary(_) => among(&[Type::BYTEA]),
        Value::F32(_) | Value::F64(_) | Value::Decimal(_) => {
            among(&[Type::FLOAT4, Type::FLOAT8, Type::NUMERIC, Type::MONEY])
        }
        Value::Date(_) => among(&[Type::DATE, Type::TIMESTAMP, Type::TIMESTAMPTZ]),
        Value::Time(_) => among(&[Type::TIME, Type::TIMETZ]),
        Value::TimeTz(..) => among(&[Type::TIMETZ]),
        Value::DateTime(..) | Value::Instant(..) => {
            among(&[Type::TIMESTAMP, Type::TIMESTAMPTZ, Type::DATE])
        }
        Value::Interval(_) => among(&[Type::INTERVAL]),
        Value::Uuid(_) => among(&[Type::UUID]) || among(&texts),
        Value::Json(_) => among(&[Type::JSON, Type::JSONB]) || among(&texts),
        Value::Range(range) => match wanted.kind() {
            PgKind::Range(inner) => {
                let ends = [&range.lower, &range.upper];
                ends.into_iter().flatten().all(|(value, _)| fits(value, inner))
            }
            _ => false,
        },
        Value::Array(_, values) => match wanted.kind() {
            PgKind::Array(inner) => values.iter().all(|value| fits(value, inner)),
            _ => among(&[Type::INT2_VECTOR]),
        },
        Value::Other(name, _) => wanted.name() == &**name,
        integers => {
            integers.integer().is_some()
                && among(&[
                    Type::INT2,
                    Type::INT4,
                    Type::INT8,
                    Type::NUMERIC,
                    Type::FLOAT4,
                    Type::FLOAT8,
                    Type::OID,
                    Type::MONEY,
                ])
        }
    }
}

impl ToSql for Parameter<'_> {
    fn to_sql(&self, wanted: &Type, out: &mut BytesMut) -> Result<IsNull, Error> {
        match self.0 {
            Value::Null => return Ok(IsNull::Yes),
            Value::Binary(bytes) | Value::Other(_, bytes) => out.put_slice(bytes),
            Value::DateTime(date, time) | Value::Instant(date, time) if *wanted != Type::DATE => {
                check(*date, Some(*time))?;
                out.put_slice(self.0.literal().unwrap_or_default().as_bytes());
            }
            value => {
                match value {
                    Value::Date(date) | Value::DateTime(date, _) | Value::Instant(date, _) => {
                        check(*date, None)?;
                    }
                    Value::Time(time) | Value::TimeTz(time, _) => check(Date::Past, Some(*time))?,
                    _ => {}
                }
                let text = value.literal().ok_or("the value has no text")?;
                if text.contains('\0') {
                    return Err("PostgreSQL's text holds no zero byte".into());
                }
                out.put_slice(text.as_bytes());
            }
        }
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    fn encode_format(&self, _: &Type) -> Format {
        match self.0 {
            Value::Binary(_) | Value::Other(..) => Format::Binary,
            _ => Format::Text,
        }
    }

    to_sql_checked!();
}

fn check(date: Date, time: Option<Time>) -> Result<(), Error> {
    if matches!(date, Date::Ymd(..)) && date.days().is_none() {
        return Err("there is no such day".into());
    }
    if time.is_some_and(|time| !time.is_valid()) {
        return Err("there is no such time of day".into());
    }
    Ok(())
}

/// What a column of a type holds.
pub(super) fn kind(of: &Type) -> Kind {
    match *of {
        Type::BOOL => Kind::Bool,
        Type::CHAR => Kind::I8,
        Type::INT2 => Kind::I16,
        Type::INT4 => Kind::I32,
        Type::INT8 => Kind::I64,
        Type::OID => Kind::U32,
        Type::FLOAT4 => Kind::F32,
        Type::FLOAT8 => Kind::F64,
        Type::TEXT | Type::VARCHAR | Type::BPCHAR | Type::NAME | Type::UNKNOWN => Kind::Text,
        Type::BYTEA => Kind::Binary,
        Type::DATE => Kind::Date,
        Type::TIME => Kind::Time,
        Type::TIMETZ => Kind::TimeTz,
        Type::TIMESTAMP => Kind::DateTime,
        Type::TIMESTAMPTZ => Kind::Instant,
        Type::INTERVAL => Kind::Interval,
        Type::UUID => Kind::Uuid,
        Type::NUMERIC => Kind::Decimal,
        Type::JSON | Type::JSONB => Kind::Json,
        _ => match of.kind() {
            PgKind::Array(inner) => Kind::Array(Box::new(kind(inner))),
            PgKind::Range(inner) => Kind::Range(Box::new(kind(inner))),
            PgKind::Domain(inner) => kind(inner),
            PgKind::Enum(_) => Kind::Text,
            _ => Kind::Other(of.name().into()),
        },
    }
}

impl<'a> FromSql<'a> for Field {
    fn from_sql(of: &Type, raw: &'a [u8]) -> Result<Self, Error> {
        read(of, raw).map(Self)
    }

    fn from_sql_null(_: &Type) -> Result<Self, Error> {
        Ok(Self(Value::Null))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

/// Bytes that are read one after the other.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], Error> {
        let (now, rest) = self.0.split_at_checked(count).ok_or("a value is cut short")?;
        self.0 = rest;
        Ok(now)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        Ok(self.take(N)?.try_into()?)
    }

    fn i16(&mut self) -> Result<i16, Error> {
        Ok(i16::from_be_bytes(self.array()?))
    }

    fn i32(&mut self) -> Result<i32, Error> {
        Ok(i32::from_be_bytes(self.array()?))
    }

    fn i64(&mut self) -> Result<i64, Error> {
        Ok(i64::from_be_bytes(self.array()?))
    }

    /// A value with its length before it; a length of -1 is `NULL`.
    fn value(&mut self, of: &Type) -> Result<Value, Error> {
        match self.i32()? {
            -1 => Ok(Value::Null),
            length => read(of, self.take(usize::try_from(length)?)?),
        }
    }

    fn end<T>(self, value: T) -> Result<T, Error> {
        if self.0.is_empty() { Ok(value) } else { Err("a value is longer than its type".into()) }
    }
}

fn read(of: &Type, raw: &[u8]) -> Result<Value, Error> {
    let mut bytes = Reader(raw);
    let value = match *of {
        Type::BOOL => Value::Bool(bytes.array::<1>()? != [0]),
        Type::CHAR => Value::I8(i8::from_be_bytes(bytes.array()?)),
        Type::INT2 => Value::I16(bytes.i16()?),
        Type::INT4 => Value::I32(bytes.i32()?),
        Type::INT8 => Value::I64(bytes.i64()?),
        Type::OID => Value::U32(u32::from_be_bytes(bytes.array()?)),
        Type::FLOAT4 => Value::F32(f32::from_be_bytes(bytes.array()?)),
        Type::FLOAT8 => Value::F64(f64::from_be_bytes(bytes.array()?)),
        Type::TEXT | Type::VARCHAR | Type::BPCHAR | Type::NAME | Type::UNKNOWN => {
            return text(raw).map(Value::Text);
        }
        Type::BYTEA => return Ok(Value::Binary(raw.to_owned())),
        Type::DATE => Value::Date(day(bytes.i32()?)),
        Type::TIME => Value::Time(Time::from_micros(bytes.i64()?)),
        Type::TIMETZ => {
            let time = Time::from_micros(bytes.i64()?);
            // To the west, as it is sent.
            Value::TimeTz(time, bytes.i32()?.saturating_neg())
        }
        Type::TIMESTAMP => {
            let (date, time) = stamp(bytes.i64()?);
            Value::DateTime(date, time)
        }
        Type::TIMESTAMPTZ => {
            let (date, time) = stamp(bytes.i64()?);
            Value::Instant(date, time)
        }
        Type::INTERVAL => {
            let (micros, days, months) = (bytes.i64()?, bytes.i32()?, bytes.i32()?);
            Value::Interval(Interval { months, days, micros })
        }
        Type::UUID => Value::Uuid(bytes.array()?),
        Type::NUMERIC => Value::Decimal(numeric(&mut bytes)?),
        Type::JSON => return text(raw).map(Value::Json),
        // A byte for the version before it.
        Type::JSONB => match bytes.array()? {
            [1] => return text(bytes.0).map(Value::Json),
            _ => return Err("JSON of an unknown version".into()),
        },
        _ => return compound(of, raw),
    };
    bytes.end(value)
}

fn compound(of: &Type, raw: &[u8]) -> Result<Value, Error> {
    match of.kind() {
        PgKind::Enum(_) => text(raw).map(Value::Text),
        PgKind::Domain(inner) => read(inner, raw),
        PgKind::Array(inner) => array(inner, Reader(raw)),
        PgKind::Range(inner) => range(inner, Reader(raw)),
        _ => Ok(Value::Other(of.name().into(), raw.to_owned())),
    }
}

fn text(raw: &[u8]) -> Result<String, Error> {
    Ok(std::str::from_utf8(raw).map_err(|_| "text that is not UTF-8: cast it to bytea")?.to_owned())
}

fn array(inner: &Type, mut bytes: Reader<'_>) -> Result<Value, Error> {
    let (dimensions, _nulls, _type) = (bytes.i32()?, bytes.i32()?, bytes.i32()?);
    let dimensions = usize::try_from(dimensions)?;
    if dimensions > 6 {
        return Err("an array of more than 6 dimensions".into());
    }
    let mut lengths = Vec::with_capacity(dimensions);
    for _ in 0..dimensions {
        lengths.push(usize::try_from(bytes.i32()?)?);
        let _first = bytes.i32()?;
    }
    let value = nested(inner, &lengths, &mut bytes)?;
    bytes.end(value)
}

fn nested(inner: &Type, lengths: &[usize], bytes: &mut Reader<'_>) -> Result<Value, Error> {
    let Some((length, deeper)) = lengths.split_first() else {
        return Ok(Value::Array(kind(inner), Vec::new()));
    };
    let mut values = Vec::new();
    for _ in 0..*length {
        values.push(if deeper.is_empty() {
            bytes.value(inner)?
        } else {
            nested(inner, deeper, bytes)?
        });
    }
    let of = deeper.iter().fold(kind(inner), |of, _| Kind::Array(Box::new(of)));
    Ok(Value::Array(of, values))
}

fn range(inner: &Type, mut bytes: Reader<'_>) -> Result<Value, Error> {
    const EMPTY: u8 = 1;
    const LOWER_WITHIN: u8 = 2;
    const UPPER_WITHIN: u8 = 4;
    const NO_LOWER: u8 = 8;
    const NO_UPPER: u8 = 16;
    let [flags] = bytes.array()?;
    let is = |flag: u8| flags & flag != 0;
    let mut range = Range { kind: kind(inner), empty: is(EMPTY), lower: None, upper: None };
    if !range.empty {
        if !is(NO_LOWER) {
            range.lower = Some((bytes.value(inner)?, is(LOWER_WITHIN)));
        }
        if !is(NO_UPPER) {
            range.upper = Some((bytes.value(inner)?, is(UPPER_WITHIN)));
        }
    }
    bytes.end(Value::Range(Box::new(range)))
}

fn day(days: i32) -> Date {
    match days {
        i32::MIN => Date::Past,
        i32::MAX => Date::Future,
        days => Date::from_days(i64::from(days) + EPOCH),
    }
}

fn stamp(micros: i64) -> (Date, Time) {
    match micros {
        i64::MIN => (Date::Past, Time::default()),
        i64::MAX => (Date::Future, Time::default()),
        micros => (
            Date::from_days(micros.div_euclid(DAY) + EPOCH),
            Time::from_micros(micros.rem_euclid(DAY)),
        ),
    }
}

/// Groups of four decimal digits, the first of which counts 10000 to the power of `weight`.
fn numeric(bytes: &mut Reader<'_>) -> Result<String, Error> {
    let (count, weight, sign, scale) = (bytes.i16()?, bytes.i16()?, bytes.i16()?, bytes.i16()?);
    let groups = (0..count).map(|_| bytes.i16()).collect::<Result<Vec<_>, _>>()?;
    let sign = match u16::from_ne_bytes(sign.to_ne_bytes()) {
        0 => "",
        0x4000 => "-",
        0xC000 => return Ok("NaN".to_owned()),
        0xD000 => return Ok("Infinity".to_owned()),
        0xF000 => return Ok("-Infinity".to_owned()),
        _ => return Err("a number of an unknown sign".into()),
    };
    if groups.iter().any(|group| !(0..10_000).contains(group)) || scale < 0 {
        return Err("a number that is none".into());
    }
    let group =
        |at: i32| usize::try_from(at).ok().and_then(|at| groups.get(at)).copied().unwrap_or(0);
    let weight = i32::from(weight);
    let mut text = String::from(sign);
    if weight < 0 {
        text.push('0');
    } else {
        for at in 0..=weight {
            let digits = if at == 0 { group(at).to_string() } else { format!("{:04}", group(at)) };
            text.push_str(&digits);
        }
    }
    if let Ok(scale @ 1..) = usize::try_from(scale) {
        text.push('.');
        let mut fraction = String::with_capacity(scale + 4);
        let mut at = weight + 1;
        while fraction.len() < scale {
            fraction.push_str(&format!("{:04}", group(at)));
            at += 1;
        }
        fraction.truncate(scale);
        text.push_str(&fraction);
    }
    Ok(text)
}

#[cfg(test)]
mod tests;
