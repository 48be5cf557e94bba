use std::fmt::Write;

use serde_json::Value;
use tracing::{Level, Metadata};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};

/// Names that every JSON line has; a field of such a name is written with `field_` before it.
const OWN_NAMES: [&str; 4] = ["timestamp", "level", "target", "message"];

pub(super) struct Line<'a> {
    pub(super) metadata: &'a Metadata<'static>,
    pub(super) message: &'a str,
    pub(super) fields: &'a [(&'static str, Value)],
}

/// Now, as RFC 3339 in UTC with microseconds.
fn now() -> String {
    let mut text = String::with_capacity(32);
    if SystemTime.format_time(&mut Writer::new(&mut text)).is_err() {
        text.clear();
    }
    text
}

impl Line<'_> {
    pub(super) fn json(&self) -> String {
        let mut out = String::with_capacity(256);
        let mut member = |name: &str, value: &Value| {
            out.push(if out.is_empty() { '{' } else { ',' });
            // Writing to a string does not fail.
            let _ = write!(out, "{}:{value}", Value::from(name));
        };
        member("timestamp", &now().into());
        member("level", &self.metadata.level().as_str().into());
        member("target", &self.metadata.target().into());
        member("message", &self.message.into());
        for (name, value) in self.fields {
            if OWN_NAMES.contains(name) {
                member(&format!("field_{name}"), value);
            } else {
                member(name, value);
            }
        }
        out.push_str("}\n");
        out
    }

    pub(super) fn human(&self, color: bool) -> String {
        let mut out = String::with_capacity(160);
        let time = now();
        match time.get(..23) {
            Some(to_milliseconds) => {
                out.push_str(to_milliseconds);
                out.push('Z');
            }
            None => out.push_str(&time),
        }
        let level = self.metadata.level();
        let _ = match color {
            true => write!(out, " \x1b[{}m{level:>5}\x1b[0m ", color_of(*level)),
            false => write!(out, " {level:>5} "),
        };
        out.push_str(self.metadata.target());
        out.push_str(": ");
        push_message(&mut out, self.message);
        for (name, value) in self.fields {
            out.push(' ');
            out.push_str(name);
            out.push('=');
            match value {
                Value::String(text) => push_text(&mut out, text),
                other => {
                    let _ = write!(out, "{other}");
                }
            }
        }
        out.push('\n');
        out
    }
}

fn color_of(level: Level) -> u8 {
    match level {
        Level::ERROR => 31,
        Level::WARN => 33,
        Level::INFO => 32,
        Level::DEBUG => 34,
        Level::TRACE => 35,
    }
}

/// Line feeds stay, the lines after them indented: a backtrace is readable, and text from a guest
/// cannot pass for a line of its own. Other control characters are escaped: it cannot drive a terminal.
fn push_message(out: &mut String, message: &str) {
    for c in message.chars() {
        match c {
            '\n' => out.push_str("\n    "),
            '\t' => out.push(c),
            c if c.is_control() => out.extend(c.escape_default()),
            c => out.push(c),
        }
    }
}

/// Bare when it reads as one word, otherwise quoted and escaped.
fn push_text(out: &mut String, text: &str) {
    let plain = |c: char| !c.is_whitespace() && !c.is_control() && !matches!(c, '"' | '=');
    if !text.is_empty() && text.chars().all(plain) {
        out.push_str(text);
    } else {
        let _ = write!(out, "{text:?}");
    }
}
