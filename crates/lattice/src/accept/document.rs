//! The manifest of a revision, out of its record.

use reef_app::Application;
use reef_document::{Diagnostics, Entry, Node, Value, decode};
use serde_json::Value as Json;

use crate::{Failure, record::Revision};

/// The application of a revision.
///
/// # Errors
/// When it cannot be understood: somebody else wrote it, or a newer version.
pub fn application(revision: &Revision) -> Result<Application, Failure> {
    let mut found = Diagnostics::default();
    let application = decode(&node(&revision.application), &mut found);
    application.filter(|_| !found.has_errors()).ok_or_else(|| {
        let said: Vec<_> = found.iter().map(ToString::to_string).collect();
        let (number, said) = (revision.number, said.join("; "));
        Failure::Backend(format!("the manifest of revision {number} cannot be understood: {said}"))
    })
}

/// The same tree; it stands nowhere.
fn node(json: &Json) -> Node {
    let value = match json {
        Json::Null => Value::Null,
        Json::Bool(value) => Value::Bool(*value),
        Json::Number(number) => match number.as_i64() {
            Some(number) => Value::Integer(number),
            None => Value::Float(number.as_f64().unwrap_or(f64::NAN)),
        },
        Json::String(text) => Value::Text(text.clone()),
        Json::Array(elements) => Value::Array(elements.iter().map(node).collect()),
        Json::Object(entries) => Value::Table(
            entries
                .iter()
                .map(|(key, value)| Entry { key: key.clone(), key_span: 0..0, value: node(value) })
                .collect(),
        ),
    };
    Node { value, span: 0..0 }
}
