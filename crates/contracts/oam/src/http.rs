//! Links from the HTTP server.

use std::time::Duration;

use reef_app::{HttpTrigger, Route, Written};
use reef_document::{At, Diagnostic, Diagnostics};

use crate::{
    link::Ends,
    read::Reader,
    settings::{Values, nearest, placed, text},
};

/// Settings that are told apart here.
const KNOWN: [&str; 10] = [
    "routing_mode",
    "default_address",
    "address",
    "port",
    "path",
    "host",
    "header",
    "timeout_ms",
    "readonly_mode",
    "tls_cert_file",
];

/// Settings without which requests are answered all the same.
const WITHOUT_EFFECT: [&str; 8] = [
    "bind",
    "cache_control",
    "cors_allowed_headers",
    "cors_allowed_methods",
    "cors_allowed_origins",
    "cors_exposed_headers",
    "cors_max_age_secs",
    "disable_keepalive",
];

/// Adds the route of a link to its target.
pub(crate) fn route<'m>(
    reader: &mut Reader<'m>,
    ends: Ends<'m>,
    values: &Values,
    found: &mut Diagnostics,
) {
    settings(values, found);
    let of = |key: &str| values.get(key).and_then(|value| Some((value, text(value)?)));
    let mode = of("routing_mode");
    let route = match mode.map(|(_, mode)| mode) {
        None | Some("address") => at_address(reader, &ends, values, found),
        Some("path") => match of("path") {
            Some((place, path)) => parse("", path, place, found),
            None => return found.push(missing(&ends, "path", "/api")),
        },
        Some("host") => match of("host") {
            Some((place, host)) if !host.is_empty() && !host.contains('/') => {
                parse(without_port(host), "/...", place, found)
            }
            Some((place, host)) => {
                let error = Diagnostic::error(format!("`{host}` is not a host"));
                return found.push(placed(error, place).help("write a name, `example.com`"));
            }
            None => return found.push(missing(&ends, "host", "example.com")),
        },
        Some(other) => {
            let error = Diagnostic::error(format!("`{other}` is no routing mode"));
            if let Some((place, _)) = mode {
                let modes = ["address", "path", "host"];
                found.push(placed(error, place).help(nearest(other, modes)));
            }
            return;
        }
    };
    let Some(route) = route else { return };
    let mut trigger = HttpTrigger::at(route.value.clone());
    trigger.route = route;
    if let Some((place, time)) = of("timeout_ms") {
        match time.parse().ok().filter(|time| *time > 0) {
            Some(time) => trigger.deadline = Some(Written(Duration::from_millis(time))),
            None => {
                let error = Diagnostic::error(format!("`{time}` is no number of milliseconds"));
                found.push(placed(error, place).help("write `timeout_ms: \"10000\"`"));
            }
        }
    }
    if let Some(workload) = reader.workload_of(ends.target.name.as_str()) {
        workload.trigger.http.0.push(trigger);
    }
}

/// All requests: a link of this mode has a listener for itself.
fn at_address<'m>(
    reader: &mut Reader<'m>,
    ends: &Ends<'m>,
    values: &Values,
    found: &mut Diagnostics,
) -> Option<At<Route>> {
    let target = &ends.link.target.name;
    for key in ["path", "host"] {
        if let Some(value) = values.get(key) {
            let warning = format!("`{key}` has no effect unless `routing_mode` is `{key}`");
            found.push(
                placed(Diagnostic::warning(warning), value)
                    .help(format!("add `routing_mode: {key}` to the provider's `config`")),
            );
        }
    }
    let asked = ["address", "default_address", "port"].into_iter();
    let asked =
        asked.filter_map(|key| values.get(key)).find_map(|value| Some((value, text(value)?)));
    let (place, address) = match asked {
        Some((value, address)) => (value.span(), address.to_owned()),
        None => (target.span(), "0.0.0.0:8000".to_owned()),
    };
    let at = |diagnostic: Diagnostic| match place.clone() {
        Some(span) => diagnostic.at(span),
        None => diagnostic,
    };
    match &reader.address {
        Some((_, first)) => {
            let error = format!(
                "`{}` and `{first}` both want all requests, each at an address of its own",
                ends.target.name
            );
            found.push(at(Diagnostic::error(error)).help(
                "one listener serves all: add `routing_mode: path` (or `host`) to the provider's `config`, and a `path` (or `host`) to each link's",
            ));
            return None;
        }
        None => {
            if asked.is_some() {
                let warning = format!("the address {address} has no effect");
                found.push(at(Diagnostic::warning(warning)).help(format!(
                    "whoever starts the application says where it listens: `--addr {address}`",
                )));
            }
            reader.address = Some((address, ends.target.name.as_str()));
        }
    }
    let route = "/...".parse::<Route>().ok()?;
    Some(target.clone().map(|_| route))
}

fn settings(values: &Values, found: &mut Diagnostics) {
    for (key, value) in values {
        let written = text(value).unwrap_or_default();
        let diagnostic = match key.as_str() {
            "readonly_mode" if written == "true" => {
                Diagnostic::error("`readonly_mode` is not kept: other methods would come through")
                    .help("leave it out, and let the component answer other methods with 405")
            }
            "header" if !written.eq_ignore_ascii_case("host") => {
                Diagnostic::error(format!("hosts are told by the header Host, not by `{written}`"))
                    .help("leave `header` out")
            }
            "tls_cert_file" | "tls_priv_key_file" => {
                Diagnostic::error(format!("`{key}` is not kept: requests would not be encrypted"))
                    .help("leave it out, and start with `--tls-cert FILE --tls-key FILE`")
            }
            key if KNOWN.contains(&key) => continue,
            key if WITHOUT_EFFECT.contains(&key) => {
                Diagnostic::warning(format!("`{key}` has no effect")).help("leave it out")
            }
            key => {
                let known = KNOWN.into_iter().chain(WITHOUT_EFFECT);
                Diagnostic::error(format!("`{key}` is no setting of an HTTP server"))
                    .help(nearest(key, known))
            }
        };
        found.push(placed(diagnostic, value));
    }
}

/// A route by path or host. A path is that path alone, as the provider has it.
fn parse<T>(host: &str, path: &str, place: &At<T>, found: &mut Diagnostics) -> Option<At<Route>> {
    let span = place.span().unwrap_or_default();
    let error = match path.starts_with('/') && !path.contains("/:") && !ends_wide(host, path) {
        true => match format!("{host}{path}").parse::<Route>() {
            Ok(route) => return Some(At::new(route, span)),
            Err(error) => error.to_string(),
        },
        false => format!("`{path}` is no path of a link"),
    };
    found.push(
        Diagnostic::error(error).at(span).help("write the whole path of the requests: `/api/v1`"),
    );
    None
}

/// Whether a path of the manifest's own would take what is below, which none does there.
fn ends_wide(host: &str, path: &str) -> bool {
    host.is_empty() && path.ends_with("/...")
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}

fn missing(ends: &Ends<'_>, key: &str, example: &str) -> Diagnostic {
    let error = format!("the link to `{}` has no `{key}`", ends.target.name);
    placed(Diagnostic::error(error), &ends.link.target.name).help(format!(
        "`routing_mode` is `{key}`: add it to the link's `source.config`, `{key}: {example}`"
    ))
}
