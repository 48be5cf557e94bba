//! A manifest as it is handed back.

use reef_document::{Node, Source, Syntax, Value as Tree, parse};
use serde_json::Value;

use crate::api::Fault;

/// The document as JSON.
pub(super) fn json(source: &Source) -> Result<Value, Fault> {
    let node = parse(source, Syntax::Yaml).map_err(|found| {
        let said: Vec<_> = found.iter().map(ToString::to_string).collect();
        Fault::invalid(said.join("; "))
    })?;
    Ok(value(&node))
}

fn value(node: &Node) -> Value {
    match &node.value {
        Tree::Null => Value::Null,
        Tree::Bool(is) => (*is).into(),
        Tree::Integer(number) => (*number).into(),
        Tree::Float(number) => (*number).into(),
        Tree::Text(text) => text.as_str().into(),
        Tree::Array(all) => all.iter().map(value).collect(),
        Tree::Table(entries) => {
            entries.iter().map(|entry| (entry.key.clone(), value(&entry.value))).collect()
        }
        #[allow(unreachable_patterns, reason = "other syntaxes have more kinds")]
        _ => Value::Null,
    }
}
