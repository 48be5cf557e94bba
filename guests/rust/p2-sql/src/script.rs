//! What a test asks for, as text: a step a line, its first word what to do; below it its parameters, each on a line
//! that begins with two spaces, its first word the type.

pub struct Step {
    pub what: String,
    pub text: String,
    pub parameters: Vec<(String, String)>,
}

pub fn steps(script: &[u8]) -> Vec<Step> {
    let script = std::str::from_utf8(script).expect("a script is text");
    let mut steps = Vec::<Step>::new();
    for line in script.lines() {
        let (first, rest) = line.trim_start().split_once(' ').unwrap_or((line.trim_start(), ""));
        let (first, rest) = (first.to_owned(), rest.to_owned());
        match steps.last_mut() {
            Some(step) if line.starts_with("  ") => step.parameters.push((first, rest)),
            _ => steps.push(Step { what: first, text: rest, parameters: Vec::new() }),
        }
    }
    steps
}

/// Whole numbers with spaces between.
fn numbers(text: &str) -> impl Iterator<Item = i64> {
    text.split_whitespace().map(|one| one.parse().expect("a number"))
}

pub fn bytes(text: &str) -> Vec<u8> {
    numbers(text).map(|one| u8::try_from(one).expect("a byte")).collect()
}

/// The first numbers of a text, zeros after its last.
pub fn parts<const N: usize>(text: &str) -> [u32; N] {
    let mut numbers = numbers(text);
    [(); N].map(|()| u32::try_from(numbers.next().unwrap_or(0)).expect("a small number"))
}

/// A floating-point number in the parts that wasmCloud has it in: a whole number, a power of two, a sign.
pub fn decoded(number: f64) -> (u64, i16, i8) {
    let bits = number.to_bits();
    let power = i16::try_from(bits >> 52 & 0x7ff).expect("11 bits");
    let fraction = bits & ((1 << 52) - 1);
    let whole = if power == 0 { fraction << 1 } else { fraction | 1 << 52 };
    (whole, power - 1075, if number.is_sign_negative() { -1 } else { 1 })
}

/// A value of wasmCloud's types.
#[macro_export]
macro_rules! pg_value {
    ($types:path, $kind:expr, $text:expr) => {{
        use $crate::script::{bytes, decoded, parts};
        use $types::{Date, Offset, PgValue, Time, Timestamp, TimestampTz};
        let (kind, text): (&str, &str) = ($kind, $text);
        let float = || decoded(text.parse().expect("a number"));
        let list = || text.split(',').map(str::to_owned);
        let timestamp = || {
            let [year, month, day, hour, min, sec, micro] = parts(text);
            let date = Date::Ymd((i32::try_from(year).expect("a year"), month, day));
            Timestamp { date, time: Time { hour, min, sec, micro } }
        };
        match kind {
            "null" => PgValue::Null,
            "bool" => PgValue::Bool(text == "true"),
            "int2" => PgValue::Int2(text.parse().expect("a number")),
            "int4" => PgValue::Int4(text.parse().expect("a number")),
            "int8" => PgValue::Int8(text.parse().expect("a number")),
            "float4" => PgValue::Float4(float()),
            "float8" => PgValue::Float8(float()),
            "numeric" => PgValue::Numeric(text.to_owned()),
            "text" => PgValue::Text(text.to_owned()),
            "varchar" => PgValue::Varchar((None, text.as_bytes().to_vec())),
            "bytea" => PgValue::Bytea(bytes(text)),
            "date" => PgValue::Date(timestamp().date),
            "time" => {
                let [hour, min, sec, micro] = parts(text);
                PgValue::Time(Time { hour, min, sec, micro })
            }
            "timestamp" => PgValue::Timestamp(timestamp()),
            // Half an hour to the east.
            "timestamptz" => PgValue::TimestampTz(TimestampTz {
                timestamp: timestamp(),
                offset: Offset::EasternHemisphereSecs(1800),
            }),
            "uuid" => PgValue::Uuid(text.to_owned()),
            "json" => PgValue::Json(text.to_owned()),
            "jsonb" => PgValue::Jsonb(text.to_owned()),
            "inet" => PgValue::Inet(text.to_owned()),
            "int4[]" => {
                PgValue::Int4Array(list().map(|one| one.parse().expect("a number")).collect())
            }
            "text[]" => PgValue::TextArray(list().collect()),
            "bit" => PgValue::Bit((1, vec![1])),
            other => panic!("there is no type {other}"),
        }
    }};
}
