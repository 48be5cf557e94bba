//! TOML.

use toml::{
    Spanned,
    de::{DeString, DeTable, DeValue},
};

use crate::{
    DEEPEST, MOST_VALUES,
    diagnostic::{Diagnostic, Diagnostics, Source},
    node::{Entry, Node, Value},
};

pub(crate) fn parse(source: &Source) -> Result<Node, Diagnostics> {
    let (table, errors) = DeTable::parse_recoverable(source.text());
    if !errors.is_empty() {
        let mut found = Diagnostics::default();
        for error in errors {
            let mut diagnostic = Diagnostic::error(error.message().trim_end().replace('\n', ", "));
            if let Some(span) = error.span() {
                diagnostic = diagnostic.at(span).label("here");
            }
            found.push(diagnostic);
        }
        found.settle(source);
        return Err(found);
    }
    let whole = 0..source.text().len();
    let mut left = MOST_VALUES;
    match self::table(table.into_inner(), &mut left, 0) {
        Ok(value) => Ok(Node { value, span: whole }),
        Err(diagnostic) => Err(diagnostic.of(source).into()),
    }
}

fn table(table: DeTable<'_>, left: &mut usize, depth: usize) -> Result<Value, Diagnostic> {
    let entries = table.into_iter().map(|(key, value)| entry(key, value, left, depth));
    Ok(Value::Table(entries.collect::<Result<_, _>>()?))
}

fn entry(
    key: Spanned<DeString<'_>>,
    value: Spanned<DeValue<'_>>,
    left: &mut usize,
    depth: usize,
) -> Result<Entry, Diagnostic> {
    let key_span = key.span();
    let key = key.into_inner().into_owned();
    Ok(Entry { key, key_span, value: node(value, left, depth + 1)? })
}

fn node(value: Spanned<DeValue<'_>>, left: &mut usize, depth: usize) -> Result<Node, Diagnostic> {
    let span = value.span();
    *left = left.checked_sub(1).ok_or_else(|| {
        Diagnostic::error(format!("this document has more than {MOST_VALUES} values"))
    })?;
    if depth > DEEPEST {
        let error = Diagnostic::error(format!("values are nested deeper than {DEEPEST}"));
        return Err(error.at(span));
    }
    let value = match value.into_inner() {
        DeValue::String(text) => Value::Text(text.into_owned()),
        DeValue::Integer(number) => {
            let digits: String = number.as_str().chars().filter(|c| *c != '_').collect();
            match i64::from_str_radix(&digits, number.radix()) {
                Ok(number) => Value::Integer(number),
                Err(_) => {
                    let error = Diagnostic::error("this number is too large");
                    return Err(error.at(span).label("does not fit into 64 bits"));
                }
            }
        }
        DeValue::Float(number) => {
            let digits: String = number.as_str().chars().filter(|c| *c != '_').collect();
            Value::Float(digits.parse().unwrap_or(f64::NAN))
        }
        DeValue::Boolean(value) => Value::Bool(value),
        DeValue::Datetime(date) => Value::Text(date.to_string()),
        DeValue::Array(elements) => Value::Array(
            elements
                .into_iter()
                .map(|element| node(element, left, depth + 1))
                .collect::<Result<_, _>>()?,
        ),
        DeValue::Table(entries) => table(entries, left, depth)?,
    };
    Ok(Node { value, span })
}
