//! An answer beside what was expected of it.

use reef_app::Template;
use reef_artifact::visible;
use regex::Regex;
use serde_json::Value;

use super::{
    Expect,
    send::{Answer, Captured},
};

/// Characters of a text that are shown.
const SHOWN: usize = 400;

/// What is not as expected.
pub(super) fn judge(answer: &Answer, expect: &Expect, captured: &Captured) -> Vec<String> {
    let mut judge = Judge { answer, captured, wrong: Vec::new() };
    judge.status(expect);
    judge.headers(expect);
    judge.body(expect);
    judge.json(expect);
    judge.wrong
}

/// A value as text: text without its quotes, all else as JSON.
pub(super) fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

struct Judge<'a> {
    answer: &'a Answer,
    captured: &'a Captured,
    wrong: Vec<String>,
}

impl Judge<'_> {
    fn status(&mut self, expect: &Expect) {
        let status = self.answer.status.as_u16();
        let expected = match &expect.status[..] {
            [] if (200..=299).contains(&status) => return,
            [] => "200 to 299".to_owned(),
            several if several.iter().any(|one| one.value == status) => return,
            several => {
                let several: Vec<_> = several.iter().map(|one| one.value.to_string()).collect();
                several.join(" or ")
            }
        };
        let body = String::from_utf8_lossy(&self.answer.body);
        let said = match body.trim().is_empty() {
            true => String::new(),
            false => format!(", with the body {}", quoted(&body)),
        };
        self.wrong.push(format!("status: expected {expected}, got {status}{said}"));
    }

    fn headers(&mut self, expect: &Expect) {
        type Fits = fn(&str, &str) -> bool;
        let equal: Fits = |value, expected| value == expected;
        let contain: Fits = |value, expected| value.contains(expected);
        let all = expect.headers.iter().map(|(name, value)| (name, value, equal, ""));
        let parts = expect.headers_contain.iter();
        let parts = parts.map(|(name, value)| (name, value, contain, "something with "));
        for (name, value, fits, with) in all.chain(parts) {
            let Some(expected) = self.resolved(value) else { continue };
            let values = self.header(name);
            if !values.iter().any(|value| fits(value, &expected)) {
                let got = match values.is_empty() {
                    true => "none".to_owned(),
                    false => values.iter().map(|one| quoted(one)).collect::<Vec<_>>().join(", "),
                };
                let expected = quoted(&expected);
                let name = &name.value;
                self.wrong.push(format!("header {name}: expected {with}{expected}, got {got}"));
            }
        }
        for name in expect.headers_absent.iter() {
            if let Some(value) = self.header(name).first() {
                let value = quoted(value);
                self.wrong.push(format!("header {}: expected none, got {value}", name.value));
            }
        }
    }

    fn header(&self, name: &str) -> Vec<String> {
        let values = self.answer.headers.get_all(name).iter();
        values.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()).collect()
    }

    fn body(&mut self, expect: &Expect) {
        let body = String::from_utf8_lossy(&self.answer.body).into_owned();
        if let Some(expected) = expect.body.as_ref().and_then(|body| self.resolved(body))
            && body != expected
        {
            self.wrong.push(difference(&expected, &body));
        }
        for part in expect.body_contains.iter() {
            if let Some(part) = self.resolved(part)
                && !body.contains(&part)
            {
                let (part, body) = (quoted(&part), quoted(&body));
                self.wrong.push(format!("body: expected something with {part}, got {body}"));
            }
        }
        for pattern in expect.body_matches.iter() {
            if !Regex::new(pattern).is_ok_and(|pattern| pattern.is_match(&body)) {
                let (pattern, body) = (&pattern.value, quoted(&body));
                self.wrong.push(format!("body: expected what `{pattern}` matches, got {body}"));
            }
        }
    }

    fn json(&mut self, expect: &Expect) {
        if expect.json.is_empty() {
            return;
        }
        let json: Value = match serde_json::from_slice(&self.answer.body) {
            Ok(json) => json,
            Err(error) => {
                let body = quoted(&String::from_utf8_lossy(&self.answer.body));
                self.wrong.push(format!("body: expected JSON, got {body} ({error})"));
                return;
            }
        };
        for (pointer, expected) in &expect.json {
            let found = json.pointer(pointer);
            if !found.is_some_and(|found| self.fits(found, expected)) {
                let got = found.map_or_else(
                    || format!("nothing there in {}", cut(&json.to_string())),
                    |found| cut(&found.to_string()),
                );
                let expected = match self.text(expected.as_str().unwrap_or_default()) {
                    Some(text) if expected.is_string() => quoted(&text),
                    _ => cut(&expected.to_string()),
                };
                let pointer = &pointer.value;
                self.wrong.push(format!("json {pointer}: expected {expected}, got {got}"));
            }
        }
    }

    /// Numbers are equal when their values are; a captured value is equal to what has its text.
    fn fits(&self, found: &Value, expected: &Value) -> bool {
        match (found, expected) {
            (Value::Number(found), Value::Number(expected)) => {
                found == expected || found.as_f64() == expected.as_f64()
            }
            (Value::Array(found), Value::Array(expected)) => {
                found.len() == expected.len()
                    && found
                        .iter()
                        .zip(expected)
                        .all(|(found, expected)| self.fits(found, expected))
            }
            (Value::Object(found), Value::Object(expected)) => {
                found.len() == expected.len()
                    && expected.iter().all(|(name, expected)| {
                        found.get(name).is_some_and(|found| self.fits(found, expected))
                    })
            }
            (found, Value::String(text)) => {
                let refers = text.parse::<Template>().is_ok_and(|one| one.variables().count() > 0);
                let same = self.text(text).is_some_and(|text| text == plain(found));
                same && (refers || found.is_string())
            }
            (found, expected) => found == expected,
        }
    }

    fn text(&self, text: &str) -> Option<String> {
        self.captured.resolve(&text.parse().ok()?).ok()
    }

    fn resolved(&mut self, template: &Template) -> Option<String> {
        match self.captured.resolve(template) {
            Ok(text) => Some(text),
            Err(error) => {
                self.wrong.push(error);
                None
            }
        }
    }
}

/// Both whole where they are short; otherwise the first line in which they differ.
fn difference(expected: &str, got: &str) -> String {
    let lines = |text: &str| text.trim_end_matches('\n').matches('\n').count();
    if lines(expected) == 0 && lines(got) == 0 {
        return format!("body: expected {}, got {}", quoted(expected), quoted(got));
    }
    let (mut left, mut right) = (expected.split_inclusive('\n'), got.split_inclusive('\n'));
    let mut number = 1;
    loop {
        let (expected, got) = (left.next(), right.next());
        if expected != got || expected.is_none() {
            let shown = |line: Option<&str>| line.map_or("its end".to_owned(), quoted);
            let (expected, got) = (shown(expected), shown(got));
            return format!("body, line {number}: expected {expected}, got {got}");
        }
        number += 1;
    }
}

fn quoted(text: &str) -> String {
    let cut = text.char_indices().nth(SHOWN).map(|(at, _)| &text[..at]);
    match cut {
        Some(start) => format!("{start:?}…"),
        None => format!("{text:?}"),
    }
}

fn cut(text: &str) -> String {
    visible(text, SHOWN)
}
