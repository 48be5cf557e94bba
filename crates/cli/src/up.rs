//! `reef up`: applications on this machine.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

use anyhow::bail;
use reef_app::Name;
use reef_document::Diagnostics;
use reef_host::deploy::{Order, environment_name};

use crate::{
    args::{Log, Up},
    check, control, detach, manifest,
    runtime_config::RuntimeConfig,
    server::{self, Managed},
    spin_variables::Values,
};

/// Where the applications of a host come from.
pub(crate) struct Sources {
    /// Values of variables, the last of a name counts.
    vars: Vec<(String, String)>,
    /// Where variables have theirs from that nobody gives, beside what manifests say.
    providers: RuntimeConfig,
    /// By what each is called.
    known: Mutex<BTreeMap<String, Origin>>,
}

/// Where an application comes from.
#[derive(Clone)]
pub(crate) struct Origin {
    pub(crate) path: PathBuf,
    pub(crate) profile: Option<String>,
}

impl Sources {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Origin>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads what a path stands for. What is wrong with it is the error, in full.
    pub(crate) fn order(
        &self,
        origin: &Origin,
        more: &[(String, String)],
    ) -> anyhow::Result<Order> {
        let mut found = Diagnostics::default();
        let loaded = manifest::load(&origin.path, origin.profile.as_deref(), &mut found)?;
        let name = origin.path.display().to_string();
        let Some(loaded) = loaded else { bail!(check::Wrong(check::rendered(&name, &found)?)) };
        if found.iter().next().is_some() {
            check::show(&name, &found)?;
        }
        let spin = loaded.spin.then(Values::read).transpose()?;
        let value = |name: &Name| {
            let given =
                self.vars.iter().chain(more).rev().find(|(given, _)| given == name.as_str());
            let plain = || loaded.site.then(|| std::env::var(name.as_str()).ok()).flatten();
            given
                .map(|(_, value)| value.clone())
                .or_else(|| std::env::var(environment_name(name)).ok())
                .or_else(|| spin.as_ref()?.value(name))
                .or_else(plain)
        };
        let variables = loaded.application.variables.keys();
        let values =
            variables.filter_map(|name| Some((name.value.clone(), value(name)?))).collect();
        let mut order = Order {
            application: loaded.application,
            folder: loaded.folder,
            values,
            sourced: BTreeMap::new(),
            qualified: true,
            placed: None,
            tried: true,
        };
        self.providers.add_to(&mut order);
        Ok(order)
    }

    /// Remembers where an application came from.
    pub(crate) fn remember(&self, application: &str, origin: Origin) {
        self.lock().insert(application.to_owned(), origin);
    }

    /// Forgets it.
    pub(crate) fn forget(&self, application: &str) {
        self.lock().remove(application);
    }

    /// Where all come from.
    pub(crate) fn all(&self) -> Vec<(String, Origin)> {
        self.lock().iter().map(|(name, origin)| (name.clone(), origin.clone())).collect()
    }
}

impl Sources {
    /// Where nothing comes from yet; with these values of variables.
    pub(crate) fn new(vars: Vec<(String, String)>) -> Self {
        Self { vars, providers: RuntimeConfig::default(), known: Mutex::default() }
    }

    /// With what Spin's runtime configuration says of variables.
    fn with_providers(self, file: Option<&Path>) -> anyhow::Result<Self> {
        let providers = file.map(RuntimeConfig::read).transpose()?.unwrap_or_default();
        Ok(Self { providers, ..self })
    }
}

/// Runs applications until a signal says to stop.
pub(crate) fn up(args: &Up, log: &Log) -> anyhow::Result<i32> {
    let mut paths = args.paths.clone();
    if paths.is_empty() {
        paths.push(".".into());
    }
    let sources = Sources::new(args.var.clone());
    let sources = sources.with_providers(args.runtime_config_file.as_deref())?;
    let (mut orders, mut usable) = (Vec::<Order>::new(), true);
    for path in &paths {
        // Read again later, from wherever this process then is.
        let origin = Origin { path: absolute(path)?, profile: args.profile.clone() };
        let shown = Origin { path: path.clone(), profile: args.profile.clone() };
        let order = match sources.order(&shown, &[]) {
            Ok(order) => order,
            Err(error) => match error.downcast_ref::<check::Wrong>() {
                // What is wrong is said at its place; the others have a turn too.
                Some(check::Wrong(said)) => {
                    eprint!("{said}");
                    usable = false;
                    continue;
                }
                None => return Err(error),
            },
        };
        let name = order.application.name.to_string();
        if orders.iter().any(|other| other.application.name == order.application.name) {
            bail!("two applications are called `{name}`; give one of them another name");
        }
        sources.remember(&name, origin);
        orders.push(order);
    }
    if !usable {
        return Ok(1);
    }
    let declared = |name: &str| {
        orders
            .iter()
            .flat_map(|order| order.application.variables.keys())
            .any(|known| known.as_str() == name)
    };
    if let Some((name, _)) = args.var.iter().find(|(name, _)| !declared(name)) {
        bail!("--var {name}: no application here has a variable `{name}`");
    }
    for order in &orders {
        let application = &order.application;
        let answers =
            application.statics.len() + application.redirects.len() + application.responses.len();
        if answers == 0 && application.workloads.iter().all(|one| one.trigger.is_empty()) {
            bail!(
                "nothing starts a workload of `{}`: give one `trigger.http.route = \"/...\"`",
                application.name
            );
        }
    }
    if args.detach {
        return detach::start(args.socket.as_deref(), &args.var);
    }
    let socket = control::Socket::new(args.socket.as_deref())?;
    let managed = Managed { sources: sources.into(), socket, watch: None, joining: None };
    server::serve(&args.server, log, orders, Some(managed))
}

fn absolute(path: &Path) -> anyhow::Result<PathBuf> {
    Ok(std::path::absolute(path)?)
}
