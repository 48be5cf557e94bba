//! What starts a workload.

use reef_document::{At, Many};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{name::Name, route::Route};

/// What starts a workload. Each may be there once or, as a list, several times.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(deny_unknown_fields)]
pub struct Triggers {
    /// Requests.
    #[serde(default, skip_serializing_if = "is_empty")]
    pub http: Many<HttpTrigger>,
}

/// Requests at a route.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(deny_unknown_fields)]
pub struct HttpTrigger {
    /// Where: `/api/...`, `example.com/users/:id`.
    pub route: At<Route>,
    /// Workloads that a request goes through before, the outermost first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub middleware: Vec<At<Name>>,
}

impl HttpTrigger {
    /// Requests at a route, with nothing in front.
    pub fn at(route: Route) -> Self {
        Self { route: route.into(), middleware: Vec::new() }
    }
}

fn is_empty<T>(many: &Many<T>) -> bool {
    many.is_empty()
}

impl Triggers {
    /// Whether nothing starts it.
    pub fn is_empty(&self) -> bool {
        self.http.is_empty()
    }
}
