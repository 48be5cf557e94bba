//! The tree of a document.

use std::ops::Range;

/// A value and where it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// What it is.
    pub value: Value,
    /// Where, in bytes of the text.
    pub span: Range<usize>,
}

/// What a node is.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Nothing (YAML and JSON).
    Null,
    /// True or false.
    Bool(bool),
    /// A whole number.
    Integer(i64),
    /// Another number.
    Float(f64),
    /// Text; also dates, as they were written.
    Text(String),
    /// Several values.
    Array(Vec<Node>),
    /// Named values, in their order.
    Table(Vec<Entry>),
}

/// A named value of a table.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Its name.
    pub key: String,
    /// Where the name stands.
    pub key_span: Range<usize>,
    /// The value.
    pub value: Node,
}

impl Node {
    /// The value of this name, if this is a table that has it.
    pub fn get(&self, key: &str) -> Option<&Self> {
        match &self.value {
            Value::Table(entries) => {
                entries.iter().find(|entry| entry.key == key).map(|entry| &entry.value)
            }
            _ => None,
        }
    }

    /// The text, if it is one.
    pub fn as_str(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Takes a named value out of a table.
    pub fn take(&mut self, key: &str) -> Option<Self> {
        let Value::Table(entries) = &mut self.value else { return None };
        let at = entries.iter().position(|entry| entry.key == key)?;
        Some(entries.remove(at).value)
    }

    /// Puts another document's values over this one's. Tables are joined name by name, as are arrays
    /// of tables whose elements have a `name`; all else is replaced.
    pub fn overlay(&mut self, over: Self) {
        match (&mut self.value, over.value) {
            (Value::Table(entries), Value::Table(over)) => {
                for entry in over {
                    match entries.iter_mut().find(|known| known.key == entry.key) {
                        Some(known) => known.value.overlay(entry.value),
                        None => entries.push(entry),
                    }
                }
            }
            (Value::Array(elements), Value::Array(over))
                if elements.iter().chain(&over).all(|element| element.name().is_some()) =>
            {
                for element in over {
                    match elements.iter_mut().find(|known| known.name() == element.name()) {
                        Some(known) => known.overlay(element),
                        None => elements.push(element),
                    }
                }
            }
            (value, over_value) => {
                *value = over_value;
                self.span = over.span;
            }
        }
    }

    /// Takes out the value that stands there; false if there is none.
    pub(crate) fn prune(&mut self, span: &Range<usize>) -> bool {
        match &mut self.value {
            Value::Array(elements) => {
                match elements.iter().position(|element| element.span == *span) {
                    Some(at) => {
                        elements.remove(at);
                        true
                    }
                    None => elements.iter_mut().any(|element| element.prune(span)),
                }
            }
            Value::Table(entries) => {
                // A list of tables stands where the first of them does: that one is meant.
                if entries.iter_mut().any(|entry| entry.value.prune(span)) {
                    return true;
                }
                let wrong = |entry: &Entry| entry.value.span == *span || entry.key_span == *span;
                entries.iter().position(wrong).map(|at| entries.remove(at)).is_some()
            }
            _ => false,
        }
    }

    /// Whether the value at `outer` has the one at `inner` directly in it.
    pub(crate) fn holds(&self, outer: &Range<usize>, inner: &Range<usize>) -> bool {
        let here = self.span == *outer;
        match &self.value {
            Value::Array(elements) => {
                (here && elements.iter().any(|element| element.span == *inner))
                    || elements.iter().any(|element| element.holds(outer, inner))
            }
            Value::Table(entries) => {
                let is = |entry: &Entry| entry.value.span == *inner || entry.key_span == *inner;
                (here && entries.iter().any(is))
                    || entries.iter().any(|entry| entry.value.holds(outer, inner))
            }
            _ => false,
        }
    }

    fn name(&self) -> Option<&str> {
        self.get("name")?.as_str()
    }

    /// What it is, in a word.
    pub(crate) fn kind(&self) -> &'static str {
        match self.value {
            Value::Null => "nothing",
            Value::Bool(_) => "true or false",
            Value::Integer(_) => "a whole number",
            Value::Float(_) => "a number",
            Value::Text(_) => "text",
            Value::Array(_) => "a list",
            Value::Table(_) => "a table",
        }
    }
}
