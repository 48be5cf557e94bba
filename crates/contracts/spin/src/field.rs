//! Values that are read on their own.

use std::{fmt, marker::PhantomData, ops::Range};

use reef_document::{At, Diagnostic, Diagnostics, Entry, Node, Value, decode};
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, MapAccess, SeqAccess, Visitor},
};

/// A field of a manifest that is read on its own: what is wrong in it hides nothing that is wrong
/// beside it, and its form may be looked at first, where it has several.
#[derive(Debug)]
pub(crate) struct Field<T> {
    node: Node,
    of: PhantomData<T>,
}

impl<T> Field<T> {
    /// Where it stands.
    pub(crate) fn span(&self) -> Range<usize> {
        self.node.span.clone()
    }

    /// The text, if that is its form.
    pub(crate) fn text(&self) -> Option<At<String>> {
        Some(At::new(self.node.as_str()?.to_owned(), self.span()))
    }

    /// The elements, if it is a list.
    pub(crate) fn elements(&self) -> Option<Vec<Field<T>>> {
        let Value::Array(elements) = &self.node.value else { return None };
        Some(elements.iter().cloned().map(Field::of).collect())
    }

    /// The value, if it is true or false.
    pub(crate) fn boolean(&self) -> Option<bool> {
        if let Value::Bool(value) = self.node.value { Some(value) } else { None }
    }

    /// Whether it is an empty list or table.
    pub(crate) fn is_empty(&self) -> bool {
        match &self.node.value {
            Value::Array(elements) => elements.is_empty(),
            Value::Table(entries) => entries.is_empty(),
            _ => false,
        }
    }

    /// The value of this name, if it is a table that has it.
    pub(crate) fn take(&mut self, name: &str) -> Option<Node> {
        self.node.take(name)
    }

    /// The same value, as another type.
    pub(crate) fn cast<U>(self) -> Field<U> {
        Field::of(self.node)
    }

    fn of(node: Node) -> Self {
        Self { node, of: PhantomData }
    }
}

impl<T: DeserializeOwned> Field<T> {
    /// The value; what is wrong is added to `found`.
    pub(crate) fn read(&self, found: &mut Diagnostics) -> Option<T> {
        decode(&self.node, found)
    }
}

impl<T> Clone for Field<T> {
    fn clone(&self) -> Self {
        Self::of(self.node.clone())
    }
}

impl<T> From<Node> for Field<T> {
    fn from(node: Node) -> Self {
        Self::of(node)
    }
}

/// The value of a field that may not be there.
pub(crate) fn read<T: DeserializeOwned>(
    field: Option<&Field<T>>,
    found: &mut Diagnostics,
) -> Option<T> {
    field?.read(found)
}

/// An error at a place.
pub(crate) fn error(message: impl Into<String>, span: Option<Range<usize>>) -> Diagnostic {
    at(Diagnostic::error(message), span)
}

/// A warning at a place.
pub(crate) fn warning(message: impl Into<String>, span: Option<Range<usize>>) -> Diagnostic {
    at(Diagnostic::warning(message), span)
}

fn at(diagnostic: Diagnostic, span: Option<Range<usize>>) -> Diagnostic {
    match span {
        Some(span) => diagnostic.at(span),
        None => diagnostic,
    }
}

impl<'de, T> Deserialize<'de> for Field<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let content = At::<Content>::deserialize(deserializer)?;
        let span = content.span().unwrap_or_default();
        Ok(Self::of(Node { value: content.value.0, span }))
    }
}

struct Content(Value);

impl<'de> Deserialize<'de> for Content {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Tree).map(Self)
    }
}

/// Takes whatever there is.
struct Tree;

impl<'de> Visitor<'de> for Tree {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
        Ok(Value::Integer(number))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Value, E> {
        Ok(Value::Float(number))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::Text(text.to_owned()))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Value, A::Error> {
        let mut all = Vec::new();
        while let Some(element) = elements.next_element::<Field<()>>()? {
            all.push(element.node);
        }
        Ok(Value::Array(all))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut all = Vec::new();
        while let Some((key, value)) = entries.next_entry::<At<String>, Field<()>>()? {
            let key_span = key.span().unwrap_or_default();
            all.push(Entry { key: key.value, key_span, value: value.node });
        }
        Ok(Value::Table(all))
    }
}
