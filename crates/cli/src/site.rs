//! A folder of workers, as Wasm Workers Server serves it, as an application.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use reef_app::{
    Application, Handing, HttpTrigger, Link, Name, Route, Source, StaticFiles, Template, Triggers,
    Variable, Workload, Written,
};
use reef_document::{Diagnostic, Diagnostics};
use reef_grants::{Access, DirGrant};
use reef_host::deploy::WORKER;
use reef_workers::{Language, Settings, Site, Value, Worker, public};

use crate::{guest, manifest};

/// Files that are looked at: more are no site.
const MOST: usize = 20_000;
/// As deep as folders are looked into.
const DEPTH: usize = 32;
/// What names the settings of a whole site.
const PROJECT: &str = ".wws.toml";

/// The files of a folder, if it looks like a site: scripts, a folder `public`, settings of a site, or names
/// that only routes have.
pub(crate) fn files(folder: &Path) -> anyhow::Result<Option<Vec<String>>> {
    let mut all = Vec::new();
    let walk = walkdir::WalkDir::new(folder).max_depth(DEPTH).sort_by_file_name().into_iter();
    let visible = |entry: &walkdir::DirEntry| {
        let name = entry.file_name().to_string_lossy();
        let hidden = name.starts_with('.') && name != ".well-known" && name != PROJECT;
        entry.depth() == 0 || !(hidden || name == "node_modules" || name == "target")
    };
    for entry in walk.filter_entry(visible) {
        let entry =
            entry.with_context(|| format!("cannot read the folder {}", folder.display()))?;
        if !entry.file_type().is_file() || all.len() >= MOST {
            continue;
        }
        let below = entry.path().strip_prefix(folder).unwrap_or(entry.path());
        if let Some(name) = below.to_str() {
            all.push(name.to_owned());
        }
    }
    let site = Site::of(&all);
    let script = |worker: &Worker| worker.language != Language::Wasm;
    let named = |worker: &Worker| !worker.is_fixed() || worker.file.ends_with("index.wasm");
    let is_site = site.workers.iter().any(|worker| script(worker) || named(worker))
        || all.iter().any(|file| file == PROJECT)
        || !site.public.is_empty();
    Ok(is_site.then_some(all))
}

/// The application that a site is.
pub(crate) fn application(
    folder: &Path,
    files: &[String],
    found: &mut Diagnostics,
) -> anyhow::Result<Option<Application>> {
    let absolute = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    let mut application = Application::new(Name::lenient(&guest::name_of(&absolute)));
    let site = Site::of(files);
    for fault in &site.faults {
        found.push(Diagnostic::error(fault.to_string()));
    }
    for skipped in &site.skipped {
        tracing::debug!("{} is not served: {}", skipped.file, skipped.reason);
    }
    let public =
        site.public.is_empty().then_some(()).is_none().then(|| PathBuf::from(public::FOLDER));
    for worker in &site.workers {
        let settings = match &worker.settings {
            None => Settings::default(),
            Some(file) => {
                let text = manifest::read(&folder.join(file))?;
                let read = Settings::parse(&text, file, found);
                found.settle(&text);
                match read {
                    Some(settings) => settings,
                    None => continue,
                }
            }
        };
        let workload = workload(worker, &settings, public.as_ref(), &mut application, found);
        application.workloads.push(workload);
    }
    if let Some(dir) = &public
        && let Ok(route) = "/...".parse::<Route>()
    {
        let taken = application
            .workloads
            .iter()
            .flat_map(|workload| workload.trigger.http.iter())
            .any(|trigger| trigger.route.is_same(&route));
        // A worker that takes everything looks there by itself.
        if !taken {
            let not_found = site.public.iter().any(|file| file == public::NOT_FOUND);
            application.statics.push(StaticFiles {
                route: route.into(),
                dir: dir.clone().into(),
                index: None,
                listing: false,
                not_found: not_found.then(|| "404.html".to_owned().into()),
                fallback: None,
                max_age: None,
            });
        }
    }
    application.check(found);
    Ok((!found.has_errors()).then_some(application))
}

fn workload(
    worker: &Worker,
    settings: &Settings,
    public: Option<&PathBuf>,
    application: &mut Application,
    found: &mut Diagnostics,
) -> Workload {
    let mut name = Name::lenient(worker.file.trim_end_matches(|c| c != '.').trim_end_matches('.'));
    let taken = |name: &Name, all: &[Workload]| all.iter().any(|one| *one.name == *name);
    let mut times = 1;
    while taken(&name, &application.workloads) {
        times += 1;
        name = Name::lenient(&format!("{name}-{times}"));
    }
    let mut workload = Workload::new(name, Source::File(worker.file.clone().into()));
    let requests = &settings.features.http_requests;
    let runtime = worker.language.runtime(!requests.allowed_hosts.is_empty());
    workload.runtime = runtime.map(|name| Name::lenient(name).into());
    workload.description = settings.name.clone();
    workload.labels.insert(WORKER.to_owned(), worker.file.clone());
    for (key, value) in &settings.vars {
        let template = match &value.value {
            Value::Text(text) => Template::literal(text.clone()),
            Value::Environment(name) => {
                let variable = Name::lenient(name);
                let declared = Variable {
                    description: Some(format!("The environment variable {name} of the host")),
                    default: Some(String::new()),
                    secret: false,
                };
                let template = format!("{{{{ {variable} }}}}").parse().unwrap_or_default();
                application.variables.insert(variable.into(), declared);
                template
            }
        };
        workload.env.insert(key.value.clone(), template.into());
    }
    for granted in &settings.folders {
        let host = PathBuf::from(&granted.from.value);
        let guest = granted.to.value.clone();
        workload.dirs.push(Written(DirGrant { host, guest, access: Access::ReadWrite }).into());
    }
    for host in &requests.allowed_hosts {
        let schemes: &[&str] = if requests.allow_http { &["https", "http"] } else { &["https"] };
        for scheme in schemes {
            workload.egress.push(Template::literal(format!("{scheme}://{}:*", host.value)).into());
        }
    }
    if let Some(kv) = &settings.data.kv {
        workload.links.push(Link {
            name: Some(kv.namespace.value.clone()),
            capability: "key-value".parse().ok().map(|name: Name| name.into()),
            ..Link::of("wasi:keyvalue")
        });
    }
    if !settings.features.wasi_nn.allowed_backends.is_empty() {
        let message = format!("{} asks for inference, which is not there yet", worker.file);
        found.push(Diagnostic::warning(message));
    }
    let mut triggers: Vec<HttpTrigger> = Vec::new();
    for route in &worker.routes {
        // With and without a slash at the end.
        let slash = format!("{route}/").parse::<Route>().ok();
        let slash = slash.filter(|_| !route.takes_below() && !route.path().ends_with('/'));
        for route in std::iter::once(route.clone()).chain(slash) {
            let mut trigger = HttpTrigger { handing: Handing::Workers, ..HttpTrigger::at(route) };
            // Files come before a worker that has parameters.
            if !worker.is_fixed() {
                trigger.files = public.cloned().map(Into::into);
            }
            triggers.push(trigger);
        }
    }
    workload.trigger = Triggers::http(triggers);
    workload
}
