//! What goes beside the bodies of messages.
//!
//! | header | on | says |
//! |---|---|---|
//! | `reef-window` | a call, a server's first message | it is one of ours, and has room for so many bytes of each channel |
//! | `reef-timeout` | a call | how many milliseconds are left for it |
//! | `reef-error` | the end of a channel | why: a [`Kind`], a blank, words |
//! | `reef-at` | later messages of a channel | how many bytes went before |
//! | `traceparent`, `tracestate` | a call | its trace (W3C Trace Context) |

use std::time::Duration;

use reef_bus::Message;

use crate::{Kind, Refusal};

pub(crate) const WINDOW: &str = "reef-window";
pub(crate) const TIMEOUT: &str = "reef-timeout";
pub(crate) const ERROR: &str = "reef-error";
pub(crate) const AT: &str = "reef-at";
const PARENT: &str = "traceparent";
const STATE: &str = "tracestate";

/// Words of an error that are sent.
const WORDS: usize = 500;

pub(crate) type Headers = Vec<(String, String)>;

/// The trace that a call belongs to (<https://www.w3.org/TR/trace-context/>).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trace {
    /// `traceparent`.
    pub parent: Option<String>,
    /// `tracestate`.
    pub state: Option<String>,
}

pub(crate) fn get<'a>(message: &'a Message, name: &str) -> Option<&'a str> {
    let mut all = message.headers().iter();
    all.find(|(is, _)| is.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
}

pub(crate) fn number(message: &Message, name: &str) -> Option<u64> {
    get(message, name)?.trim().parse().ok()
}

pub(crate) fn timeout(message: &Message) -> Option<Duration> {
    number(message, TIMEOUT).map(Duration::from_millis)
}

pub(crate) fn put(headers: &mut Headers, name: &str, value: impl ToString) {
    headers.push((name.to_owned(), value.to_string()));
}

pub(crate) fn put_trace(headers: &mut Headers, trace: &Trace) {
    for (name, value) in [(PARENT, &trace.parent), (STATE, &trace.state)] {
        // Whatever it is, it is one line.
        if let Some(value) = value.as_deref().filter(|value| !value.contains(char::is_control)) {
            put(headers, name, value);
        }
    }
}

pub(crate) fn trace(message: &Message) -> Trace {
    let value = |name| get(message, name).map(str::to_owned);
    Trace { parent: value(PARENT), state: value(STATE) }
}

/// Why a channel ended, as a header.
pub(crate) fn refusal(refusal: &Refusal) -> Headers {
    let mut words = String::new();
    for letter in refusal.why.chars().take(WORDS) {
        words.push(if letter.is_control() { ' ' } else { letter });
    }
    vec![(ERROR.to_owned(), format!("{} {}", refusal.kind, words.trim()))]
}

/// Why a channel ended, if it says so.
pub(crate) fn refused(message: &Message) -> Option<Refusal> {
    let text = get(message, ERROR)?;
    let (kind, why) = text.split_once(' ').unwrap_or((text, ""));
    let kind = Kind::parse(kind).unwrap_or(Kind::Failed);
    Some(Refusal { kind, why: why.chars().take(WORDS).collect() })
}

/// What they take of a message.
pub(crate) fn size(headers: &Headers) -> usize {
    // `NATS/1.0`, line ends, and `: ` in each line.
    headers.iter().map(|(name, value)| name.len() + value.len() + 4).sum::<usize>() + 12
}
