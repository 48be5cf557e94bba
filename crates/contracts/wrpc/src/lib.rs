//! The wRPC contract, `0.0.1` (<https://github.com/bytecodealliance/wrpc>, `SPEC.md`, v0.0.1-draft.1):
//! how a call of a component's function is written down.
//!
//! [`encode()`] and [`Decoder`] are the component model's binary form of values (`Binary.md`, "Value
//! Definitions") with what wRPC adds to it: resources as bytes that mean something to their owner
//! only, and streams and futures, which are either there or *later*. What is later is marked in the
//! value and then written, as it comes, to a channel of its own, which is named by the [`Path`] to its
//! place in the value ([`Later`]).
//!
//! Records and tuples, maps and lists of pairs are the same on the wire, and names of fields and
//! cases are not on it: a [`Type`] has their order only.
//!
//! This crate does no I/O. It reads what strangers send: every length is checked against what is
//! allowed before anything is kept for it, and types, which decide how deep values are, have a bound.

mod carries;
mod decode;
mod encode;
mod integer;
mod path;
mod subject;
mod types;
mod value;

pub use self::{
    carries::{Reason, Why},
    decode::{DecodeError, Decoder, Limits},
    encode::{EncodeError, encode, encode_chunk, encode_ready},
    path::{Path, PathError},
    subject::{Function, PROTOCOL},
    types::{Signature, Type, TypeError, Types},
    value::{Later, Value},
};
