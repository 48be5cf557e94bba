//! Expectations of HTTP answers, as `reef test` reads them from files.
//!
//! A file has a list of requests, which are sent one after the other:
//!
//! ```toml
//! [[request]]
//! name = "makes a book"             # what the test is called; method and path if not said
//! method = "POST"                   # GET if not said
//! path = "/books?draft=true"
//! headers = { authorization = "Bearer secret" }
//! json = { title = "Reefs" }        # the body; or, as text: body = "..."
//! within = "2s"                     # how long the whole answer may take; 10s if not said
//!
//! [request.expect]                  # all of it must be so; without `status`, it is 200 to 299
//! status = 201                      # or one of several: [200, 201]
//! headers = { location = "/books/1" }
//! headers-contain = { content-type = "json" }
//! headers-absent = ["server"]
//! body = "the whole of it"
//! body-contains = ["a part", "another"]
//! body-matches = '^\{.*\}$'         # a regular expression
//! json = { "/title" = "Reefs", "/tags/0" = "sea" }
//!
//! [request.capture]                 # values for the requests that follow
//! id = { json = "/id" }             # or { header = "location" }
//! page = { body = 'page (\d+)' }    # the expression's first group, or all that it matches
//!
//! [[request]]
//! path = "/books/{{ id }}"
//! [request.expect]
//! json = { "/id" = "{{ id }}" }
//! ```
//!
//! Places in JSON are those of RFC 6901. `{{ name }}` stands for a captured value in paths, headers,
//! bodies and what is expected of them, but not in regular expressions; braces that are meant are
//! written twice as often. Redirects are not followed.

mod check;
mod judge;
mod send;

use std::{collections::BTreeMap, time::Duration};

use reef_app::{Name, Template, Written};
use reef_document::{At, Diagnostics, Many, Source, Syntax, decode};
use serde::Deserialize;
use serde_json::Value;

pub(crate) use send::{Captured, ask};

/// How long an answer may take when nobody says.
const WITHIN: Duration = Duration::from_secs(10);

/// A file.
#[derive(Debug, Deserialize)]
struct File {
    #[serde(default, rename = "request")]
    requests: Vec<Expectation>,
}

/// A request and what is expected of its answer.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Expectation {
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    method: Option<At<String>>,
    path: At<Template>,
    #[serde(default)]
    headers: BTreeMap<At<String>, At<Template>>,
    #[serde(default)]
    body: Option<At<Template>>,
    #[serde(default)]
    json: Option<At<Value>>,
    #[serde(default)]
    within: Option<Written<Duration>>,
    #[serde(default)]
    expect: Expect,
    #[serde(default)]
    capture: BTreeMap<At<Name>, At<Capture>>,
}

/// What is expected of an answer: all of it.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Expect {
    #[serde(default)]
    status: Many<At<u16>>,
    #[serde(default)]
    headers: BTreeMap<At<String>, At<Template>>,
    #[serde(default)]
    headers_contain: BTreeMap<At<String>, At<Template>>,
    #[serde(default)]
    headers_absent: Many<At<String>>,
    #[serde(default)]
    body: Option<At<Template>>,
    #[serde(default)]
    body_contains: Many<At<Template>>,
    #[serde(default)]
    body_matches: Many<At<String>>,
    #[serde(default)]
    json: BTreeMap<At<String>, At<Value>>,
}

/// Where a value comes from.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Capture {
    /// A place in JSON.
    Json(String),
    /// A header.
    Header(String),
    /// The first group of a regular expression, or all that it matches.
    Body(String),
}

impl Expectation {
    /// What the test is called.
    pub(crate) fn name(&self) -> String {
        match &self.name {
            Some(name) => name.clone(),
            None => format!("{} {}", self.method(), self.path.value),
        }
    }

    fn method(&self) -> &str {
        self.method.as_ref().map_or("GET", |method| method.value.as_str())
    }

    fn within(&self) -> Duration {
        self.within.map_or(WITHIN, |within| within.0)
    }
}

/// Reads a file. What is wrong is added to `found`; there are expectations only if nothing makes them
/// unusable.
pub(crate) fn parse(source: &Source, found: &mut Diagnostics) -> Option<Vec<Expectation>> {
    let node = match reef_document::parse(source, Syntax::Toml) {
        Ok(node) => node,
        Err(wrong) => {
            found.extend(wrong);
            return None;
        }
    };
    let mut own = Diagnostics::default();
    let file = decode::<File>(&node, &mut own);
    if let Some(file) = &file {
        check::check(&file.requests, &mut own);
    }
    own.settle(source);
    let usable = !own.has_errors();
    found.extend(own);
    file.filter(|_| usable).map(|file| file.requests)
}

/// The texts of a JSON value.
fn texts<'v>(value: &'v Value, each: &mut impl FnMut(&'v str)) {
    match value {
        Value::String(text) => each(text),
        Value::Array(values) => values.iter().for_each(|value| texts(value, each)),
        Value::Object(values) => values.values().for_each(|value| texts(value, each)),
        _ => {}
    }
}

#[cfg(test)]
mod tests;
