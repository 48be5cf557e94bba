//! Values, as databases and the published interfaces have them.

use std::sync::Arc;

/// A value: a parameter of a statement, or one field of a row.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// SQL's `NULL`.
    Null,
    /// True or false.
    Bool(bool),
    /// A signed integer of 8 bits.
    I8(i8),
    /// A signed integer of 16 bits.
    I16(i16),
    /// A signed integer of 32 bits.
    I32(i32),
    /// A signed integer of 64 bits.
    I64(i64),
    /// An unsigned integer of 8 bits.
    U8(u8),
    /// An unsigned integer of 16 bits.
    U16(u16),
    /// An unsigned integer of 32 bits.
    U32(u32),
    /// An unsigned integer of 64 bits.
    U64(u64),
    /// A floating-point number of 32 bits.
    F32(f32),
    /// A floating-point number of 64 bits.
    F64(f64),
    /// Text.
    Text(String),
    /// Bytes.
    Binary(Vec<u8>),
    /// A day.
    Date(Date),
    /// A time of day, without a zone.
    Time(Time),
    /// A time of day with its distance from UTC in seconds to the east.
    TimeTz(Time, i32),
    /// A day and a time, without a zone.
    DateTime(Date, Time),
    /// An instant: a day and a time in UTC.
    Instant(Date, Time),
    /// A span of time.
    Interval(Interval),
    /// A UUID.
    Uuid([u8; 16]),
    /// A number of any precision, in decimal: `-12.50`, `NaN`.
    Decimal(String),
    /// JSON, as text.
    Json(String),
    /// A range of values.
    Range(Box<Range>),
    /// A list of values of one kind, each of which may be `NULL`.
    Array(Kind, Vec<Value>),
    /// Anything else, as the database sends it: the name of its type, and its bytes.
    Other(Arc<str>, Vec<u8>),
}

/// What a column holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// [`Value::Bool`].
    Bool,
    /// [`Value::I8`].
    I8,
    /// [`Value::I16`].
    I16,
    /// [`Value::I32`].
    I32,
    /// [`Value::I64`].
    I64,
    /// [`Value::U8`].
    U8,
    /// [`Value::U16`].
    U16,
    /// [`Value::U32`].
    U32,
    /// [`Value::U64`].
    U64,
    /// [`Value::F32`].
    F32,
    /// [`Value::F64`].
    F64,
    /// [`Value::Text`].
    Text,
    /// [`Value::Binary`].
    Binary,
    /// [`Value::Date`].
    Date,
    /// [`Value::Time`].
    Time,
    /// [`Value::TimeTz`].
    TimeTz,
    /// [`Value::DateTime`].
    DateTime,
    /// [`Value::Instant`].
    Instant,
    /// [`Value::Interval`].
    Interval,
    /// [`Value::Uuid`].
    Uuid,
    /// [`Value::Decimal`].
    Decimal,
    /// [`Value::Json`].
    Json,
    /// [`Value::Range`] of such values.
    Range(Box<Kind>),
    /// [`Value::Array`] of such values.
    Array(Box<Kind>),
    /// Whatever the value is: SQLite's columns have no type of their own.
    Any,
    /// Another type of the database, by its name.
    Other(Arc<str>),
}

/// A day of the proleptic Gregorian calendar, or one of PostgreSQL's two ends of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Date {
    /// Before every other day.
    Past,
    /// A year (0 is 1 BC), a month (1 to 12) and a day (1 to 31).
    Ymd(i32, u8, u8),
    /// After every other day.
    Future,
}

/// A time of day.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Time {
    /// 0 to 24.
    pub hour: u8,
    /// 0 to 59.
    pub minute: u8,
    /// 0 to 60.
    pub second: u8,
    /// 0 to 999,999,999.
    pub nanosecond: u32,
}

/// A span of time, in three parts none of which can be said in the others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Interval {
    /// Months.
    pub months: i32,
    /// Days.
    pub days: i32,
    /// Microseconds.
    pub micros: i64,
}

/// A range of values of one kind; an end that is not there is open.
#[derive(Clone, Debug, PartialEq)]
pub struct Range {
    /// Of what.
    pub kind: Kind,
    /// Whether there is nothing in it.
    pub empty: bool,
    /// Where it begins, and whether with that value.
    pub lower: Option<(Value, bool)>,
    /// Where it ends, and whether with that value.
    pub upper: Option<(Value, bool)>,
}

impl Value {
    /// Whether it is `NULL`.
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// What it is, for messages.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "a boolean",
            Self::I8(_) | Self::I16(_) | Self::I32(_) | Self::I64(_) => "an integer",
            Self::U8(_) | Self::U16(_) | Self::U32(_) | Self::U64(_) => "an unsigned integer",
            Self::F32(_) | Self::F64(_) => "a floating-point number",
            Self::Text(_) => "text",
            Self::Binary(_) => "binary",
            Self::Date(_) => "a date",
            Self::Time(_) | Self::TimeTz(..) => "a time",
            Self::DateTime(..) | Self::Instant(..) => "a date and time",
            Self::Interval(_) => "an interval",
            Self::Uuid(_) => "a UUID",
            Self::Decimal(_) => "a decimal",
            Self::Json(_) => "JSON",
            Self::Range(_) => "a range",
            Self::Array(..) => "an array",
            Self::Other(..) => "of a type of the database",
        }
    }

    /// As a whole number, if it is one.
    pub fn integer(&self) -> Option<i128> {
        Some(match self {
            Self::I8(n) => (*n).into(),
            Self::I16(n) => (*n).into(),
            Self::I32(n) => (*n).into(),
            Self::I64(n) => (*n).into(),
            Self::U8(n) => (*n).into(),
            Self::U16(n) => (*n).into(),
            Self::U32(n) => (*n).into(),
            Self::U64(n) => (*n).into(),
            _ => return None,
        })
    }

    /// Bytes that it takes, about: what limits count.
    pub fn size(&self) -> usize {
        let own = size_of::<Self>();
        own + match self {
            Self::Text(text) | Self::Decimal(text) | Self::Json(text) => text.len(),
            Self::Binary(bytes) | Self::Other(_, bytes) => bytes.len(),
            Self::Array(_, values) => values.iter().map(Self::size).sum(),
            Self::Range(range) => {
                let ends = [&range.lower, &range.upper];
                size_of::<Range>()
                    + ends.into_iter().flatten().map(|(v, _)| v.size()).sum::<usize>()
            }
            _ => 0,
        }
    }

    /// As text that databases read as a value of its kind; `None` for `NULL`, and for bytes.
    pub fn literal(&self) -> Option<String> {
        Some(match self {
            Self::Null | Self::Binary(_) | Self::Other(..) => return None,
            Self::Bool(is) => is.to_string(),
            Self::F32(n) => float(f64::from(*n), || n.to_string()),
            Self::F64(n) => float(*n, || n.to_string()),
            Self::Text(text) | Self::Decimal(text) | Self::Json(text) => text.clone(),
            Self::Date(date) => date.to_string(),
            Self::Time(time) => time.to_string(),
            Self::TimeTz(time, east) => {
                let (sign, by) = (if *east < 0 { '-' } else { '+' }, east.unsigned_abs());
                format!("{time}{sign}{:02}:{:02}:{:02}", by / 3600, by / 60 % 60, by % 60)
            }
            Self::DateTime(date, time) => stamp(*date, *time, ""),
            Self::Instant(date, time) => stamp(*date, *time, "+00"),
            Self::Interval(Interval { months, days, micros }) => {
                let (sign, by) = (if *micros < 0 { "-" } else { "" }, micros.unsigned_abs());
                let (seconds, micros) = (by / 1_000_000, by % 1_000_000);
                format!("{months} mons {days} days {sign}{seconds}.{micros:06} seconds")
            }
            Self::Uuid(bytes) => uuid(bytes),
            Self::Range(range) => range.literal()?,
            Self::Array(_, values) => {
                let values: Option<Vec<_>> = values.iter().map(Self::quoted).collect();
                format!("{{{}}}", values?.join(","))
            }
            integer => integer.integer()?.to_string(),
        })
    }

    /// As a part of a range's or an array's literal.
    fn quoted(&self) -> Option<String> {
        match self {
            Self::Null => Some("NULL".to_owned()),
            Self::Binary(bytes) => Some(format!("\"\\\\x{}\"", hex(bytes))),
            Self::Array(..) => self.literal(),
            other => {
                let text = other.literal()?.replace('\\', "\\\\").replace('"', "\\\"");
                Some(format!("\"{text}\""))
            }
        }
    }
}

impl Range {
    fn literal(&self) -> Option<String> {
        if self.empty {
            return Some("empty".to_owned());
        }
        let end = |end: &Option<(Value, bool)>| match end {
            None => Some((String::new(), false)),
            Some((value, within)) => Some((value.quoted()?, *within)),
        };
        let ((lower, from), (upper, to)) = (end(&self.lower)?, end(&self.upper)?);
        let (open, close) = (if from { '[' } else { '(' }, if to { ']' } else { ')' });
        Some(format!("{open}{lower},{upper}{close}"))
    }
}

impl Date {
    /// Days since 1970-01-01, after Howard Hinnant's algorithm for the civil calendar; `None` for the ends of time,
    /// and for a day that is in no calendar.
    pub fn days(self) -> Option<i64> {
        let Self::Ymd(year, month, day) = self else { return None };
        if !(1..=12).contains(&month) || day == 0 || day > last_day(year, month) {
            return None;
        }
        let year = i64::from(year) - i64::from(month <= 2);
        let era = year.div_euclid(400);
        let of_era = year.rem_euclid(400);
        let of_year = (153 * ((i64::from(month) + 9) % 12) + 2) / 5 + i64::from(day) - 1;
        Some(era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468)
    }

    /// The day so many days after 1970-01-01; the ends of time where its year would not fit.
    pub fn from_days(days: i64) -> Self {
        let days = days.saturating_add(719_468);
        let (era, of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
        let of_400 = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * of_400 + of_400 / 4 - of_400 / 100);
        let from_march = (5 * of_year + 2) / 153;
        let day = of_year - (153 * from_march + 2) / 5 + 1;
        let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
        let year = of_400 + era * 400 + i64::from(month <= 2);
        match (i32::try_from(year), u8::try_from(month), u8::try_from(day)) {
            (Ok(year), Ok(month), Ok(day)) => Self::Ymd(year, month, day),
            _ if days < 0 => Self::Past,
            _ => Self::Future,
        }
    }
}

impl Time {
    /// Microseconds since midnight; what is below one is cut off.
    pub fn micros(self) -> i64 {
        let seconds = (i64::from(self.hour) * 60 + i64::from(self.minute)) * 60;
        (seconds + i64::from(self.second)) * 1_000_000 + i64::from(self.nanosecond / 1000)
    }

    /// The time so many microseconds after midnight; what is no time of a day is its nearest end.
    pub fn from_micros(micros: i64) -> Self {
        let micros = micros.clamp(0, 86_400_000_000);
        let (seconds, rest) = (micros / 1_000_000, micros % 1_000_000);
        let part = |n: i64| u8::try_from(n).unwrap_or_default();
        Self {
            hour: part(seconds / 3600),
            minute: part(seconds / 60 % 60),
            second: part(seconds % 60),
            nanosecond: u32::try_from(rest * 1000).unwrap_or_default(),
        }
    }

    /// Whether there is such a time.
    pub fn is_valid(self) -> bool {
        let Self { hour, minute, second, nanosecond } = self;
        let within = hour < 24 || (hour == 24 && minute == 0 && second == 0 && nanosecond == 0);
        within && minute < 60 && second <= 60 && nanosecond < 1_000_000_000
    }
}

impl std::fmt::Display for Date {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match *self {
            Self::Past => f.write_str("-infinity"),
            Self::Future => f.write_str("infinity"),
            Self::Ymd(year, month, day) if year > 0 => write!(f, "{year:04}-{month:02}-{day:02}"),
            Self::Ymd(year, month, day) => {
                write!(f, "{:04}-{month:02}-{day:02} BC", 1 - i64::from(year))
            }
        }
    }
}

impl std::fmt::Display for Time {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { hour, minute, second, nanosecond } = self;
        write!(f, "{hour:02}:{minute:02}:{second:02}")?;
        match nanosecond {
            0 => Ok(()),
            nanos if nanos % 1000 == 0 => write!(f, ".{:06}", nanos / 1000),
            nanos => write!(f, ".{nanos:09}"),
        }
    }
}

/// `2024-02-29 12:00:00+00`; before the year one, the era comes last.
fn stamp(date: Date, time: Time, zone: &str) -> String {
    let date = date.to_string();
    match date.strip_suffix(" BC") {
        Some(date) => format!("{date} {time}{zone} BC"),
        None if date.ends_with("infinity") => date,
        None => format!("{date} {time}{zone}"),
    }
}

fn float(n: f64, finite: impl FnOnce() -> String) -> String {
    if n.is_nan() {
        "NaN".to_owned()
    } else if n.is_infinite() {
        if n > 0.0 { "Infinity".to_owned() } else { "-Infinity".to_owned() }
    } else {
        finite()
    }
}

fn last_day(year: i32, month: u8) -> u8 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// A UUID as people write it.
pub fn uuid(bytes: &[u8; 16]) -> String {
    let mut text = hex(bytes);
    for at in [20, 16, 12, 8] {
        text.insert(at, '-');
    }
    text
}

/// A UUID from its text, with or without hyphens and braces.
pub fn parse_uuid(text: &str) -> Option<[u8; 16]> {
    let text = text.strip_prefix("urn:uuid:").unwrap_or(text);
    let digits: Vec<u8> = text
        .bytes()
        .filter(|byte| !matches!(byte, b'-' | b'{' | b'}'))
        .map(|byte| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok()))
        .collect::<Option<_>>()?;
    let mut bytes = [0; 16];
    if digits.len() != 32 {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = pair.iter().fold(0, |byte, digit| byte << 4 | digit);
    }
    Some(bytes)
}

#[cfg(test)]
mod tests;
