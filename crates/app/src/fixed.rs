//! What is answered without a guest: files, redirects, fixed responses.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use reef_document::At;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{route::Route, text::Written};

/// Files of a folder.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(deny_unknown_fields)]
pub struct StaticFiles {
    /// Where: `/assets/...`.
    pub route: At<Route>,
    /// The folder, from the manifest's on.
    pub dir: At<PathBuf>,
    /// The file that stands for a folder: `index.html` if not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub index: Option<At<String>>,
    /// Whether a folder without such a file is answered with a list of what is in it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub listing: bool,
    /// The file that is sent where there is none: `404.html`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_found: Option<At<String>>,
    /// The file that is sent, with status 200, where there is none: that of a single-page application.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fallback: Option<At<String>>,
    /// How long clients may keep files without asking again: `1h`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_age: Option<Written<Duration>>,
}

/// Requests that are sent elsewhere.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(deny_unknown_fields)]
pub struct Redirect {
    /// Where: `/old/...`.
    pub route: At<Route>,
    /// Where to: `/new/...` keeps what follows, `https://example.com/` does not.
    pub to: At<String>,
    /// 301, 302, 303, 307 or 308; 308 if not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<At<u16>>,
}

/// One response to every request.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(deny_unknown_fields)]
pub struct FixedResponse {
    /// Where: `/healthz`.
    pub route: At<Route>,
    /// Its status: 200 if not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<At<u16>>,
    /// Its headers.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<At<String>, At<String>>,
    /// Its body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<At<String>>,
}
