//! Routes that Spin's HTTP trigger answers itself.
//!
//! Source: Spin's `crates/trigger-http/src/server.rs` and `crates/http/src/app_info.rs`.

use std::collections::BTreeMap;

use reef_app::{Application, FixedResponse, Route};
use reef_document::At;
use serde::Serialize;

/// What stands before them.
pub const PREFIX: &str = "/.well-known/spin/";

/// Their answers: `health` says that the application runs, `info` which one it is; there is nothing else
/// below the prefix.
pub fn responses(application: &Application) -> Vec<FixedResponse> {
    let all = [
        ("health", 200, None, Some("OK".to_owned())),
        ("info", 200, Some("application/json"), Some(info(application))),
        ("...", 404, None, None),
    ];
    let all = all.into_iter().filter_map(|(name, status, kind, body)| {
        let route: Route = format!("{PREFIX}{name}").parse().ok()?;
        let kind =
            kind.map(|kind| (At::from("content-type".to_owned()), At::from(kind.to_owned())));
        let headers = BTreeMap::from_iter(kind);
        Some(FixedResponse {
            route: route.into(),
            status: Some(At::from(status)),
            headers,
            body: body.map(At::from),
        })
    });
    all.collect()
}

/// Whether a route is one that no component has.
pub(crate) fn is_reserved(route: &Route) -> bool {
    route.path().starts_with(PREFIX)
}

/// What `info` says, in Spin's order.
#[derive(Serialize)]
struct Info<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<&'a str>,
}

fn info(application: &Application) -> String {
    let version = application.version.as_deref();
    let info = Info { name: application.name.as_str(), version };
    serde_json::to_string_pretty(&info).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_application_says_what_it_is() {
        let mut application = Application::new(reef_app::Name::lenient("shop"));
        assert_eq!(info(&application), "{\n  \"name\": \"shop\"\n}");
        application.version = Some("1 \"a".to_owned());
        let said = "{\n  \"name\": \"shop\",\n  \"version\": \"1 \\\"a\"\n}";
        assert_eq!(info(&application), said);
    }
}
