//! What a test asks for, as text: a step a line, its first word what to do; below it its parameters, each on a line
//! that begins with two spaces, its first word the type. `~` stands for a line's end.

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
        let (first, rest) = (first.to_owned(), rest.replace('~', "\n"));
        match steps.last_mut() {
            Some(step) if line.starts_with("  ") => step.parameters.push((first, rest)),
            _ => steps.push(Step { what: first, text: rest, parameters: Vec::new() }),
        }
    }
    steps
}

/// Whole numbers with spaces between.
#[allow(dead_code, reason = "not every guest has such types")]
pub fn numbers<T: TryFrom<i64>>(text: &str) -> impl Iterator<Item = T> {
    let each = text.split_whitespace().map(|one| one.parse::<i64>().expect("a number"));
    each.map(|one| T::try_from(one).unwrap_or_else(|_| panic!("{one} does not fit")))
}

/// The next of them.
#[allow(dead_code, reason = "not every guest has such types")]
pub fn next<T: TryFrom<i64>>(numbers: &mut impl Iterator<Item = i64>) -> T {
    T::try_from(numbers.next().unwrap_or_default()).unwrap_or_else(|_| panic!("does not fit"))
}

/// Values of one of Spin's types for parameters: those that all have, and more.
#[macro_export]
macro_rules! parameter {
    ($of:ident, $kind:expr, $text:expr, { $($more:tt)* }) => {{
        let (kind, text): (&str, &str) = ($kind, $text);
        match kind {
            "boolean" => $of::Boolean(text.parse().expect("a boolean")),
            "int8" => $of::Int8(text.parse().expect("a number")),
            "int16" => $of::Int16(text.parse().expect("a number")),
            "int32" => $of::Int32(text.parse().expect("a number")),
            "int64" => $of::Int64(text.parse().expect("a number")),
            "floating32" => $of::Floating32(text.parse().expect("a number")),
            "floating64" => $of::Floating64(text.parse().expect("a number")),
            "str" => $of::Str(text.to_owned()),
            "binary" => $of::Binary($crate::script::numbers(text).collect()),
            "null" => $of::DbNull,
            $($more)*
            other => panic!("there is no type {other}"),
        }
    }};
}
