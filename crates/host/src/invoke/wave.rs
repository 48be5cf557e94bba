//! Values as text: WAVE in, WAVE out, and types as WIT writes them.

use std::{fmt::Write as _, ops::Range, str::FromStr};

use wasm_wave::{
    ast::{Node, NodeType},
    lex::Keyword,
    parser::ParserError,
    untyped::UntypedValue,
    value::Value,
    wasm::WasmValue as _,
};
use wasmtime::component::{Type, Val, types::Tuple};

/// Why a text is no value of a type.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Mismatch {
    /// Where, in the text.
    pub(super) span: Range<usize>,
    pub(super) reason: String,
}

/// Reads a value of the given type.
pub(super) fn read(text: &str, ty: &Type) -> Result<Val, Mismatch> {
    let value = UntypedValue::parse(text).map_err(|error| Mismatch {
        // The end of the text is no place to point at.
        span: if error.span().is_empty() { 0..text.len() } else { error.span() },
        reason: format!("expected {}, found what is not WAVE: {}", name(ty), error.kind()),
    })?;
    typed(value.node(), ty, text)
}

fn typed(node: &Node, ty: &Type, text: &str) -> Result<Val, Mismatch> {
    let wrong = |_: ParserError| expected(node, ty, text);
    Ok(match ty {
        Type::Bool => Val::Bool(node.as_bool().map_err(wrong)?),
        Type::S8 => Val::S8(number(node, ty, text)?),
        Type::U8 => Val::U8(number(node, ty, text)?),
        Type::S16 => Val::S16(number(node, ty, text)?),
        Type::U16 => Val::U16(number(node, ty, text)?),
        Type::S32 => Val::S32(number(node, ty, text)?),
        Type::U32 => Val::U32(number(node, ty, text)?),
        Type::S64 => Val::S64(number(node, ty, text)?),
        Type::U64 => Val::U64(number(node, ty, text)?),
        Type::Float32 => Val::Float32(number(node, ty, text)?),
        Type::Float64 => Val::Float64(number(node, ty, text)?),
        Type::Char => Val::Char(node.as_char(text).map_err(wrong)?),
        Type::String => Val::String(node.as_str(text).map_err(wrong)?.into_owned()),
        Type::List(list) => {
            let element = list.ty();
            let elements = node.as_list().map_err(wrong)?;
            Val::List(elements.map(|node| typed(node, &element, text)).collect::<Result<_, _>>()?)
        }
        Type::FixedLengthList(list) => {
            let element = list.ty();
            let elements = node.as_list().map_err(wrong)?;
            if elements.len() != list.len() as usize {
                let found = format!("a list of {}", elements.len());
                return Err(mismatch(node, format!("expected {}, found {found}", name(ty))));
            }
            let elements = elements.map(|node| typed(node, &element, text));
            Val::FixedLengthList(elements.collect::<Result<_, _>>()?)
        }
        Type::Tuple(tuple) => Val::Tuple(
            elements(node, tuple, text)
                .map_err(|inner| inner.unwrap_or_else(|| expected(node, ty, text)))?,
        ),
        Type::Record(record) => {
            let given: Vec<_> = node.as_record(text).map_err(wrong)?.collect();
            if let Some((unknown, node)) =
                given.iter().find(|(name, _)| record.fields().all(|field| field.name != *name))
            {
                let fields: Vec<_> = record.fields().map(|field| field.name).collect();
                let fields = fields.join(", ");
                return Err(mismatch(node, format!("no field `{unknown}`; there are {fields}")));
            }
            let fields = record.fields().map(|field| {
                let value = match given.iter().find(|(name, _)| *name == field.name) {
                    Some((_, node)) => typed(node, &field.ty, text)?,
                    None if matches!(field.ty, Type::Option(_)) => Val::Option(None),
                    None => return Err(mismatch(node, format!("no field `{}`", field.name))),
                };
                Ok((field.name.to_owned(), value))
            });
            Val::Record(fields.collect::<Result<_, _>>()?)
        }
        Type::Variant(variant) => {
            let (label, payload) = case(node, text).ok_or_else(|| expected(node, ty, text))?;
            let Some(case) = variant.cases().find(|case| case.name == label) else {
                let cases: Vec<_> = variant.cases().map(|case| case.name).collect();
                let cases = cases.join(", ");
                return Err(mismatch(node, format!("no case `{label}`; there are {cases}")));
            };
            let payload = optional(node, payload, case.ty.as_ref(), text)?;
            Val::Variant(label.to_owned(), payload)
        }
        Type::Enum(cases) => {
            let label = match case(node, text) {
                Some((label, None)) => label,
                _ => return Err(expected(node, ty, text)),
            };
            if !cases.names().any(|name| name == label) {
                let cases: Vec<_> = cases.names().collect();
                let cases = cases.join(", ");
                return Err(mismatch(node, format!("no case `{label}`; there are {cases}")));
            }
            Val::Enum(label.to_owned())
        }
        Type::Option(option) => {
            let inner = option.ty();
            match node.ty() {
                NodeType::OptionNone => Val::Option(None),
                NodeType::OptionSome => {
                    let payload = node.as_option().map_err(wrong)?;
                    Val::Option(optional(node, payload, Some(&inner), text)?)
                }
                _ if flattens(&inner) => Val::Option(Some(Box::new(typed(node, &inner, text)?))),
                _ => return Err(expected(node, ty, text)),
            }
        }
        Type::Result(result) => match (node.as_result(), result.ok()) {
            (Ok(Ok(payload)), ok) => Val::Result(Ok(optional(node, payload, ok.as_ref(), text)?)),
            (Ok(Err(payload)), _) => {
                Val::Result(Err(optional(node, payload, result.err().as_ref(), text)?))
            }
            (Err(_), Some(ok)) if flattens(&ok) => {
                Val::Result(Ok(Some(Box::new(typed(node, &ok, text)?))))
            }
            (Err(error), _) => return Err(wrong(error)),
        },
        Type::Flags(flags) => {
            let given: Vec<_> = node.as_flags(text).map_err(wrong)?.map(unescaped).collect();
            if let Some(unknown) =
                given.iter().find(|flag| flags.names().all(|name| name != **flag))
            {
                let flags: Vec<_> = flags.names().collect();
                let flags = flags.join(", ");
                return Err(mismatch(node, format!("no flag `{unknown}`; there are {flags}")));
            }
            Val::Flags(given.into_iter().map(str::to_owned).collect())
        }
        Type::Stream(_) => {
            let reason = "a stream cannot be written out; write @path, @- for standard input or \
                          @https://…";
            return Err(mismatch(node, reason.to_owned()));
        }
        Type::Map(_) | Type::Own(_) | Type::Borrow(_) | Type::Future(_) | Type::ErrorContext => {
            return Err(mismatch(node, format!("{} cannot be written out", name(ty))));
        }
    })
}

fn elements(node: &Node, tuple: &Tuple, text: &str) -> Result<Vec<Val>, Option<Mismatch>> {
    let given = node.as_tuple().map_err(|_| None)?;
    if given.len() != tuple.types().len() {
        return Err(None);
    }
    let values = given.zip(tuple.types()).map(|(node, ty)| typed(node, &ty, text));
    values.collect::<Result<_, _>>().map_err(Some)
}

fn number<T: FromStr>(node: &Node, ty: &Type, text: &str) -> Result<T, Mismatch> {
    node.as_number(text).map_err(|_| match node.ty() {
        NodeType::Number => {
            mismatch(node, format!("{} is not a number of type {}", &text[node.span()], name(ty)))
        }
        _ => expected(node, ty, text),
    })
}

/// A case's label and payload. A case whose name is a keyword of WAVE may be written with or without
/// its `%`.
fn case<'n, 't>(node: &'n Node, text: &'t str) -> Option<(&'t str, Option<&'n Node>)> {
    match node.ty() {
        NodeType::Label | NodeType::VariantWithPayload => node.as_variant(text).ok(),
        NodeType::BoolTrue | NodeType::BoolFalse | NodeType::OptionNone => {
            Some((&text[node.span()], None))
        }
        NodeType::OptionSome => Some(("some", node.as_option().ok()?)),
        NodeType::ResultOk => Some(("ok", node.as_result().ok()?.ok()?)),
        NodeType::ResultErr => Some(("err", node.as_result().ok()?.err()?)),
        _ => None,
    }
}

fn optional(
    node: &Node,
    payload: Option<&Node>,
    ty: Option<&Type>,
    text: &str,
) -> Result<Option<Box<Val>>, Mismatch> {
    match (payload, ty) {
        (Some(payload), Some(ty)) => Ok(Some(Box::new(typed(payload, ty, text)?))),
        (None, None) => Ok(None),
        (Some(payload), None) => Err(mismatch(payload, "this case has no value".to_owned())),
        (None, Some(ty)) => Err(mismatch(node, format!("this case has a value, {}", name(ty)))),
    }
}

/// Whether `some(…)` and `ok(…)` may be left out around a value of this type.
fn flattens(ty: &Type) -> bool {
    !matches!(ty, Type::Option(_) | Type::Result(_))
}

fn unescaped(label: &str) -> &str {
    label.strip_prefix('%').unwrap_or(label)
}

fn mismatch(node: &Node, reason: String) -> Mismatch {
    Mismatch { span: node.span(), reason }
}

fn expected(node: &Node, ty: &Type, text: &str) -> Mismatch {
    let found = match node.ty() {
        NodeType::BoolTrue | NodeType::BoolFalse => "a bool",
        NodeType::Number => "a number",
        NodeType::Char => "a char",
        NodeType::String | NodeType::MultilineString => "a string",
        NodeType::Tuple => "a tuple",
        NodeType::List => "a list",
        NodeType::Record => "a record",
        NodeType::Flags => "flags",
        NodeType::Label | NodeType::VariantWithPayload => "a case",
        NodeType::OptionSome | NodeType::OptionNone => "an option",
        NodeType::ResultOk | NodeType::ResultErr => "a result",
    };
    let hint = match (ty, node.ty()) {
        (Type::String, NodeType::Label) => format!("; write \"{}\"", &text[node.span()]),
        _ => String::new(),
    };
    mismatch(node, format!("expected {}, found {found}{hint}", name(ty)))
}

/// Whether values of this type have a text.
pub(super) fn has_text(ty: &Type) -> bool {
    match ty {
        Type::List(list) => has_text(&list.ty()),
        Type::FixedLengthList(list) => has_text(&list.ty()),
        Type::Option(option) => has_text(&option.ty()),
        Type::Tuple(tuple) => tuple.types().all(|ty| has_text(&ty)),
        Type::Record(record) => record.fields().all(|field| has_text(&field.ty)),
        Type::Variant(variant) => variant.cases().all(|case| case.ty.as_ref().is_none_or(has_text)),
        Type::Result(result) => {
            result.ok().as_ref().is_none_or(has_text) && result.err().as_ref().is_none_or(has_text)
        }
        Type::Map(_)
        | Type::Own(_)
        | Type::Borrow(_)
        | Type::Future(_)
        | Type::Stream(_)
        | Type::ErrorContext => false,
        _ => true,
    }
}

/// Writes a value. What has no text in WAVE is named by its kind.
pub(super) fn write(value: &Val) -> String {
    let mut text = String::new();
    put(&mut text, value);
    text
}

fn put(text: &mut String, value: &Val) {
    match value {
        Val::Bool(value) => put_display(text, value),
        Val::S8(value) => put_display(text, value),
        Val::U8(value) => put_display(text, value),
        Val::S16(value) => put_display(text, value),
        Val::U16(value) => put_display(text, value),
        Val::S32(value) => put_display(text, value),
        Val::U32(value) => put_display(text, value),
        Val::S64(value) => put_display(text, value),
        Val::U64(value) => put_display(text, value),
        Val::Float32(value) => put_leaf(text, &Value::make_f32(*value)),
        Val::Float64(value) => put_leaf(text, &Value::make_f64(*value)),
        Val::Char(value) => put_leaf(text, &Value::make_char(*value)),
        Val::String(value) => put_leaf(text, &Value::make_string(value.into())),
        Val::List(values) | Val::FixedLengthList(values) => put_all(text, '[', values, ']'),
        Val::Tuple(values) => put_all(text, '(', values, ')'),
        Val::Record(fields) => {
            text.push('{');
            let written = fields.iter().filter(|(_, value)| !matches!(value, Val::Option(None)));
            for (index, (name, value)) in written.clone().enumerate() {
                text.push_str(if index == 0 { "" } else { ", " });
                text.push_str(name);
                text.push_str(": ");
                put(text, value);
            }
            // Without this it would be flags.
            text.push_str(if written.count() == 0 { ":}" } else { "}" });
        }
        Val::Variant(label, payload) => {
            put_label(text, label);
            put_payload(text, payload.as_deref());
        }
        Val::Enum(label) => put_label(text, label),
        Val::Option(None) => text.push_str("none"),
        Val::Option(Some(value)) => {
            text.push_str("some");
            put_payload(text, Some(value));
        }
        Val::Result(Ok(payload)) => {
            text.push_str("ok");
            put_payload(text, payload.as_deref());
        }
        Val::Result(Err(payload)) => {
            text.push_str("err");
            put_payload(text, payload.as_deref());
        }
        Val::Flags(flags) => {
            text.push('{');
            text.push_str(&flags.join(", "));
            text.push('}');
        }
        Val::Map(_) => text.push_str("<map>"),
        Val::Resource(_) => text.push_str("<resource>"),
        Val::Future(_) => text.push_str("<future>"),
        Val::Stream(_) => text.push_str("<stream>"),
        Val::ErrorContext(_) => text.push_str("<error-context>"),
    }
}

fn put_all(text: &mut String, open: char, values: &[Val], close: char) {
    text.push(open);
    for (index, value) in values.iter().enumerate() {
        text.push_str(if index == 0 { "" } else { ", " });
        put(text, value);
    }
    text.push(close);
}

fn put_payload(text: &mut String, payload: Option<&Val>) {
    if let Some(payload) = payload {
        text.push('(');
        put(text, payload);
        text.push(')');
    }
}

fn put_label(text: &mut String, label: &str) {
    if Keyword::decode(label).is_some() {
        text.push('%');
    }
    text.push_str(label);
}

fn put_display(text: &mut String, value: impl std::fmt::Display) {
    // Writing to a string does not fail.
    let _ = write!(text, "{value}");
}

fn put_leaf(text: &mut String, value: &Value) {
    text.push_str(&wasm_wave::to_string(value).unwrap_or_default());
}

/// A type as WIT writes it. Names that a type had there are not in the binary: records, variants,
/// enums and flags are written out.
pub(super) fn name(ty: &Type) -> String {
    let or_none = |ty: Option<Type>| ty.as_ref().map_or_else(|| "_".to_owned(), name);
    match ty {
        Type::Bool => "bool".to_owned(),
        Type::S8 => "s8".to_owned(),
        Type::U8 => "u8".to_owned(),
        Type::S16 => "s16".to_owned(),
        Type::U16 => "u16".to_owned(),
        Type::S32 => "s32".to_owned(),
        Type::U32 => "u32".to_owned(),
        Type::S64 => "s64".to_owned(),
        Type::U64 => "u64".to_owned(),
        Type::Float32 => "f32".to_owned(),
        Type::Float64 => "f64".to_owned(),
        Type::Char => "char".to_owned(),
        Type::String => "string".to_owned(),
        Type::List(list) => format!("list<{}>", name(&list.ty())),
        Type::FixedLengthList(list) => format!("list<{}, {}>", name(&list.ty()), list.len()),
        Type::Map(map) => format!("map<{}, {}>", name(&map.key()), name(&map.value())),
        Type::Tuple(tuple) => {
            format!("tuple<{}>", tuple.types().map(|ty| name(&ty)).collect::<Vec<_>>().join(", "))
        }
        Type::Record(record) => {
            let fields =
                record.fields().map(|field| format!("{}: {}", field.name, name(&field.ty)));
            format!("record {{ {} }}", fields.collect::<Vec<_>>().join(", "))
        }
        Type::Variant(variant) => {
            let cases = variant.cases().map(|case| match &case.ty {
                Some(ty) => format!("{}({})", case.name, name(ty)),
                None => case.name.to_owned(),
            });
            format!("variant {{ {} }}", cases.collect::<Vec<_>>().join(", "))
        }
        Type::Enum(cases) => {
            format!("enum {{ {} }}", cases.names().collect::<Vec<_>>().join(", "))
        }
        Type::Flags(flags) => {
            format!("flags {{ {} }}", flags.names().collect::<Vec<_>>().join(", "))
        }
        Type::Option(option) => format!("option<{}>", name(&option.ty())),
        Type::Result(result) => match (result.ok(), result.err()) {
            (None, None) => "result".to_owned(),
            (Some(ok), None) => format!("result<{}>", name(&ok)),
            (ok, Some(err)) => format!("result<{}, {}>", or_none(ok), name(&err)),
        },
        Type::Own(_) => "resource".to_owned(),
        Type::Borrow(_) => "borrow<resource>".to_owned(),
        Type::Future(future) => match future.ty() {
            Some(ty) => format!("future<{}>", name(&ty)),
            None => "future".to_owned(),
        },
        Type::Stream(stream) => match stream.ty() {
            Some(ty) => format!("stream<{}>", name(&ty)),
            None => "stream".to_owned(),
        },
        Type::ErrorContext => "error-context".to_owned(),
    }
}

#[cfg(test)]
mod tests;
