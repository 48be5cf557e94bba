//! `modules.toml`: which module answers which route.
//!
//! Every field that any version of WAGI documented is read:
//!
//! | field | becomes |
//! | --- | --- |
//! | `route` | the route; with `/...` also everything below |
//! | `host` (0.1) | the route's host; a port in it is left out |
//! | `module` | the source: a path, `file:`, `oci:`, `bindle:` |
//! | `bindle_server` | the label [`BINDLE_SERVER`] |
//! | `entrypoint`, `argv` | the same of the trigger |
//! | `volumes` | directories that may be written to, as WAGI had it |
//! | `environment` (0.1) | environment variables, except those of CGI, which replaced them |
//! | `allowed_hosts` | egress, by [`allowed_host`] |
//! | `http_max_concurrency` | the limit of outgoing requests |
//! | `repository`, `default_host` | nothing, as in WAGI since 0.2; a warning says so |
//!
//! What differs from WAGI:
//!
//! * paths are from the manifest's folder on, not from where the server was started;
//! * the longest route takes a request, not the first; a warning names the modules that WAGI never
//!   asked for that reason. Two modules with one route are an error, where WAGI never asked the second;
//! * a module at `/healthz` answers there. Without one, the answer is `OK`, as it is in WAGI in any
//!   case.

use std::{
    collections::{BTreeMap, HashMap},
    path::{Component, Path},
};

use reef_app::{
    Application, FixedResponse, Handing, HttpTrigger, Name, Route, Source, Template, Triggers,
    Workload, Written,
};
use reef_document::{At, Diagnostic, Diagnostics, Node, Syntax, Value, decode, parse};
use reef_grants::{Access, DirGrant};
use serde::Deserialize;

use crate::{
    META_VARIABLES,
    experimental_http::{ALLOW_ALL, allowed_host},
    request::percent_decode,
    routes::{covers, literal},
};

/// The label of a workload that says which Bindle server has its invoice.
pub const BINDLE_SERVER: &str = "bindle-server";

/// As deep as a route is compared with those before it.
const MOST_SEGMENTS: usize = 64;

/// Where WAGI says that it is well.
const HEALTH: &str = "/healthz";

/// A `modules.toml`.
#[derive(Debug, Deserialize)]
struct ModuleMap {
    default_host: Option<At<String>>,
    module: Vec<Module>,
}

/// A handler.
#[derive(Debug, Deserialize)]
struct Module {
    route: At<String>,
    module: At<String>,
    host: Option<At<String>>,
    entrypoint: Option<String>,
    argv: Option<String>,
    bindle_server: Option<At<String>>,
    repository: Option<At<String>>,
    #[serde(default)]
    volumes: BTreeMap<At<String>, At<String>>,
    #[serde(default)]
    environment: BTreeMap<At<String>, At<String>>,
    #[serde(default)]
    allowed_hosts: Vec<At<String>>,
    http_max_concurrency: Option<At<u32>>,
}

/// Whether a document is a `modules.toml`: it has a list `module` of tables with a `route` or a
/// `module` each.
pub fn is_manifest(node: &Node) -> bool {
    let Some(Value::Array(modules)) = node.get("module").map(|modules| &modules.value) else {
        return false;
    };
    let handler = |one: &Node| one.get("route").is_some() || one.get("module").is_some();
    !modules.is_empty() && modules.iter().all(handler)
}

/// Reads a `modules.toml`. What is wrong is added to `found`; there is an application only if nothing
/// makes it unusable. It is called what its file is, or, if that is `modules.toml`, its folder.
pub fn read(source: &reef_document::Source, found: &mut Diagnostics) -> Option<Application> {
    let node = match parse(source, Syntax::Toml) {
        Ok(node) => node,
        Err(wrong) => {
            found.extend(wrong);
            return None;
        }
    };
    let mut own = Diagnostics::default();
    let map = decode::<ModuleMap>(&node, &mut own);
    let application = map.map(|map| application(map, source.name(), &mut own));
    own.settle(source);
    let usable = !own.has_errors();
    found.extend(own);
    application.filter(|_| usable)
}

fn application(map: ModuleMap, manifest: &str, found: &mut Diagnostics) -> Application {
    let mut application = Application::new(named_after(manifest));
    if let Some(host) = &map.default_host {
        let warning = Diagnostic::warning("`default_host` has no effect");
        found.push(placed(warning, host).help(
            "requests without a Host header are told the address that they came to; leave it out",
        ));
    }
    let names = names(&map.module);
    let mut before = Before::default();
    for (module, name) in map.module.into_iter().zip(names) {
        if let Some(workload) = workload(module, name, &mut before, found) {
            application.workloads.push(workload);
        }
    }
    if let Ok(health) = HEALTH.parse::<Route>() {
        let mut routes = application.workloads.iter().flat_map(|one| one.trigger.http.iter());
        if !routes.any(|trigger| *trigger.route == health) {
            application.responses.push(FixedResponse {
                route: health.into(),
                status: None,
                headers: BTreeMap::new(),
                body: Some("OK".to_owned().into()),
            });
        }
    }
    application.check(found);
    application
}

fn workload(
    module: Module,
    name: Name,
    before: &mut Before,
    found: &mut Diagnostics,
) -> Option<Workload> {
    let route = route(&module, found);
    let source = source(&module, found);
    let dirs = volumes(&module.volumes, found);
    let egress = egress(&module.allowed_hosts, found);
    if let Some(repository) = &module.repository {
        let warning = Diagnostic::warning("`repository` has no effect: WAGI reserved it");
        found.push(placed(warning, repository).help("leave it out"));
    }
    if let Some(most) = &module.http_max_concurrency
        && most.value == 0
    {
        let error = Diagnostic::error("no request could be sent with `http_max_concurrency = 0`");
        found.push(placed(error, most).help("leave `allowed_hosts` out instead"));
    }
    let (route, source) = (route?, source?);
    before.add(&route, &name, found);

    let mut workload = Workload::new(name, source.value.clone());
    workload.source = source;
    let mut trigger = HttpTrigger::at(route.value.clone());
    trigger.route = route;
    trigger.handing = Handing::Wagi;
    trigger.entrypoint = module.entrypoint;
    trigger.argv = module.argv;
    workload.trigger = Triggers::http(vec![trigger]);
    for (key, value) in module.environment {
        if META_VARIABLES.contains(&key.as_str()) {
            let warning = format!("`{key}` is a variable of each request, which replaces this one");
            found.push(placed(Diagnostic::warning(warning), &key).help("leave it out"));
        } else {
            workload.env.insert(key.value, value.map(Template::literal));
        }
    }
    workload.dirs = dirs;
    workload.egress = egress;
    workload.limits.outgoing = module.http_max_concurrency.map(|most| most.value);
    if let Some(server) = module.bindle_server {
        workload.labels.insert(BINDLE_SERVER.to_owned(), server.value);
    }
    Some(workload)
}

fn route(module: &Module, found: &mut Diagnostics) -> Option<At<Route>> {
    let at = |route| At::new(route, module.route.span().unwrap_or_default());
    let host = module.host.as_ref();
    let name = host.map(|host| without_port(host)).unwrap_or_default();
    match literal("", &module.route) {
        Err(fault) => {
            let help = match module.route.starts_with('/') {
                true => "write `/`, `/path`, or `/path/...` for everything below it".to_owned(),
                false => format!("write `/{}`", module.route.value),
            };
            found.push(placed(Diagnostic::error(fault.to_string()), &module.route).help(help));
            None
        }
        Ok(route) if host.is_none() => Some(at(route)),
        Ok(_) => match literal(name, &module.route) {
            Ok(route) if !name.is_empty() && !name.contains('*') => Some(at(route)),
            _ => {
                let host = host?;
                let error = Diagnostic::error(format!("`{}` is not a host", host.value));
                found.push(placed(error, host).help("write a name such as `example.com`"));
                None
            }
        },
    }
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}

fn source(module: &Module, found: &mut Diagnostics) -> Option<At<Source>> {
    let text = &module.module;
    let wrong = |message: String, help: &str| {
        Some(placed(Diagnostic::error(message), text).help(help.to_owned()))
    };
    let parsed = text.parse::<Source>();
    let fault = match &parsed {
        Err(error) => wrong(error.to_string(), "write a path, `file:///path` or `oci:name:tag`"),
        Ok(_) if text.starts_with("parcel:") => wrong(
            "`parcel:` is not known".to_owned(),
            "WAGI knew it neither: write a path, `file:///path` or `oci:name:tag`",
        ),
        Ok(Source::Bindle(_)) if module.bindle_server.is_none() => wrong(
            format!("`{}` is in no server", text.value),
            "add the one that has it: `bindle_server = \"http://localhost:8080/v1\"`",
        ),
        Ok(_) => None,
    };
    if let (Some(server), Ok(source)) = (&module.bindle_server, &parsed)
        && !matches!(source, Source::Bindle(_))
    {
        let warning = Diagnostic::warning("`bindle_server` has no effect: the module is not there");
        found.push(placed(warning, server).help("leave it out"));
    }
    if let Some(fault) = fault {
        found.push(fault);
        return None;
    }
    let source = match parsed.ok()? {
        // A URL, in which a space is `%20`.
        Source::File(path) if text.starts_with("file:") => {
            Source::File(percent_decode(&path.to_string_lossy()).into())
        }
        Source::Oci(name) => Source::Oci(name.trim_start_matches('/').to_owned()),
        other => other,
    };
    Some(At::new(source, text.span().unwrap_or_default()))
}

fn volumes(
    volumes: &BTreeMap<At<String>, At<String>>,
    found: &mut Diagnostics,
) -> Vec<At<Written<DirGrant>>> {
    let mut dirs = Vec::new();
    for (guest, host) in volumes {
        let access = Access::ReadWrite;
        let dir = DirGrant { host: host.as_str().into(), guest: guest.value.clone(), access };
        // A path that would be read as something else, `a::b` or `a:ro`.
        if dir.to_string().parse().as_ref() != Ok(&dir) {
            let error = format!("`{guest}` = `{host}` is not a volume");
            found.push(placed(Diagnostic::error(error), host).help(
                "write the guest's path and the host's, neither empty nor with `::`: `\"/data\" = \"data\"`",
            ));
            continue;
        }
        if leaves_its_folder(&dir.host) {
            let warning = format!("the volume `{host}` lies outside of the manifest's folder");
            found.push(placed(Diagnostic::warning(warning), host).help(
                "the module may read and write there; write the whole path if that is meant",
            ));
        }
        dirs.push(At::new(Written(dir), host.span().unwrap_or_default()));
    }
    dirs
}

/// Whether `..` leads out of where a relative path begins.
fn leaves_its_folder(path: &Path) -> bool {
    let mut depth = 0_usize;
    for component in path.components() {
        match component {
            Component::Prefix(_) | Component::RootDir => return false,
            Component::CurDir => {}
            Component::Normal(_) => depth += 1,
            Component::ParentDir => match depth.checked_sub(1) {
                Some(less) => depth = less,
                None => return true,
            },
        }
    }
    false
}

fn egress(hosts: &[At<String>], found: &mut Diagnostics) -> Vec<At<Template>> {
    let mut egress: Vec<At<Template>> = Vec::new();
    for host in hosts {
        let (destinations, path) = match allowed_host(host) {
            Ok(allowed) => allowed,
            Err(error) => {
                found.push(placed(Diagnostic::error(error.to_string()), host));
                continue;
            }
        };
        if path {
            let all: Vec<_> = destinations.iter().map(|one| format!("`{one}`")).collect();
            let warning = format!("`{host}` allows all of {}: paths do not count", all.join(", "));
            found.push(placed(Diagnostic::warning(warning), host).help("leave the path out"));
        } else if host.value == ALLOW_ALL {
            let warning = "the module may send requests to every public host";
            found.push(
                placed(Diagnostic::warning(warning), host).help("name the hosts that it needs"),
            );
        }
        for destination in destinations {
            let template = Template::literal(destination.to_string());
            if !egress.iter().any(|known| known.value == template) {
                egress.push(At::new(template, host.span().unwrap_or_default()));
            }
        }
    }
    egress
}

/// The routes of the modules before one.
#[derive(Debug, Default)]
struct Before {
    /// Those that take what is below, by host and base.
    wide: HashMap<(Option<String>, String), (Route, Name)>,
}

impl Before {
    /// Adds a route, and a warning if WAGI would never have come to it.
    fn add(&mut self, route: &At<Route>, name: &Name, found: &mut Diagnostics) {
        let path = route.path();
        let base = path.strip_suffix("/...").unwrap_or(&path);
        let host = route.host().map(str::to_owned);
        let ends = base.match_indices('/').map(|(at, _)| at).take(MOST_SEGMENTS);
        let ends = ends.chain([base.len()]);
        let first = ends
            .filter_map(|end| self.wide.get(&(host.clone(), base[..end].to_owned())))
            .find(|(wide, _)| *wide != **route && covers(wide, route));
        if host.is_none() && path == HEALTH {
            let warning = format!("`{name}` answers at {HEALTH}; WAGI answered there itself");
            found.push(
                placed(Diagnostic::warning(warning), route).help("take it out for the answer `OK`"),
            );
        } else if let Some((wide, by)) = first {
            let warning = format!(
                "`{name}` answers at {}; WAGI asked `{by}` at {wide}, which stands before it",
                route.value
            );
            found.push(
                placed(Diagnostic::warning(warning), route)
                    .help("the longest route takes a request: take out the one that is not meant"),
            );
        }
        if route.takes_below() {
            let key = (host, base.to_owned());
            self.wide.entry(key).or_insert_with(|| (route.value.clone(), name.clone()));
        }
    }
}

/// A name for each module: that of its file or image, with its route behind it where several have
/// the same.
fn names(modules: &[Module]) -> Vec<Name> {
    let stems: Vec<_> = modules.iter().map(|module| stem(&module.module)).collect();
    let mut count: HashMap<&str, usize> = HashMap::new();
    for stem in &stems {
        *count.entry(stem.as_str()).or_default() += 1;
    }
    let mut taken: HashMap<Name, usize> = HashMap::new();
    let mut names = Vec::new();
    for (module, stem) in modules.iter().zip(&stems) {
        let wanted = if count.get(stem.as_str()) == Some(&1) {
            stem.clone()
        } else {
            let words = module.route.split(['/', '.']).filter(|word| !word.is_empty());
            let words = module.host.as_deref().map(String::as_str).into_iter().chain(words);
            let words = words.collect::<Vec<_>>().join("-");
            let words = if words.is_empty() { "root" } else { &words };
            Name::lenient(&format!("{stem}-{words}"))
        };
        names.push(unused(wanted, &mut taken));
    }
    names
}

/// This name, or with a number behind it.
fn unused(wanted: Name, taken: &mut HashMap<Name, usize>) -> Name {
    let mut name = wanted.clone();
    while taken.contains_key(&name) {
        let next = taken.entry(wanted.clone()).or_insert(1);
        *next += 1;
        let number = format!("-{next}");
        let kept: String = wanted.as_str().chars().take(63 - number.len().min(62)).collect();
        name = Name::lenient(&(kept + &number));
    }
    taken.insert(name.clone(), 1);
    name
}

/// What a module is called by where it comes from.
fn stem(module: &str) -> Name {
    let last = |path: &str| path.rsplit('/').next().unwrap_or_default().to_owned();
    Name::lenient(&match module.parse::<Source>() {
        Ok(Source::Oci(name)) => {
            let name = name.split('@').next().unwrap_or_default();
            last(name).split(':').next().unwrap_or_default().to_owned()
        }
        // The last part is the version.
        Ok(Source::Bindle(invoice)) => match invoice.rsplit_once('/') {
            Some((name, _)) => last(name),
            None => invoice,
        },
        Ok(Source::Url(url)) => last(&url),
        Ok(Source::File(path)) => {
            let stem = path.file_stem().map(|stem| stem.to_string_lossy()).unwrap_or_default();
            if module.starts_with("file:") { percent_decode(&stem) } else { stem.into_owned() }
        }
        Err(_) => String::new(),
    })
}

/// What an application is called by its manifest's file.
fn named_after(manifest: &str) -> Name {
    let path = Path::new(manifest);
    let folder = path.parent().and_then(Path::file_name);
    let name = match (path.file_stem(), folder) {
        (Some(stem), Some(folder)) if stem == "modules" => folder,
        (Some(stem), _) => stem,
        (None, _) => return Name::lenient("wagi"),
    };
    Name::lenient(&name.to_string_lossy())
}

fn placed<T>(diagnostic: Diagnostic, place: &At<T>) -> Diagnostic {
    match place.span() {
        Some(span) => diagnostic.at(span),
        None => diagnostic,
    }
}
