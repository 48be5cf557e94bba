//! From the tree to typed values.

use std::{cell::RefCell, fmt, ops::Range};

use serde::{
    de::{
        self, DeserializeOwned, DeserializeSeed, EnumAccess, Error as _, Expected,
        IntoDeserializer, MapAccess, SeqAccess, Unexpected, VariantAccess, Visitor,
        value::U64Deserializer,
    },
    forward_to_deserialize_any,
};

use crate::{
    at,
    diagnostic::{Diagnostic, Diagnostics},
    many,
    node::{Entry, Node, Value},
};

/// Most values that do not fit and are looked for.
const MOST_FAULTS: usize = 50;

/// Reads a value out of a document. What is wrong is added to `found`: each field that nobody knows,
/// and each value that does not fit; then there is no value.
///
/// Types are read field by field, so that each has its place: `serde`'s `flatten`, `untagged` and
/// internally tagged enums would take the places away.
pub fn decode<T: DeserializeOwned>(node: &Node, found: &mut Diagnostics) -> Option<T> {
    let mut unknown = Vec::new();
    let mut without = None::<Node>;
    let mut pruned = Vec::<Range<usize>>::new();
    let whole = node;
    let mut value = None;
    for pass in 0..MOST_FAULTS {
        let node = without.as_ref().unwrap_or(node);
        let all = RefCell::default();
        let read = T::deserialize(Reader { node, unknown: &all });
        for one in all.into_inner() {
            if !unknown.iter().any(|known: &Diagnostic| known.span() == one.span()) {
                unknown.push(one);
            }
        }
        let fault = match read {
            Ok(read) => {
                value = (pass == 0).then_some(read);
                break;
            }
            Err(fault) => fault,
        };
        // `serde` stops at what does not fit: what comes after is found without it.
        let mut rest = node.clone();
        let span = fault.span.clone();
        let goes_on = span.as_ref().is_some_and(|span| rest.prune(span));
        // What did not fit is not missing: it was taken out before, and now what it was in.
        let taken = |span| pruned.iter().any(|one| whole.holds(span, one));
        if !(fault.missing && span.as_ref().is_some_and(taken)) {
            found.push(fault.into());
        }
        if !goes_on {
            break;
        }
        pruned.extend(span);
        without = Some(rest);
    }
    found.extend(unknown);
    value
}

impl From<Fault> for Diagnostic {
    fn from(fault: Fault) -> Self {
        let mut diagnostic = Self::error(fault.message);
        if let Some(span) = fault.span {
            diagnostic = diagnostic.at(span);
        }
        match fault.help {
            Some(help) => diagnostic.help(help),
            None => diagnostic,
        }
    }
}

/// What was written instead of what is known, if it is near to one of them.
pub(crate) fn nearest<'k>(written: &str, known: &[&'k str]) -> Option<&'k str> {
    let plain = |text: &str| text.to_lowercase().replace(['_', ' '], "-");
    let written = plain(written);
    known
        .iter()
        .map(|known| (strsim::damerau_levenshtein(&written, &plain(known)), *known))
        .filter(|(distance, known)| *distance <= known.len().max(3) / 3)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, known)| known)
}

/// `did you mean …?` and what there is.
fn suggestion(written: &str, known: &[&str]) -> String {
    let all = || {
        let mut known: Vec<_> = known.iter().map(|known| format!("`{known}`")).collect();
        known.sort();
        known.join(", ")
    };
    match nearest(written, known) {
        Some(near) => format!("did you mean `{near}`?"),
        None if known.is_empty() => "nothing is expected here".to_owned(),
        None => format!("there is {}", all()),
    }
}

#[derive(Clone, Copy)]
struct Reader<'n> {
    node: &'n Node,
    unknown: &'n RefCell<Vec<Diagnostic>>,
}

/// The first value that does not fit.
#[derive(Debug)]
struct Fault {
    message: String,
    span: Option<Range<usize>>,
    help: Option<String>,
    /// It is about what is not there.
    missing: bool,
}

impl<'n> Reader<'n> {
    fn of(self, node: &'n Node) -> Self {
        Self { node, ..self }
    }

    /// Gives a fault within this value its place, unless it has one.
    fn place<T>(self, read: Result<T, Fault>) -> Result<T, Fault> {
        read.map_err(|fault| fault.at(&self.node.span))
    }

    fn wrong(self, expected: &dyn Expected) -> Fault {
        Fault::expected(self.node.kind(), expected).at(&self.node.span)
    }
}

impl<'de> de::Deserializer<'de> for Reader<'_> {
    type Error = Fault;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.place(match &self.node.value {
            Value::Null => visitor.visit_unit(),
            Value::Bool(value) => visitor.visit_bool(*value),
            Value::Integer(number) => visitor.visit_i64(*number),
            Value::Float(number) => visitor.visit_f64(*number),
            Value::Text(text) => visitor.visit_str(text),
            Value::Array(elements) => visitor.visit_seq(Elements { reader: self, left: elements }),
            Value::Table(entries) => {
                visitor.visit_map(Fields { reader: self, left: entries, known: None, value: None })
            }
        })
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.node.value {
            Value::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        self.place(visitor.visit_newtype_struct(self))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        if name == at::NAME {
            return visitor.visit_map(Place { reader: self, step: 0 });
        }
        let Value::Table(entries) = &self.node.value else { return Err(self.wrong(&visitor)) };
        let known = Some(fields);
        self.place(visitor.visit_map(Fields { reader: self, left: entries, known, value: None }))
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        match &self.node.value {
            Value::Array(_) => self.deserialize_any(visitor),
            _ if name == many::NAME => {
                let left = std::slice::from_ref(self.node);
                visitor.visit_seq(Elements { reader: self, left })
            }
            _ => Err(self.wrong(&visitor)),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        let variant = match &self.node.value {
            Value::Text(name) => Variant { reader: self, name, value: None },
            Value::Table(entries) => match &entries[..] {
                [Entry { key, value, .. }] => {
                    Variant { reader: self, name: key, value: Some(value) }
                }
                _ => {
                    let mut fault = Fault::custom("exactly one of these is expected here");
                    fault.help = Some(suggestion("", variants));
                    fault.missing = entries.is_empty();
                    return Err(fault.at(&self.node.span));
                }
            },
            _ => return Err(self.wrong(&visitor)),
        };
        self.place(visitor.visit_enum(variant))
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit
        unit_struct seq tuple map identifier
    }
}

/// The elements of a list.
struct Elements<'n> {
    reader: Reader<'n>,
    left: &'n [Node],
}

impl<'de> SeqAccess<'de> for Elements<'_> {
    type Error = Fault;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Fault> {
        let Some((first, rest)) = self.left.split_first() else { return Ok(None) };
        self.left = rest;
        let reader = self.reader.of(first);
        reader.place(seed.deserialize(reader)).map(Some)
    }
}

/// The fields of a table.
struct Fields<'n> {
    reader: Reader<'n>,
    left: &'n [Entry],
    /// The names that a struct has; none for a map, which takes all.
    known: Option<&'static [&'static str]>,
    value: Option<&'n Entry>,
}

impl<'de> MapAccess<'de> for Fields<'_> {
    type Error = Fault;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Fault> {
        while let Some((first, rest)) = self.left.split_first() {
            self.left = rest;
            if let Some(known) = self.known
                && !known.contains(&&*first.key)
            {
                let unknown = Diagnostic::error(format!("`{}` is not a known field", first.key));
                let unknown = unknown.at(first.key_span.clone());
                self.reader.unknown.borrow_mut().push(unknown.help(suggestion(&first.key, known)));
                continue;
            }
            self.value = Some(first);
            let key = seed.deserialize(Key(first));
            return key.map(Some).map_err(|fault| fault.at(&first.key_span));
        }
        Ok(None)
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, Fault> {
        let entry = self.value.take().ok_or_else(|| Fault::custom("a value without its name"))?;
        let reader = self.reader.of(&entry.value);
        reader.place(seed.deserialize(reader))
    }
}

/// The name of a field, which has a place too.
struct Key<'n>(&'n Entry);

impl<'de> de::Deserializer<'de> for Key<'_> {
    type Error = Fault;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_str(&self.0.key)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        let value = Value::Text(self.0.key.clone());
        let node = Node { value, span: self.0.key_span.clone() };
        let reader = Reader { node: &node, unknown: &RefCell::default() };
        visitor.visit_map(Place { reader, step: 0 })
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option
        unit unit_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

/// A value with its place, as [`at::At`] asks for it.
struct Place<'n> {
    reader: Reader<'n>,
    step: usize,
}

impl<'de> MapAccess<'de> for Place<'_> {
    type Error = Fault;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Fault> {
        let Some(name) = at::FIELDS.get(self.step) else { return Ok(None) };
        seed.deserialize(de::value::BorrowedStrDeserializer::new(name)).map(Some)
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, Fault> {
        self.step += 1;
        let number = |at: usize| -> U64Deserializer<Fault> { (at as u64).into_deserializer() };
        match self.step {
            1 => seed.deserialize(number(self.reader.node.span.start)),
            2 => seed.deserialize(number(self.reader.node.span.end)),
            _ => self.reader.place(seed.deserialize(self.reader)),
        }
    }
}

/// A variant of an enum: its name, or a table with its name and value.
struct Variant<'n> {
    reader: Reader<'n>,
    name: &'n str,
    value: Option<&'n Node>,
}

impl<'de, 'n> EnumAccess<'de> for Variant<'n> {
    type Error = Fault;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), Fault> {
        let name: de::value::StrDeserializer<'_, Fault> = self.name.into_deserializer();
        Ok((seed.deserialize(name)?, self))
    }
}

impl<'de> VariantAccess<'de> for Variant<'_> {
    type Error = Fault;

    fn unit_variant(self) -> Result<(), Fault> {
        match self.value {
            None => Ok(()),
            Some(value) => Err(Fault::custom("this takes no value").at(&value.span)),
        }
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Fault> {
        match self.value {
            Some(value) => seed.deserialize(self.reader.of(value)),
            None => Err(Fault::custom(format!("`{}` wants a value", self.name))),
        }
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Fault> {
        match self.value {
            Some(value) => de::Deserializer::deserialize_any(self.reader.of(value), visitor),
            None => Err(Fault::custom(format!("`{}` wants a list", self.name))),
        }
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        match self.value {
            Some(value) => {
                de::Deserializer::deserialize_struct(self.reader.of(value), "", fields, visitor)
            }
            None => Err(Fault::custom(format!("`{}` wants a table", self.name))),
        }
    }
}

// === impl Fault ===

impl Fault {
    fn at(mut self, span: &Range<usize>) -> Self {
        self.span.get_or_insert_with(|| span.clone());
        self
    }

    fn expected(found: &str, expected: &dyn Expected) -> Self {
        let expected = expected.to_string();
        let expected = match expected.as_str() {
            "a string" => "text",
            "a boolean" => "true or false",
            "a sequence" => "a list",
            "a map" => "a table",
            "f32" | "f64" => "a number",
            number if number.starts_with(['u', 'i']) && number.len() < 6 => "a whole number",
            table if table.starts_with("struct ") => "a table",
            other => other,
        };
        Self::custom(format!("{expected} is expected here, not {found}"))
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Fault {}

impl de::Error for Fault {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self { message: message.to_string(), span: None, help: None, missing: false }
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        let found = match found {
            Unexpected::Bool(_) => "true or false".to_owned(),
            Unexpected::Unsigned(number) => format!("the number {number}"),
            Unexpected::Signed(number) => format!("the number {number}"),
            Unexpected::Float(number) => format!("the number {number}"),
            Unexpected::Str(_) => "text".to_owned(),
            Unexpected::Seq => "a list".to_owned(),
            Unexpected::Map => "a table".to_owned(),
            Unexpected::Unit => "nothing".to_owned(),
            other => other.to_string(),
        };
        Self::expected(&found, expected)
    }

    fn invalid_value(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        match (found, expected.to_string().as_str()) {
            (Unexpected::Signed(number), "u8" | "u16" | "u32" | "u64" | "usize") => {
                Self::custom(format!("{number} is too small or too large here"))
            }
            _ => Self::expected(&found.to_string(), expected),
        }
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        let mut fault = Self::custom(format!("`{variant}` is not known here"));
        fault.help = Some(suggestion(variant, expected));
        fault
    }

    fn missing_field(field: &'static str) -> Self {
        let mut fault = Self::custom(format!("`{field}` is missing"));
        fault.help = Some(format!("add `{field}` here"));
        fault.missing = true;
        fault
    }
}
