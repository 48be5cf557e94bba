//! What is answered without a guest: files, redirects, fixed responses.

use reef_document::{At, Diagnostic, Diagnostics};

use super::placed;
use crate::{application::Application, fixed::FixedResponse};

/// Adds what is wrong with them.
pub(super) fn check(application: &Application, found: &mut Diagnostics) {
    for status in application.redirects.iter().filter_map(|redirect| redirect.status.as_ref()) {
        if !matches!(status.value, 301 | 302 | 303 | 307 | 308) {
            let error = Diagnostic::error(format!("{} is no status of a redirect", status.value));
            found.push(placed(error, status).help("write 301, 302, 303, 307 or 308"));
        }
    }
    for redirect in &application.redirects {
        let to = &redirect.to;
        let known = to.starts_with('/') || to.starts_with("https://") || to.starts_with("http://");
        if !known || to.starts_with("//") || to.contains(|c: char| c.is_control() || c == ' ') {
            let error =
                Diagnostic::error(format!("`{}` is no address to send somebody to", to.value));
            found.push(
                placed(error, to)
                    .help("write a path, `/new`, or an address, `https://example.com/new`"),
            );
        }
    }
    for status in application.responses.iter().filter_map(|response| response.status.as_ref()) {
        if !(200..600).contains(&status.value) {
            let error = Diagnostic::error(format!("{} is no status of a response", status.value));
            found.push(placed(error, status).help("write a number from 200 to 599"));
        }
    }
    for redirect in &application.redirects {
        let parameter = |segment: &str| segment.len() > 1 && segment.starts_with(':');
        let path = redirect.to.split(['?', '#']).next().unwrap_or_default();
        let path = path.split_once("://").map_or(path, |(_, rest)| rest);
        if path.split('/').any(parameter) {
            let error = format!("`{}` has a parameter, and it is sent as it is", redirect.to.value);
            found.push(placed(Diagnostic::error(error), &redirect.to).help(
                "end the route and its target in `/...` to keep what follows, or write a workload",
            ));
        }
    }
    for response in &application.responses {
        headers(response, found);
        let status = response.status.as_ref().map_or(200, |status| status.value);
        let empty = |body: &At<String>| body.is_empty();
        if matches!(status, 204 | 205 | 304) && !response.body.as_ref().is_none_or(empty) {
            let error = Diagnostic::error(format!("a response of status {status} has no body"));
            if let Some(body) = &response.body {
                found.push(placed(error, body).help("leave the body out, or write another status"));
            }
        }
    }
    for files in &application.statics {
        let named = [&files.index, &files.not_found, &files.fallback];
        for name in named.into_iter().flatten() {
            if name.is_empty() || super::leads_out(name) {
                let error = format!("`{}` is no file of that folder", name.value);
                let error = placed(Diagnostic::error(error), name);
                found.push(error.help("write its path from that folder on: `index.html`"));
            }
        }
    }
}

/// Headers of a fixed response (RFC 9110 sections 5.1 and 5.5).
fn headers(response: &FixedResponse, found: &mut Diagnostics) {
    /// Headers that the server writes.
    const OWN: [&str; 6] =
        ["connection", "content-length", "date", "te", "transfer-encoding", "upgrade"];
    for (name, value) in &response.headers {
        let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        let wrong = if name.is_empty() || !name.bytes().all(token) {
            "is no name of a header"
        } else if OWN.iter().any(|own| name.eq_ignore_ascii_case(own)) {
            "is a header that the server writes"
        } else if value.contains(|c: char| c.is_control() && c != '\t') {
            "is a header whose value would be more than one line"
        } else {
            continue;
        };
        found.push(placed(Diagnostic::error(format!("`{}` {wrong}", name.value)), name));
    }
}
