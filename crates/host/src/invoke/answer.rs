//! What a component's function returns.
//!
//! Wasmtime hands over a value of any type as a tree, in which a byte takes some thirty. Bytes in one
//! piece, which images and documents are, go through typed calls instead, for the signatures that
//! are met.

use reef_wasi::ComponentGuest;
use wasmtime::{
    Store,
    component::{ComponentNamedList, Func, Lift, Lower, StreamAny, StreamReader, Type, Val},
};

use super::wave;

/// What a function returned.
pub(super) enum Answer {
    /// No result.
    Nothing,
    /// Bytes by themselves.
    Bytes(Vec<u8>),
    /// Bytes as the value of a result.
    OkBytes(Vec<u8>),
    /// Bytes to come, by themselves or as the value of a result.
    Stream(StreamReader<u8>),
    /// An error of the function's own: the whole value.
    Failed(Val),
    /// Anything else.
    Value(Val),
}

/// The only argument of a call, if there is one.
pub(super) enum Single {
    Nothing,
    Bytes(Vec<u8>),
    Text(String),
    Stream(StreamReader<u8>),
    Value(Val),
}

pub(super) fn is_bytes(ty: &Type) -> bool {
    matches!(ty, Type::List(list) if list.ty() == Type::U8)
}

pub(super) fn is_byte_stream(ty: &Type) -> bool {
    matches!(ty, Type::Stream(stream) if stream.ty() == Some(Type::U8))
}

/// Whether a result of this type can be written somewhere.
pub(super) fn can_be_taken(ty: &Type) -> bool {
    match ty {
        Type::Result(result) => {
            result.ok().is_none_or(|ok| is_byte_stream(&ok) || wave::has_text(&ok))
                && result.err().as_ref().is_none_or(wave::has_text)
        }
        other => is_byte_stream(other) || wave::has_text(other),
    }
}

/// Whether [`call`] can hand over a list of bytes in one piece to a function with this result.
pub(super) fn is_fast(result: Option<&Type>) -> bool {
    Fast::of(result).is_some()
}

/// Results that typed calls are made for.
#[derive(Clone, Copy)]
enum Fast {
    Nothing,
    Bytes,
    Stream,
    Text,
    Bool,
    U32,
    S32,
    U64,
    S64,
    F64,
    BytesOrText,
    StreamOrText,
    TextOrText,
}

impl Fast {
    fn of(result: Option<&Type>) -> Option<Self> {
        Some(match result {
            None => Self::Nothing,
            Some(ty) if is_bytes(ty) => Self::Bytes,
            Some(ty) if is_byte_stream(ty) => Self::Stream,
            Some(Type::String) => Self::Text,
            Some(Type::Bool) => Self::Bool,
            Some(Type::U32) => Self::U32,
            Some(Type::S32) => Self::S32,
            Some(Type::U64) => Self::U64,
            Some(Type::S64) => Self::S64,
            Some(Type::Float64) => Self::F64,
            Some(Type::Result(result)) if result.err() == Some(Type::String) => {
                match result.ok()? {
                    ok if is_bytes(&ok) => Self::BytesOrText,
                    ok if is_byte_stream(&ok) => Self::StreamOrText,
                    Type::String => Self::TextOrText,
                    _ => return None,
                }
            }
            Some(_) => return None,
        })
    }
}

/// Calls a function that has one parameter or none.
pub(super) async fn call(
    function: Func,
    store: &mut Store<ComponentGuest>,
    single: Single,
    result: Option<&Type>,
) -> wasmtime::Result<Answer> {
    let fast = Fast::of(result);
    // What only one side of the call is in one piece for is made for the results that are large.
    match (single, fast) {
        (Single::Bytes(bytes), Some(fast)) => {
            let params = (bytes,);
            match fast {
                Fast::Nothing => typed::<_, ()>(function, store, params).await,
                Fast::Bytes => typed::<_, (Vec<u8>,)>(function, store, params).await,
                Fast::Stream => typed::<_, (StreamReader<u8>,)>(function, store, params).await,
                Fast::Text => typed::<_, (String,)>(function, store, params).await,
                Fast::Bool => typed::<_, (bool,)>(function, store, params).await,
                Fast::U32 => typed::<_, (u32,)>(function, store, params).await,
                Fast::S32 => typed::<_, (i32,)>(function, store, params).await,
                Fast::U64 => typed::<_, (u64,)>(function, store, params).await,
                Fast::S64 => typed::<_, (i64,)>(function, store, params).await,
                Fast::F64 => typed::<_, (f64,)>(function, store, params).await,
                Fast::BytesOrText => {
                    typed::<_, (Result<Vec<u8>, String>,)>(function, store, params).await
                }
                Fast::StreamOrText => {
                    typed::<_, (Result<StreamReader<u8>, String>,)>(function, store, params).await
                }
                Fast::TextOrText => {
                    typed::<_, (Result<String, String>,)>(function, store, params).await
                }
            }
        }
        (Single::Nothing, Some(Fast::Bytes)) => typed::<_, (Vec<u8>,)>(function, store, ()).await,
        (Single::Nothing, Some(Fast::BytesOrText)) => {
            typed::<_, (Result<Vec<u8>, String>,)>(function, store, ()).await
        }
        (Single::Text(text), Some(Fast::Bytes)) => {
            typed::<_, (Vec<u8>,)>(function, store, (text,)).await
        }
        (Single::Text(text), Some(Fast::BytesOrText)) => {
            typed::<_, (Result<Vec<u8>, String>,)>(function, store, (text,)).await
        }
        (Single::Stream(stream), Some(Fast::Bytes)) => {
            typed::<_, (Vec<u8>,)>(function, store, (stream,)).await
        }
        (Single::Stream(stream), Some(Fast::BytesOrText)) => {
            typed::<_, (Result<Vec<u8>, String>,)>(function, store, (stream,)).await
        }
        (single, _) => {
            let params = match single {
                Single::Nothing => vec![],
                Single::Bytes(bytes) => {
                    vec![Val::List(bytes.into_iter().map(Val::U8).collect())]
                }
                Single::Text(text) => vec![Val::String(text)],
                Single::Stream(stream) => {
                    vec![Val::Stream(StreamAny::try_from_stream_reader(&mut *store, stream)?)]
                }
                Single::Value(value) => vec![value],
            };
            call_by_value(function, store, &params, result).await
        }
    }
}

async fn typed<P, R>(
    function: Func,
    store: &mut Store<ComponentGuest>,
    params: P,
) -> wasmtime::Result<Answer>
where
    P: ComponentNamedList + Lower + Send + Sync + 'static,
    R: ComponentNamedList + Lift + Send + Sync + 'static + Into<Answer>,
{
    let function = function.typed::<P, R>(&*store)?;
    function.call_async(store, params).await.map(Into::into)
}

/// Calls any function.
pub(super) async fn call_by_value(
    function: Func,
    store: &mut Store<ComponentGuest>,
    params: &[Val],
    result: Option<&Type>,
) -> wasmtime::Result<Answer> {
    let mut results = vec![Val::Bool(false); usize::from(result.is_some())];
    function.call_async(store, params, &mut results).await?;
    let (Some(ty), Some(value)) = (result, results.pop()) else { return Ok(Answer::Nothing) };
    let ok_is_bytes =
        matches!(ty, Type::Result(result) if result.ok().as_ref().is_some_and(is_bytes));
    match value {
        Val::Stream(stream) => Ok(Answer::Stream(stream.try_into_stream_reader()?)),
        Val::List(values) if is_bytes(ty) => Ok(Answer::Bytes(bytes(values))),
        Val::Result(Err(_)) => Ok(Answer::Failed(value)),
        Val::Result(Ok(Some(ok))) => match *ok {
            Val::Stream(stream) => Ok(Answer::Stream(stream.try_into_stream_reader()?)),
            Val::List(values) if ok_is_bytes => Ok(Answer::OkBytes(bytes(values))),
            other => Ok(Answer::Value(Val::Result(Ok(Some(Box::new(other)))))),
        },
        other => Ok(Answer::Value(other)),
    }
}

fn bytes(values: Vec<Val>) -> Vec<u8> {
    let byte = |value| match value {
        Val::U8(byte) => Some(byte),
        _ => None,
    };
    values.into_iter().filter_map(byte).collect()
}

// === impl Answer ===

impl Answer {
    /// The text of an answer that has one, as WAVE writes it.
    pub(super) fn text(&self) -> Option<String> {
        match self {
            Self::Nothing | Self::Stream(_) => None,
            Self::Bytes(bytes) => Some(list(bytes)),
            Self::OkBytes(bytes) => Some(format!("ok({})", list(bytes))),
            Self::Failed(value) | Self::Value(value) => Some(wave::write(value)),
        }
    }
}

fn list(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 + 5 * bytes.len());
    text.push('[');
    for (index, byte) in bytes.iter().enumerate() {
        text.push_str(if index == 0 { "" } else { ", " });
        text.push_str(&byte.to_string());
    }
    text.push(']');
    text
}

fn failed(error: String) -> Answer {
    Answer::Failed(Val::Result(Err(Some(Box::new(Val::String(error))))))
}

impl From<()> for Answer {
    fn from((): ()) -> Self {
        Self::Nothing
    }
}

impl From<(Vec<u8>,)> for Answer {
    fn from((bytes,): (Vec<u8>,)) -> Self {
        Self::Bytes(bytes)
    }
}

impl From<(StreamReader<u8>,)> for Answer {
    fn from((stream,): (StreamReader<u8>,)) -> Self {
        Self::Stream(stream)
    }
}

impl From<(Result<Vec<u8>, String>,)> for Answer {
    fn from((result,): (Result<Vec<u8>, String>,)) -> Self {
        result.map_or_else(failed, Self::OkBytes)
    }
}

impl From<(Result<StreamReader<u8>, String>,)> for Answer {
    fn from((result,): (Result<StreamReader<u8>, String>,)) -> Self {
        result.map_or_else(failed, Self::Stream)
    }
}

impl From<(Result<String, String>,)> for Answer {
    fn from((result,): (Result<String, String>,)) -> Self {
        let ok = |text| Self::Value(Val::Result(Ok(Some(Box::new(Val::String(text))))));
        result.map_or_else(failed, ok)
    }
}

macro_rules! value {
    ($($ty:ty => $case:ident),+) => {$(
        impl From<($ty,)> for Answer {
            fn from((value,): ($ty,)) -> Self {
                Self::Value(Val::$case(value))
            }
        }
    )+};
}

value!(String => String, bool => Bool, u32 => U32, i32 => S32, u64 => U64, i64 => S64, f64 => Float64);
