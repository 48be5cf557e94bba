//! What can be wrong with expectations before anybody is asked.

use std::collections::BTreeSet;

use http::{HeaderName, Method};
use reef_app::{Part, Template};
use reef_document::{At, Diagnostic, Diagnostics};
use regex::Regex;
use serde_json::Value;

use super::{Capture, Expectation, texts};

/// Adds what is wrong.
pub(super) fn check(requests: &[Expectation], found: &mut Diagnostics) {
    if requests.is_empty() {
        let nothing = Diagnostic::warning("this file has no [[request]]: nothing is tested");
        found.push(nothing);
    }
    let mut captured = BTreeSet::<&str>::new();
    for request in requests {
        let mut check = Check { captured: &captured, found };
        check.request(request);
        captured.extend(request.capture.keys().map(|name| name.as_str()));
    }
}

struct Check<'c> {
    /// By the requests before.
    captured: &'c BTreeSet<&'c str>,
    found: &'c mut Diagnostics,
}

impl Check<'_> {
    fn request(&mut self, request: &Expectation) {
        if let Some(method) = &request.method
            && Method::from_bytes(method.as_bytes()).is_err()
        {
            self.wrong(method, format!("`{}` is not a method", method.value), "GET, POST, PUT");
        }
        let begins = match request.path.parts().first() {
            Some(Part::Text(text)) => text.starts_with('/'),
            Some(Part::Variable(_)) => true,
            None => false,
        };
        if !begins {
            let message = format!("`{}` is not a path", request.path.value);
            self.wrong(&request.path, message, "begin it with `/`");
        }
        self.template(&request.path);
        for (name, value) in &request.headers {
            self.header(name, name);
            self.template(value);
        }
        if let (Some(_), Some(json)) = (&request.body, &request.json) {
            let message = "there is a `body` already".to_owned();
            self.wrong(json, message, "leave one of them out");
        }
        request.body.iter().for_each(|body| self.template(body));
        request.json.iter().for_each(|json| self.json(json));
        self.expect(request);
        for capture in request.capture.values() {
            match &capture.value {
                Capture::Json(pointer) => self.pointer(pointer, capture),
                Capture::Header(name) => self.header(name, capture),
                Capture::Body(pattern) => self.pattern(pattern, capture),
            }
        }
    }

    fn expect(&mut self, request: &Expectation) {
        let expect = &request.expect;
        for status in expect.status.iter() {
            if !(100..=599).contains(&status.value) {
                let message = format!("{} is not a status", status.value);
                self.wrong(status, message, "a status is a number from 100 to 599");
            }
        }
        for (name, value) in expect.headers.iter().chain(&expect.headers_contain) {
            self.header(name, name);
            self.template(value);
        }
        expect.headers_absent.iter().for_each(|name| self.header(name, name));
        for body in expect.body.iter().chain(expect.body_contains.iter()) {
            self.template(body);
        }
        expect.body_matches.iter().for_each(|pattern| self.pattern(pattern, pattern));
        for (pointer, value) in &expect.json {
            self.pointer(pointer, pointer);
            self.json(value);
        }
    }

    fn wrong<T>(&mut self, place: &At<T>, message: String, help: &str) {
        let error = Diagnostic::error(message).help(help);
        self.found.push(match place.span() {
            Some(span) => error.at(span),
            None => error,
        });
    }

    fn header<T>(&mut self, name: &str, place: &At<T>) {
        if HeaderName::try_from(name).is_err() {
            let message = format!("`{name}` is not the name of a header");
            self.wrong(place, message, "letters, digits and `-`: `content-type`");
        }
    }

    fn pattern<T>(&mut self, pattern: &str, place: &At<T>) {
        if let Err(error) = Regex::new(pattern) {
            // Its last line says what, those before show where.
            let error = error.to_string();
            let what = error.lines().last().unwrap_or_default().trim_start_matches("error: ");
            let message = format!("`{pattern}` is not a regular expression: {what}");
            self.wrong(place, message, "what has a meaning of its own has `\\` in front: `\\.`");
        }
    }

    fn pointer<T>(&mut self, pointer: &str, place: &At<T>) {
        if !pointer.is_empty() && !pointer.starts_with('/') {
            let message = format!("`{pointer}` is not a place in JSON");
            let help =
                format!("begin it with `/`, also between names: `/{}`", pointer.replace('.', "/"));
            self.wrong(place, message, &help);
        }
    }

    fn json(&mut self, value: &At<Value>) {
        let mut all = Vec::new();
        texts(value, &mut |text| all.push(text));
        for text in all {
            match text.parse::<Template>() {
                Ok(template) => self.references(&template, value),
                Err(error) => self.wrong(value, error.to_string(), "is it text that is meant?"),
            }
        }
    }

    fn template(&mut self, template: &At<Template>) {
        self.references(template, template);
    }

    fn references<T>(&mut self, template: &Template, place: &At<T>) {
        for name in template.variables() {
            if self.captured.contains(name.as_str()) {
                continue;
            }
            let all: Vec<_> = self.captured.iter().map(|name| format!("`{name}`")).collect();
            let help = match all.is_empty() {
                true => "capture it in a [request.capture] of a request before".to_owned(),
                false => format!("there is {}", all.join(", ")),
            };
            let message = format!("no request before this one captures `{name}`");
            self.wrong(place, message, &help);
        }
    }
}
