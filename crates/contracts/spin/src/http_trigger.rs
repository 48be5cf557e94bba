//! HTTP triggers: routes, executors, fixed responses.

use http::HeaderName;
use reef_app::{FixedResponse, Handing, HttpTrigger, Route};
use reef_document::{At, Diagnostics};

use crate::{
    field::{Field, error, warning},
    known::Known,
    reserved::{PREFIX, is_reserved},
    schema::{self, Common, Executor, StaticResponse},
    trigger::{Defaults, Started, Trigger},
};

#[cfg(test)]
mod tests;

/// Says what an HTTP trigger starts, or answers.
pub(crate) fn start(
    trigger: &Trigger,
    common: &Common,
    own: &schema::HttpTrigger,
    defaults: &Defaults,
    known: &Known,
    started: &mut Started,
    found: &mut Diagnostics,
) {
    let routes = routes(common, own, defaults, found);
    let how = own.executor.as_ref().and_then(|field| How::read(field, found)).unwrap_or_default();
    if let Some(field) = &own.static_response {
        if let Some(id) = &trigger.component {
            let message = format!("this is answered by `{id}` and without it");
            found
                .push(error(message, id.span()).help("leave out `component` or `static_response`"));
        }
        if routes.private {
            let message = "nobody could ask for this response: it is private";
            found.push(error(message, Some(field.span())).help("give it a route"));
        }
        if let Some(read) = field.read(found) {
            started.responses.extend(routes.all.into_iter().map(|route| read.at(route)));
        }
        return;
    }
    let Some(id) = trigger.component_of(known, found) else { return };
    let middleware = started.middleware.chain(common, &id, known, found);
    let many = started.triggers.entry(id.value.clone()).or_default();
    if routes.private {
        if !middleware.is_empty() {
            let message = format!("`{id}` is private: nothing can stand in front of it yet");
            found
                .push(error(message, id.span()).help("give it a route, or leave `middleware` out"));
        }
        if how.argv.is_some() || how.entrypoint.is_some() {
            let message =
                format!("`{id}` is private: it has no arguments or entry point of its own");
            found.push(error(message, id.span()).help("leave out `argv` and `entrypoint`"));
        }
    }
    many.http.extend(routes.all.into_iter().map(|route| HttpTrigger {
        middleware: middleware.clone(),
        handing: how.handing,
        entrypoint: how.entrypoint.clone(),
        argv: how.argv.clone(),
        route: route.clone(),
        ..HttpTrigger::at(route.value)
    }));
}

#[derive(Default)]
struct Routes {
    all: Vec<At<Route>>,
    private: bool,
}

fn routes(
    common: &Common,
    own: &schema::HttpTrigger,
    defaults: &Defaults,
    found: &mut Diagnostics,
) -> Routes {
    let Some(field) = &own.route else {
        let error = error("this trigger has no route", Some(common.span.clone()));
        found.push(error.help("add `route = \"/...\"`, or `route = { private = true }`"));
        return Routes::default();
    };
    let Some(text) = field.text() else {
        let private = field.read(found).is_some_and(|read| {
            if !read.private {
                let message = "a route that is not private is a path";
                found.push(error(message, Some(field.span())).help("write `route = \"/...\"`"));
            }
            read.private
        });
        return Routes { all: Vec::new(), private };
    };
    let base = defaults.base.as_ref().map_or("/", |base| base.as_str());
    match parse(&text, base) {
        Ok(all) if all.iter().any(is_reserved) => {
            let message = format!("nothing below `{PREFIX}` is ever reached: Spin answers there");
            found.push(warning(message, text.span()).help("give it another route"));
            Routes::default()
        }
        Ok(all) => {
            let all = all.into_iter().map(|route| text.clone().map(|_| route)).collect();
            Routes { all, private: false }
        }
        Err(message) => {
            let help = "write `/cart`, `/users/:id` or `/api/...`";
            found.push(error(message, text.span()).help(help));
            Routes::default()
        }
    }
}

/// The routes that take what Spin's takes: below the base, and with a slash at the end as well as
/// without, where nothing below is taken.
///
/// Source: `sanitize_with_base` of Spin's `crates/routes`, and the crate `routefinder` that it uses.
pub(crate) fn parse(route: &str, base: &str) -> Result<Vec<Route>, String> {
    let path = whole(route, base);
    let path = match path.strip_suffix("/*") {
        Some(base) => format!("{base}/..."),
        None => path,
    };
    if let Some(part) = path.split('/').find(|part| part.starts_with(':') && part.contains('.')) {
        return Err(format!("`{part}` is not a parameter: one stands for all between two slashes"));
    }
    let name = |part: &str| HeaderName::from_bytes(part.as_bytes()).is_ok();
    let parameters = path.split('/').filter_map(|part| part.strip_prefix(':'));
    if let Some(odd) = parameters.clone().find(|part| !part.is_empty() && !name(part)) {
        return Err(format!(
            "`:{odd}` is not a parameter: its name has letters, digits, `-` and `_`"
        ));
    }
    let read: Route = path.parse().map_err(|fault: reef_app::RouteError| fault.to_string())?;
    let slash = format!("{path}/").parse().ok().filter(|_| !read.takes_below() && path != "/");
    Ok([read].into_iter().chain(slash).collect())
}

/// A route below a base, with a slash at its beginning and none at its end.
pub(crate) fn whole(route: &str, base: &str) -> String {
    let absolute = |text: &str| {
        let slash = if text.starts_with('/') { "" } else { "/" };
        let text = format!("{slash}{text}");
        text.strip_suffix('/').unwrap_or(&text).to_owned()
    };
    let path = format!("{}{}", absolute(base), absolute(route));
    if path.is_empty() { "/".to_owned() } else { path }
}

/// How a component is handed requests.
struct How {
    handing: Handing,
    argv: Option<String>,
    entrypoint: Option<String>,
}

impl Default for How {
    fn default() -> Self {
        Self { handing: Handing::Spin, argv: None, entrypoint: None }
    }
}

impl How {
    fn read(field: &Field<Executor>, found: &mut Diagnostics) -> Option<Self> {
        let read = field.read(found)?;
        let handing = match read.r#type.as_str() {
            "http" | "spin" => Handing::Spin,
            "wagi" => Handing::Wagi,
            other => {
                let message = format!("there is no executor `{other}`");
                let help = "there is `http`, `spin`, `wagi`";
                found.push(error(message, read.r#type.span()).help(help));
                return None;
            }
        };
        if handing != Handing::Wagi {
            for odd in [&read.argv, &read.entrypoint].into_iter().flatten() {
                let message = "only the executor `wagi` has `argv` and `entrypoint`";
                found.push(error(message, odd.span()).help("leave it out"));
            }
        }
        let text = |text: Option<At<String>>| text.map(|text| text.value);
        let entrypoint = text(read.entrypoint).filter(|name| name != "_start");
        Some(Self { handing, argv: text(read.argv), entrypoint })
    }
}

impl StaticResponse {
    fn at(&self, route: At<Route>) -> FixedResponse {
        let headers = self.headers.iter();
        FixedResponse {
            route,
            status: self.status_code.clone(),
            headers: headers.map(|(name, value)| (name.clone(), value.clone())).collect(),
            body: self.body.clone(),
        }
    }
}
