//! What the part in JavaScript cannot do itself.

use std::cell::RefCell;
use std::time::Instant;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use rquickjs::{Ctx, Exception, Function, Object, Result, TypedArray};

/// Base64 with or without the padding at its end, as `atob` takes it.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

thread_local! {
    /// The response's JSON, or why there is none.
    static OUTCOME: RefCell<Option<std::result::Result<String, String>>> = const { RefCell::new(None) };
    static STARTED: Instant = Instant::now();
}

/// The outcome of the request, once it has one.
pub(crate) fn outcome() -> Option<std::result::Result<String, String>> {
    OUTCOME.take()
}

/// Milliseconds of a clock that never goes back.
pub(crate) fn monotonic() -> f64 {
    STARTED.with(|started| started.elapsed().as_secs_f64() * 1000.0)
}

/// The object `host` of the part in JavaScript.
pub(crate) fn object<'js>(ctx: &Ctx<'js>) -> Result<Object<'js>> {
    let object = Object::new(ctx.clone())?;
    let set = |name: &str, function: Result<Function<'js>>| object.set(name, function?);
    let own = || ctx.clone();
    set("log", Function::new(own(), |text: String| eprintln!("{text}")))?;
    set("encode", Function::new(own(), encode))?;
    set("decode", Function::new(own(), decode))?;
    set("toBase64", Function::new(own(), |bytes: TypedArray<'_, u8>| encode_base64(&bytes)))?;
    set("fromBase64", Function::new(own(), decode_base64))?;
    set("random", Function::new(own(), random))?;
    set("now", Function::new(own(), monotonic))?;
    set("monotonic", Function::new(own(), monotonic))?;
    set("done", Function::new(own(), |response: String| OUTCOME.set(Some(Ok(response)))))?;
    set("failed", Function::new(own(), |message: String| OUTCOME.set(Some(Err(message)))))?;
    #[cfg(feature = "fetch")]
    set("fetch", Function::new(own(), crate::fetch::fetch))?;
    Ok(object)
}

fn encode(ctx: Ctx<'_>, text: String) -> Result<TypedArray<'_, u8>> {
    TypedArray::new(ctx, text.into_bytes())
}

fn decode<'js>(ctx: Ctx<'js>, bytes: TypedArray<'js, u8>, fatal: bool) -> Result<String> {
    let bytes = copied(&bytes);
    match std::str::from_utf8(&bytes) {
        Ok(text) => Ok(text.to_owned()),
        Err(_) if fatal => Err(Exception::throw_type(&ctx, "these bytes are not UTF-8")),
        Err(_) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
    }
}

fn encode_base64(bytes: &TypedArray<'_, u8>) -> String {
    BASE64.encode(copied(bytes))
}

/// The bytes of an array; none if its buffer was given away.
pub(crate) fn copied(bytes: &TypedArray<'_, u8>) -> Vec<u8> {
    // SAFETY: no script runs while the slice is there.
    unsafe { bytes.as_bytes() }.unwrap_or_default().to_vec()
}

fn decode_base64(ctx: Ctx<'_>, text: String) -> Result<Option<TypedArray<'_, u8>>> {
    BASE64.decode(text).ok().map(|bytes| TypedArray::new(ctx, bytes)).transpose()
}

fn random(ctx: Ctx<'_>, length: usize) -> Result<TypedArray<'_, u8>> {
    let mut bytes = vec![0; length];
    match getrandom::fill(&mut bytes) {
        Ok(()) => TypedArray::new(ctx, bytes),
        Err(_) => Err(Exception::throw_internal(&ctx, "the host gives no random numbers")),
    }
}
