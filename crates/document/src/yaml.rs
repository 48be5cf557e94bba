//! YAML, and JSON as the part of it that it is.

use std::{
    collections::{HashMap, HashSet},
    ops::Range,
};

use saphyr_parser::{Event, Parser, ScalarStyle, Span, Tag};

use crate::{
    DEEPEST, MOST_VALUES,
    diagnostic::{Diagnostic, Diagnostics, Source},
    node::{Entry, Node, Value},
};

pub(crate) fn parse(source: &Source) -> Result<Node, Diagnostics> {
    Builder::new(source.text()).build().map_err(|error| error.of(source).into())
}

/// Puts the parser's events together.
struct Builder<'t> {
    text: &'t str,
    /// The byte of each character, unless each is one byte.
    bytes: Option<Vec<usize>>,
    /// What is open, the outermost first.
    open: Vec<Open>,
    anchors: HashMap<usize, (Node, usize)>,
    root: Option<Node>,
    left: usize,
}

/// A list or table that has not ended.
struct Open {
    start: usize,
    anchor: usize,
    /// Values that were left when it began.
    left: usize,
    inside: Inside,
}

enum Inside {
    Array(Vec<Node>),
    Table {
        entries: Vec<Entry>,
        /// Their names: a table may have many.
        names: HashSet<String>,
        /// The name whose value comes next.
        key: Option<(String, Range<usize>)>,
    },
}

impl Inside {
    fn table() -> Self {
        Self::Table { entries: Vec::new(), names: HashSet::new(), key: None }
    }
}

impl<'t> Builder<'t> {
    fn new(text: &'t str) -> Self {
        let bytes = (!text.is_ascii())
            .then(|| text.char_indices().map(|(byte, _)| byte).chain([text.len()]).collect());
        let anchors = HashMap::new();
        Self { text, bytes, open: Vec::new(), anchors, root: None, left: MOST_VALUES }
    }

    fn build(mut self) -> Result<Node, Diagnostic> {
        let mut documents = 0;
        for event in Parser::new_from_str(self.text) {
            let (event, span) = event.map_err(|error| {
                let at = self.byte(error.marker().index());
                Diagnostic::error(format!("this is not YAML: {}", error.info())).at(at..at)
            })?;
            let span = self.range(span);
            match event {
                Event::DocumentStart(_) => {
                    documents += 1;
                    if documents > 1 {
                        let error = Diagnostic::error("there is a second document in this file");
                        return Err(error.at(span).help("put each into a file of its own"));
                    }
                }
                Event::Scalar(text, style, anchor, tag) => {
                    let value = scalar(&text, style, tag.as_deref());
                    self.take(1, &span)?;
                    let node = Node { value, span };
                    if anchor > 0 {
                        self.anchors.insert(anchor, (node.clone(), 1));
                    }
                    self.put(node)?;
                }
                Event::SequenceStart(anchor, _) => {
                    self.begin(span, anchor, Inside::Array(Vec::new()))?;
                }
                Event::MappingStart(anchor, _) => {
                    self.begin(span, anchor, Inside::table())?;
                }
                Event::SequenceEnd | Event::MappingEnd => self.end(span.end)?,
                Event::Alias(anchor) => {
                    // Within itself, an anchor is not known yet: nothing contains itself.
                    let Some((node, size)) = self.anchors.get(&anchor) else {
                        return Err(
                            Diagnostic::error("this alias names no anchor before it").at(span)
                        );
                    };
                    let (mut node, size) = (node.clone(), *size);
                    self.take(size, &span)?;
                    node.span = span;
                    self.put(node)?;
                }
                Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => {}
            }
        }
        Ok(self.root.unwrap_or(Node { value: Value::Null, span: 0..0 }))
    }

    fn begin(
        &mut self,
        span: Range<usize>,
        anchor: usize,
        inside: Inside,
    ) -> Result<(), Diagnostic> {
        let left = self.left;
        self.take(1, &span)?;
        if self.open.len() >= DEEPEST {
            let error = Diagnostic::error(format!("values are nested deeper than {DEEPEST}"));
            return Err(error.at(span));
        }
        self.open.push(Open { start: span.start, anchor, left, inside });
        Ok(())
    }

    fn end(&mut self, end: usize) -> Result<(), Diagnostic> {
        let Some(open) = self.open.pop() else { return Ok(()) };
        let value = match open.inside {
            Inside::Array(elements) => Value::Array(elements),
            Inside::Table { entries, .. } => Value::Table(entries),
        };
        // A block ends where the next begins.
        let text = self.text.get(open.start..end).unwrap_or_default();
        let node = Node { value, span: open.start..open.start + text.trim_end().len() };
        if open.anchor > 0 {
            self.anchors.insert(open.anchor, (node.clone(), open.left - self.left));
        }
        self.put(node)
    }

    fn put(&mut self, node: Node) -> Result<(), Diagnostic> {
        match self.open.last_mut().map(|open| &mut open.inside) {
            None => self.root = Some(node),
            Some(Inside::Array(elements)) => elements.push(node),
            Some(Inside::Table { entries, names, key }) => match key.take() {
                Some((name, key_span)) => {
                    if !names.insert(name.clone()) {
                        let error = Diagnostic::error(format!("`{name}` is there twice"));
                        return Err(error.at(key_span).label("again"));
                    }
                    entries.push(Entry { key: name, key_span, value: node });
                }
                None => *key = Some((key_of(&node)?, node.span)),
            },
        }
        Ok(())
    }

    fn take(&mut self, values: usize, span: &Range<usize>) -> Result<(), Diagnostic> {
        match self.left.checked_sub(values) {
            Some(left) => {
                self.left = left;
                Ok(())
            }
            None => Err(Diagnostic::error(format!(
                "this document has more than {MOST_VALUES} values, counting aliases as what they stand for"
            ))
            .at(span.clone())),
        }
    }

    fn byte(&self, character: usize) -> usize {
        match &self.bytes {
            Some(bytes) => bytes.get(character).copied().unwrap_or(self.text.len()),
            None => character.min(self.text.len()),
        }
    }

    fn range(&self, span: Span) -> Range<usize> {
        let start = self.byte(span.start.index());
        // The parser's ends may lie behind the space that follows.
        let text = self.text.get(start..self.byte(span.end.index())).unwrap_or_default();
        start..start + text.trim_end().len()
    }
}

fn key_of(node: &Node) -> Result<String, Diagnostic> {
    Ok(match &node.value {
        Value::Text(text) => text.clone(),
        Value::Integer(number) => number.to_string(),
        Value::Float(number) => number.to_string(),
        Value::Bool(value) => value.to_string(),
        Value::Null | Value::Array(_) | Value::Table(_) => {
            return Err(Diagnostic::error("a name must be text").at(node.span.clone()));
        }
    })
}

/// YAML 1.2, core schema (section 10.3.2).
fn scalar(text: &str, style: ScalarStyle, tag: Option<&Tag>) -> Value {
    let is_text = tag.is_some_and(|tag| tag.suffix == "str" || tag.handle == "!");
    if style != ScalarStyle::Plain || is_text {
        return Value::Text(text.to_owned());
    }
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "true" | "True" | "TRUE" => return Value::Bool(true),
        "false" | "False" | "FALSE" => return Value::Bool(false),
        ".nan" | ".NaN" | ".NAN" => return Value::Float(f64::NAN),
        _ => {}
    }
    let digits = |prefix, radix| {
        text.strip_prefix(prefix).and_then(|digits| i64::from_str_radix(digits, radix).ok())
    };
    if let Some(number) = digits("0x", 16).or_else(|| digits("0o", 8)) {
        return Value::Integer(number);
    }
    let (sign, rest) = match text.as_bytes() {
        [b'-', ..] => (-1.0, &text[1..]),
        [b'+', ..] => (1.0, &text[1..]),
        _ => (1.0, text),
    };
    if matches!(rest, ".inf" | ".Inf" | ".INF") {
        return Value::Float(sign * f64::INFINITY);
    }
    // What Rust takes for a number beyond YAML's: `inf`, `nan`, `infinity`.
    if rest.starts_with(|first: char| first.is_ascii_digit() || first == '.') {
        if let Ok(number) = text.parse() {
            return Value::Integer(number);
        }
        if let Ok(number) = text.parse() {
            return Value::Float(number);
        }
    }
    Value::Text(text.to_owned())
}
