//! The settings of a worker: the `NAME.toml` beside its file.

use std::collections::BTreeMap;

use reef_document::{At, Diagnostic, Diagnostics, Source, Syntax, decode, parse};
use serde::Deserialize;

/// The version that there is.
const VERSION: &str = "1";
/// What a worker may send if its settings do not say.
const METHODS: [&str; 5] = ["GET", "POST", "PUT", "PATCH", "DELETE"];
/// All that it may be allowed to send.
const ALL_METHODS: [&str; 7] = ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD"];

/// What a worker is given beyond its request. Without settings it is given nothing.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
pub struct Settings {
    /// What it is called in logs.
    #[serde(default)]
    pub name: Option<String>,
    /// The version of this format: `1`.
    pub version: At<String>,
    /// Its environment variables.
    #[serde(default)]
    pub vars: BTreeMap<At<String>, At<Value>>,
    /// What it stores.
    #[serde(default)]
    pub data: Data,
    /// The folders that it sees.
    #[serde(default)]
    pub folders: Vec<Folder>,
    /// What else it may do.
    #[serde(default)]
    pub features: Features,
}

/// The value of an environment variable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// As it is written.
    Text(String),
    /// That of the host's environment variable, written `$NAME`; empty if the host has none.
    Environment(String),
}

/// What a worker stores.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Data {
    /// Its key-value map.
    #[serde(default)]
    pub kv: Option<KeyValue>,
}

/// A key-value map. Workers with the same namespace share it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct KeyValue {
    /// Which one.
    pub namespace: At<String>,
}

/// A folder that a worker sees. It may write there.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Folder {
    /// From the site's folder on; as it is written, from the folder of the worker on.
    pub from: At<String>,
    /// Where the worker sees it.
    pub to: At<String>,
}

/// What a worker may do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Features {
    /// Requests to others.
    #[serde(default)]
    pub http_requests: HttpRequests,
    /// Inference.
    #[serde(default)]
    pub wasi_nn: WasiNn,
}

/// Which requests a worker may send. Without hosts it sends none.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct HttpRequests {
    /// Names of hosts; every port of theirs.
    #[serde(default)]
    pub allowed_hosts: Vec<At<String>>,
    /// Methods; `GET`, `POST`, `PUT`, `PATCH` and `DELETE` if it is not there.
    #[serde(default = "methods")]
    pub allowed_methods: Vec<At<String>>,
    /// Whether `http:` is allowed beside `https:`.
    #[serde(default)]
    pub allow_http: bool,
}

/// Which inference a worker may ask for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct WasiNn {
    /// The backends that it may load models with.
    #[serde(default)]
    pub allowed_backends: Vec<At<Backend>>,
    /// Models that are loaded for it.
    #[serde(default)]
    pub preload_models: Vec<Model>,
}

/// Who does the inference.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Backend {
    /// Nobody.
    #[default]
    None,
    /// OpenVINO.
    Openvino,
}

/// A model that is loaded for a worker.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Model {
    /// Where it comes from.
    #[serde(default)]
    pub provider: Provider,
    /// What it is run with.
    #[serde(default)]
    pub backend: At<Backend>,
}

/// Where a model comes from.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Provider {
    /// Which kind of place that is.
    #[serde(rename = "type")]
    pub kind: At<ProviderKind>,
    /// The folder, from the site's on; as it is written, from that of the worker on.
    #[serde(default)]
    pub dir: At<String>,
}

/// A kind of place that models come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ProviderKind {
    /// A folder of this machine.
    #[default]
    Local,
}

impl Settings {
    /// Reads the settings of the worker in `file`, which is its path from the site's folder on. What is
    /// wrong is added to `found`; there are settings only if nothing makes them unusable.
    pub fn parse(source: &Source, file: &str, found: &mut Diagnostics) -> Option<Self> {
        let mut own = Diagnostics::default();
        let settings = match parse(source, Syntax::Toml) {
            Ok(node) => decode::<Self>(&node, &mut own),
            Err(wrong) => {
                own = wrong;
                None
            }
        };
        let settings = settings.map(|mut settings| {
            settings.check(file, &mut own);
            settings
        });
        own.settle(source);
        let usable = !own.has_errors();
        found.extend(own);
        settings.filter(|_| usable)
    }

    /// Adds what is wrong, and makes the folders those of the site.
    fn check(&mut self, file: &str, found: &mut Diagnostics) {
        if *self.version != *VERSION {
            let message = format!("`{}` is a version that is not known", self.version);
            let help = format!("there is version \"{VERSION}\", which it is read as");
            found.push(placed(Diagnostic::warning(message), &self.version).help(help));
        }
        for (name, value) in &self.vars {
            let text = match &value.value {
                Value::Text(text) | Value::Environment(text) => text,
            };
            if name.is_empty() || name.contains(['=', '\0']) || text.contains('\0') {
                let error = format!("`{name}` cannot be an environment variable");
                found.push(placed(Diagnostic::error(error.escape_debug().to_string()), name));
            }
        }
        if let Some(kv) = &self.data.kv
            && kv.namespace.is_empty()
        {
            let error = placed(Diagnostic::error("a namespace has a name"), &kv.namespace);
            found.push(error.help("workers with the same namespace share its entries"));
        }
        for folder in &mut self.folders {
            inside(&mut folder.from, file, found);
            if !folder.to.starts_with('/') || folder.to.contains('\0') {
                let error = format!("`{}` is not where a folder can be seen", folder.to);
                let error = Diagnostic::error(error.escape_debug().to_string());
                found.push(
                    placed(error, &folder.to).help("write a path from the root on: `/mnt/assets`"),
                );
            }
        }
        for model in &mut self.features.wasi_nn.preload_models {
            inside(&mut model.provider.dir, file, found);
        }
        self.features.http_requests.check(found);
    }
}

impl HttpRequests {
    fn check(&self, found: &mut Diagnostics) {
        for host in &self.allowed_hosts {
            let wrong = host.is_empty() || host.contains([':', '/', '*', '@', '?', '#', ' ']);
            if wrong && !host.starts_with('[') {
                let warning = format!("`{host}` is not the name of a host, so it allows nothing");
                let help = "write the name alone, `api.example.com`: without scheme, port and path";
                let warning = Diagnostic::warning(warning.escape_debug().to_string());
                found.push(placed(warning, host).help(help));
            }
        }
        for method in &self.allowed_methods {
            if !ALL_METHODS.contains(&&***method) {
                let warning = format!("`{method}` is not a method that workers send");
                let warning = Diagnostic::warning(warning.escape_debug().to_string());
                found.push(
                    placed(warning, method).help(format!("there is {}", ALL_METHODS.join(", "))),
                );
            }
        }
        if self.allowed_hosts.is_empty() && *self != Self::default() {
            let warning = "without `allowed_hosts`, no request is allowed";
            let place = self.allowed_methods.iter().find_map(At::span);
            let warning = Diagnostic::warning(warning)
                .help("add the hosts: `allowed_hosts = [\"example.com\"]`");
            found.push(match place {
                Some(span) => warning.at(span),
                None => warning,
            });
        }
    }
}

impl Default for HttpRequests {
    fn default() -> Self {
        Self { allowed_hosts: Vec::new(), allowed_methods: methods(), allow_http: false }
    }
}

impl Default for Provider {
    fn default() -> Self {
        Self { kind: At::default(), dir: "./".to_owned().into() }
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Ok(match text.strip_prefix('$') {
            Some(name) if !text.contains(' ') => Self::Environment(name.to_owned()),
            _ => Self::Text(text),
        })
    }
}

fn methods() -> Vec<At<String>> {
    METHODS.iter().map(|method| (*method).to_owned().into()).collect()
}

/// Makes a path that begins in the worker's folder one that begins in the site's.
fn inside(path: &mut At<String>, file: &str, found: &mut Diagnostics) {
    // As written on Windows.
    let written = if path.contains('/') { path.value.clone() } else { path.replace('\\', "/") };
    let folder = file.rsplit_once('/').map_or("", |(folder, _)| folder);
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    let mut left = written.starts_with('/') || written.contains('\0');
    for part in written.split('/') {
        match part {
            "" | "." => {}
            ".." => left |= parts.pop().is_none(),
            part => parts.push(part),
        }
    }
    if left {
        let error = format!("`{}` is outside of the site's folder", path.value.escape_debug());
        let help = "a worker sees folders of its site; copy or link what it needs into it";
        found.push(placed(Diagnostic::error(error), path).help(help));
        return;
    }
    let joined = parts.join("/");
    path.value = if joined.is_empty() { ".".to_owned() } else { joined };
}

fn placed<T>(diagnostic: Diagnostic, place: &At<T>) -> Diagnostic {
    match place.span() {
        Some(span) => diagnostic.at(span),
        None => diagnostic,
    }
}

#[cfg(test)]
mod tests;
