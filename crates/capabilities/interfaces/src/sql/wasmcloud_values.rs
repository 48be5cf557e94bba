//! wasmCloud's values of PostgreSQL, which are the same in both versions.

/// A floating-point number as wasmCloud has it: a whole number, the power of two that it is multiplied with, and a
/// sign.
pub(super) type Decoded = (u64, i16, i8);

/// A number of 64 bits in its parts.
pub(super) fn decode(number: f64) -> Decoded {
    let bits = number.to_bits();
    let fraction = bits & 0x000f_ffff_ffff_ffff;
    let power = i16::try_from(bits >> 52 & 0x7ff).unwrap_or_default();
    let whole = if power == 0 { fraction << 1 } else { fraction | 1 << 52 };
    (whole, power - 1075, if bits >> 63 == 0 { 1 } else { -1 })
}

/// A number of 32 bits in its parts.
pub(super) fn decode_single(number: f32) -> Decoded {
    let bits = number.to_bits();
    let fraction = u64::from(bits & 0x007f_ffff);
    let power = i16::try_from(bits >> 23 & 0xff).unwrap_or_default();
    let whole = if power == 0 { fraction << 1 } else { fraction | 1 << 23 };
    (whole, power - 150, if bits >> 31 == 0 { 1 } else { -1 })
}

/// A number from its parts.
pub(super) fn encode((whole, power, sign): Decoded) -> f64 {
    let sign = if sign < 0 { 1 << 63 } else { 0 };
    // The parts of a number of 64 bits are put together as they were.
    if (1 << 52..1 << 53).contains(&whole)
        && let Ok(power @ 1..=2047) = u64::try_from(i32::from(power) + 1075)
    {
        return f64::from_bits(sign | power << 52 | whole & 0x000f_ffff_ffff_ffff);
    }
    if power == -1075 && whole < 1 << 53 {
        return f64::from_bits(sign | whole >> 1);
    }
    #[expect(clippy::cast_precision_loss, reason = "what is larger is no part of any number")]
    let whole = whole as f64;
    whole * f64::from(power).exp2() * if sign == 0 { 1.0 } else { -1.0 }
}

/// An address of a network as PostgreSQL sends it: family, bits, whether it is a network, length, and the address.
pub(super) fn network(bytes: &[u8]) -> Option<String> {
    let [_, bits, is_network, _, address @ ..] = bytes else { return None };
    let (address, all) = match address.len() {
        4 => (std::net::IpAddr::from(<[u8; 4]>::try_from(address).ok()?), 32),
        16 => (std::net::IpAddr::from(<[u8; 16]>::try_from(address).ok()?), 128),
        _ => return None,
    };
    let whole = *bits == all && *is_network == 0;
    Some(if whole { address.to_string() } else { format!("{address}/{bits}") })
}

/// Conversions for the types of one version.
macro_rules! pg_values {
    ($types:ident) => {
        use reef_sql::{Date as OwnDate, Kind, SqlError, Time as OwnTime, Value};
        use $types::{Date, Offset, PgValue, Time, TimeTz, Timestamp, TimestampTz};

        use super::wasmcloud_values::{decode, decode_single, encode, network};

        fn parameters(values: Vec<PgValue>) -> Result<Vec<Value>, SqlError> {
            values.into_iter().enumerate().map(|(index, value)| bound(index, value)).collect()
        }

        fn bound(index: usize, value: PgValue) -> Result<Value, SqlError> {
            let unlike = |what: &str| {
                SqlError::parameter(
                    index,
                    format!("is {what}, which is not supported: give it as text"),
                )
            };
            let text = |bytes: Vec<u8>| {
                String::from_utf8(bytes)
                    .map(Value::Text)
                    .map_err(|_| SqlError::parameter(index, "is text that is not UTF-8"))
            };
            let uuid = |text: String| {
                reef_sql::parse_uuid(&text)
                    .map(Value::Uuid)
                    .ok_or_else(|| SqlError::parameter(index, "is no UUID"))
            };
            let texts = |values: Vec<String>| list(Kind::Text, values, Value::Text);
            #[expect(clippy::cast_possible_truncation, reason = "it was one of 32 bits")]
            let single = |parts| Value::F32(encode(parts) as f32);
            Ok(match value {
                PgValue::Null => Value::Null,
                PgValue::BigInt(n)
                | PgValue::Int8(n)
                | PgValue::BigSerial(n)
                | PgValue::Serial8(n)
                | PgValue::TxidSnapshot(n) => Value::I64(n),
                PgValue::Int8Array(values) => list(Kind::I64, values, Value::I64),
                PgValue::Bool(is) | PgValue::Boolean(is) => Value::Bool(is),
                PgValue::BoolArray(values) => list(Kind::Bool, values, Value::Bool),
                PgValue::Double(parts) | PgValue::Float8(parts) => Value::F64(encode(parts)),
                PgValue::Float8Array(values) => {
                    list(Kind::F64, values, |parts| Value::F64(encode(parts)))
                }
                PgValue::Real(parts) | PgValue::Float4(parts) => single(parts),
                PgValue::Float4Array(values) => list(Kind::F32, values, single),
                PgValue::Integer(n) | PgValue::Int(n) | PgValue::Int4(n) => Value::I32(n),
                PgValue::Int4Array(values) => list(Kind::I32, values, Value::I32),
                PgValue::Numeric(text) | PgValue::Decimal(text) | PgValue::Money(text) => {
                    Value::Decimal(text)
                }
                PgValue::NumericArray(values) | PgValue::MoneyArray(values) => {
                    list(Kind::Decimal, values, Value::Decimal)
                }
                PgValue::Serial(n) | PgValue::Serial4(n) => Value::U32(n),
                PgValue::SmallInt(n)
                | PgValue::Int2(n)
                | PgValue::SmallSerial(n)
                | PgValue::Serial2(n) => Value::I16(n),
                PgValue::Int2Array(values) => list(Kind::I16, values, Value::I16),
                PgValue::Bytea(bytes) => Value::Binary(bytes),
                PgValue::ByteaArray(values) => list(Kind::Binary, values, Value::Binary),
                PgValue::Char((_, bytes)) => text(bytes)?,
                PgValue::Varchar((_, bytes)) => text(bytes)?,
                PgValue::VarcharArray(values) => Value::Array(
                    Kind::Text,
                    values.into_iter().map(|(_, bytes)| text(bytes)).collect::<Result<_, _>>()?,
                ),
                PgValue::CharArray(values) => Value::Array(
                    Kind::Text,
                    values.into_iter().map(|(_, bytes)| text(bytes)).collect::<Result<_, _>>()?,
                ),
                PgValue::Macaddr(mac) => {
                    let (a, b, c, d, e, f) = mac.bytes;
                    Value::Text(format!("{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}"))
                }
                PgValue::PgLsn(at) => Value::Text(format!("{:X}/{:X}", at >> 32, at & 0xffff_ffff)),
                PgValue::Date(date) => Value::Date(day(index, date)?),
                PgValue::DateArray(values) => Value::Array(
                    Kind::Date,
                    values
                        .into_iter()
                        .map(|date| day(index, date).map(Value::Date))
                        .collect::<Result<_, _>>()?,
                ),
                PgValue::Time(time) => Value::Time(clock(index, time)?),
                PgValue::Timestamp(Timestamp { date, time }) => {
                    Value::DateTime(day(index, date)?, clock(index, time)?)
                }
                PgValue::TimestampTz(TimestampTz {
                    timestamp: Timestamp { date, time },
                    offset,
                }) => {
                    let east = match offset {
                        Offset::EasternHemisphereSecs(seconds) => i64::from(seconds),
                        Offset::WesternHemisphereSecs(seconds) => -i64::from(seconds),
                    };
                    let (date, time) = (day(index, date)?, clock(index, time)?);
                    match date.days() {
                        None => Value::Instant(date, time),
                        Some(days) => {
                            let micros = time.micros() - east * 1_000_000;
                            let whole = micros.div_euclid(86_400_000_000);
                            let rest = micros.rem_euclid(86_400_000_000);
                            Value::Instant(
                                OwnDate::from_days(days + whole),
                                OwnTime::from_micros(rest),
                            )
                        }
                    }
                }
                PgValue::Json(text) | PgValue::Jsonb(text) => Value::Json(text),
                PgValue::JsonArray(values) | PgValue::JsonbArray(values) => {
                    list(Kind::Json, values, Value::Json)
                }
                PgValue::Name(text)
                | PgValue::Text(text)
                | PgValue::Xml(text)
                | PgValue::TsQuery(text)
                | PgValue::Cidr(text)
                | PgValue::Inet(text) => Value::Text(text),
                PgValue::NameArray(values)
                | PgValue::TextArray(values)
                | PgValue::XmlArray(values)
                | PgValue::CidrArray(values)
                | PgValue::InetArray(values) => texts(values),
                PgValue::Uuid(text) => uuid(text)?,
                PgValue::UuidArray(values) => Value::Array(
                    Kind::Uuid,
                    values.into_iter().map(uuid).collect::<Result<_, _>>()?,
                ),
                PgValue::Bit(_) | PgValue::BitVarying(_) | PgValue::Varbit(_) => {
                    return Err(unlike("a string of bits"));
                }
                PgValue::Interval(_) | PgValue::IntervalArray(_) => {
                    return Err(unlike("an interval"));
                }
                PgValue::TsVector(_) | PgValue::Hstore(_) => return Err(unlike("a map")),
                _ => return Err(unlike("of a type")),
            })
        }

        fn list<T>(kind: Kind, values: Vec<T>, of: impl Fn(T) -> Value) -> Value {
            Value::Array(kind, values.into_iter().map(of).collect())
        }

        fn day(index: usize, date: Date) -> Result<OwnDate, SqlError> {
            Ok(match date {
                Date::PositiveInfinity => OwnDate::Future,
                Date::NegativeInfinity => OwnDate::Past,
                Date::Ymd((year, month, day)) => match (u8::try_from(month), u8::try_from(day)) {
                    (Ok(month), Ok(day)) => OwnDate::Ymd(year, month, day),
                    _ => return Err(SqlError::parameter(index, "is no day")),
                },
            })
        }

        fn clock(index: usize, time: Time) -> Result<OwnTime, SqlError> {
            let Time { hour, min, sec, micro } = time;
            match (u8::try_from(hour), u8::try_from(min), u8::try_from(sec)) {
                (Ok(hour), Ok(minute), Ok(second)) if micro < 1_000_000 => {
                    Ok(OwnTime { hour, minute, second, nanosecond: micro * 1000 })
                }
                _ => Err(SqlError::parameter(index, "is no time of day")),
            }
        }

        fn date(date: OwnDate) -> Date {
            match date {
                OwnDate::Past => Date::NegativeInfinity,
                OwnDate::Future => Date::PositiveInfinity,
                OwnDate::Ymd(year, month, day) => Date::Ymd((year, month.into(), day.into())),
            }
        }

        fn time(time: OwnTime) -> Time {
            let OwnTime { hour, minute, second, nanosecond } = time;
            Time {
                hour: hour.into(),
                min: minute.into(),
                sec: second.into(),
                micro: nanosecond / 1000,
            }
        }

        /// A field of a row; what there is no type for is text as people write it.
        fn field(value: Value, native: Option<&str>) -> PgValue {
            let length = |text: &str| u32::try_from(text.len()).unwrap_or(u32::MAX);
            match value {
                Value::Null => PgValue::Null,
                Value::Bool(is) => PgValue::Bool(is),
                Value::I8(n) => PgValue::Char((1, n.to_ne_bytes().to_vec())),
                Value::I16(n) => PgValue::Int2(n),
                Value::I32(n) => PgValue::Int4(n),
                Value::I64(n) => PgValue::Int8(n),
                Value::U8(n) => PgValue::Int2(n.into()),
                Value::U16(n) => PgValue::Int4(n.into()),
                Value::U32(n) => PgValue::Int8(n.into()),
                Value::U64(n) => PgValue::Numeric(n.to_string()),
                Value::F32(n) => PgValue::Float4(decode_single(n)),
                Value::F64(n) => PgValue::Float8(decode(n)),
                Value::Text(text) => match native {
                    Some("varchar") => PgValue::Varchar((Some(length(&text)), text.into_bytes())),
                    Some("bpchar") => PgValue::Char((length(&text), text.into_bytes())),
                    Some("name") => PgValue::Name(text),
                    _ => PgValue::Text(text),
                },
                Value::Binary(bytes) => PgValue::Bytea(bytes),
                Value::Date(day) => PgValue::Date(date(day)),
                Value::Time(clock) => PgValue::Time(time(clock)),
                Value::TimeTz(clock, east) => {
                    PgValue::TimeTz(TimeTz { timesonze: east.to_string(), time: time(clock) })
                }
                Value::DateTime(day, clock) => {
                    PgValue::Timestamp(Timestamp { date: date(day), time: time(clock) })
                }
                Value::Instant(day, clock) => PgValue::TimestampTz(TimestampTz {
                    timestamp: Timestamp { date: date(day), time: time(clock) },
                    offset: Offset::EasternHemisphereSecs(0),
                }),
                Value::Uuid(bytes) => PgValue::Uuid(reef_sql::uuid(&bytes)),
                Value::Decimal(text) => PgValue::Numeric(text),
                Value::Json(text) if native == Some("json") => PgValue::Json(text),
                Value::Json(text) => PgValue::Jsonb(text),
                Value::Array(kind, values) => array(kind, values),
                Value::Other(name, bytes) => other(&name, bytes),
                interval_or_range => PgValue::Text(interval_or_range.literal().unwrap_or_default()),
            }
        }

        /// An array, if it holds no `NULL`: wasmCloud's have none.
        fn array(kind: Kind, values: Vec<Value>) -> PgValue {
            fn each<T>(values: &[Value], of: impl Fn(&Value) -> Option<T>) -> Option<Vec<T>> {
                values.iter().map(of).collect()
            }
            let integer = |value: &Value| value.integer();
            let found =
                match kind {
                    Kind::Bool => each(&values, |value| match value {
                        Value::Bool(is) => Some(*is),
                        _ => None,
                    })
                    .map(PgValue::BoolArray),
                    Kind::I16 => each(&values, |value| integer(value)?.try_into().ok())
                        .map(PgValue::Int2Array),
                    Kind::I32 => each(&values, |value| integer(value)?.try_into().ok())
                        .map(PgValue::Int4Array),
                    Kind::I64 => each(&values, |value| integer(value)?.try_into().ok())
                        .map(PgValue::Int8Array),
                    Kind::F64 => each(&values, |value| match value {
                        Value::F64(n) => Some(decode(*n)),
                        _ => None,
                    })
                    .map(PgValue::Float8Array),
                    Kind::Decimal => each(&values, Value::literal).map(PgValue::NumericArray),
                    Kind::Text => each(&values, Value::literal).map(PgValue::TextArray),
                    Kind::Uuid => each(&values, Value::literal).map(PgValue::UuidArray),
                    Kind::Json => each(&values, Value::literal).map(PgValue::JsonbArray),
                    Kind::Binary => each(&values, |value| match value {
                        Value::Binary(bytes) => Some(bytes.clone()),
                        _ => None,
                    })
                    .map(PgValue::ByteaArray),
                    _ => None,
                };
            let text = || Value::Array(kind, values).literal().unwrap_or_default();
            found.unwrap_or_else(|| PgValue::Text(text()))
        }

        fn other(name: &str, bytes: Vec<u8>) -> PgValue {
            let found = match (name, &bytes[..]) {
                ("inet", bytes) => network(bytes).map(PgValue::Inet),
                ("cidr", bytes) => network(bytes).map(PgValue::Cidr),
                ("macaddr", [a, b, c, d, e, f]) => {
                    let bytes = (*a, *b, *c, *d, *e, *f);
                    Some(PgValue::Macaddr($types::MacAddressEui48 { bytes }))
                }
                ("pg_lsn", bytes) => {
                    bytes.try_into().ok().map(u64::from_be_bytes).map(PgValue::PgLsn)
                }
                ("xml", bytes) => String::from_utf8(bytes.to_owned()).ok().map(PgValue::Xml),
                _ => None,
            };
            found.unwrap_or(PgValue::Bytea(bytes))
        }
    };
}

pub(super) use pg_values;
