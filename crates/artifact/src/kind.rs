//! How an artifact is run, told from its imports and exports.

use std::fmt;

use semver::Version;
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use crate::artifact::{Export, Form, Import, Sort};

/// The generation of WASI that a contract belongs to, with the exact version of the interface that
/// shows it where interfaces have versions.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Wasi {
    /// `wasi_unstable`, the snapshot before preview 1.
    Unstable,
    /// `wasi_snapshot_preview1`.
    V0_1,
    /// 0.2.x, its release candidates included.
    V0_2(Version),
    /// 0.3.x, its release candidates included.
    V0_3(Version),
    /// A version of the interface that belongs to none of these.
    Other(Version),
}

impl Wasi {
    fn of(version: &Version) -> Wasi {
        match (version.major, version.minor) {
            (0, 2) => Wasi::V0_2(version.clone()),
            (0, 3) => Wasi::V0_3(version.clone()),
            _ => Wasi::Other(version.clone()),
        }
    }

    /// `0.1`, `0.2`, …; `unstable`; the whole version where the generation is not known.
    pub fn generation(&self) -> String {
        match self {
            Wasi::Unstable => "unstable".into(),
            Wasi::V0_1 => "0.1".into(),
            Wasi::V0_2(_) => "0.2".into(),
            Wasi::V0_3(_) => "0.3".into(),
            Wasi::Other(version) => version.to_string(),
        }
    }

    /// The version of the interface as found; none for core modules.
    pub fn version(&self) -> Option<&Version> {
        match self {
            Wasi::Unstable | Wasi::V0_1 => None,
            Wasi::V0_2(version) | Wasi::V0_3(version) | Wasi::Other(version) => Some(version),
        }
    }
}

impl fmt::Display for Wasi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Wasi::Unstable => f.write_str("WASI unstable (before 0.1)"),
            Wasi::Other(version) => write!(f, "unknown WASI {version}"),
            known => write!(f, "WASI {}", known.generation()),
        }
    }
}

/// How an artifact is run. A command can also be served (see [`Kind::servable`]) or kept running as
/// a service: that is the trigger's choice and cannot be read off the binary.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Runs once from start to exit status: `_start`, or the export `wasi:cli/run`.
    Command(Wasi),
    /// Answers HTTP requests: exports `wasi:http/incoming-handler` 0.2.x or `wasi:http/handler` 0.3.x.
    HttpHandler(Wasi),
    /// Handles messages of a broker: exports `wasmcloud:messaging/handler`.
    MessageHandler {
        /// Of `wasmcloud:messaging`.
        version: Option<Version>,
    },
    /// Handles events of one sort by an export that is made for it: a component.
    EventHandler(Event),
    /// Answers HTTP requests by the interface that Spin had before WASI's: exports
    /// `fermyon:spin/inbound-http`.
    SpinHttpHandler,
    /// A proxy-wasm filter: exports `proxy_abi_version_*`.
    ProxyFilter {
        /// The highest ABI that it offers: `0.2.1`.
        abi: String,
    },
    /// A Redpanda data transform: imports `redpanda_transform`.
    StreamTransform {
        /// From the marker import `check_abi_version_N`; none when it imports no marker.
        abi: Option<u32>,
    },
    /// Functions to be called by name.
    Library {
        /// Exports `_initialize`, to be called once before any other function.
        reactor: bool,
    },
}

/// What an event handler is called for. Each is a contract in all its versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Event {
    /// A time of the calendar: Spin's function `handle-cron-event`.
    Cron,
    /// A message of an MQTT topic: Spin's function `handle-message`.
    Mqtt,
    /// A message of a Redis channel: `fermyon:spin/inbound-redis` or `spin:redis/inbound-redis`.
    Redis,
    /// A change of a key-value store: `wasi:keyvalue/watcher`.
    Watch,
}

impl Event {
    /// The name of its trigger.
    pub fn word(self) -> &'static str {
        match self {
            Event::Cron => "cron",
            Event::Mqtt => "mqtt",
            Event::Redis => "redis",
            Event::Watch => "watch",
        }
    }
}

/// How an artifact answers HTTP requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Served {
    /// Through `wasi:http`.
    Http(Wasi),
    /// Through `fermyon:spin/inbound-http`.
    Spin,
    /// Once per request as a CGI-style program (WAGI).
    Wagi,
}

impl Kind {
    /// The word of Reef's vocabulary, as in the JSON report.
    pub fn word(&self) -> &'static str {
        match self {
            Kind::Command(_) => "command",
            Kind::HttpHandler(_) | Kind::SpinHttpHandler => "http-handler",
            Kind::EventHandler(_) => "event-handler",
            Kind::MessageHandler { .. } => "message-handler",
            Kind::ProxyFilter { .. } => "proxy-filter",
            Kind::StreamTransform { .. } => "stream-transform",
            Kind::Library { .. } => "library",
        }
    }

    /// How it answers HTTP requests, if it can.
    pub fn servable(&self) -> Option<Served> {
        match self {
            Kind::HttpHandler(wasi) => Some(Served::Http(wasi.clone())),
            Kind::SpinHttpHandler => Some(Served::Spin),
            Kind::Command(Wasi::V0_1 | Wasi::Unstable) => Some(Served::Wagi),
            _ => None,
        }
    }

    /// Every kind that the imports and exports show, the one to prefer first; never empty.
    pub(crate) fn all_of(form: Form, imports: &[Import], exports: &[Export]) -> Vec<Kind> {
        match form {
            Form::Module => vec![of_module(imports, exports)],
            Form::Component => of_component(exports),
        }
    }
}

fn of_module(imports: &[Import], exports: &[Export]) -> Kind {
    let functions = || exports.iter().filter(|e| e.sort() == Sort::Function).map(Export::name);
    let modules = || {
        imports.iter().filter_map(|import| match import {
            Import::Core { module, .. } => Some(module.as_str()),
            _ => None,
        })
    };

    if let Some(abi) = functions().filter_map(|name| name.strip_prefix("proxy_abi_version_")).max()
    {
        return Kind::ProxyFilter { abi: abi.replace('_', ".") };
    }
    if modules().any(|module| module == "redpanda_transform") {
        let abi = imports
            .iter()
            .filter_map(|import| match import {
                Import::Core { module, name, .. } if module == "redpanda_transform" => {
                    name.strip_prefix("check_abi_version_")?.parse().ok()
                }
                _ => None,
            })
            .max();
        return Kind::StreamTransform { abi };
    }
    if functions().any(|name| name == "_start") {
        let old = modules().any(|module| module == "wasi_unstable")
            && !modules().any(|module| module == "wasi_snapshot_preview1");
        return Kind::Command(if old { Wasi::Unstable } else { Wasi::V0_1 });
    }
    Kind::Library { reactor: functions().any(|name| name == "_initialize") }
}

fn of_component(exports: &[Export]) -> Vec<Kind> {
    let mut kinds: Vec<Kind> = exports
        .iter()
        .filter_map(|export| {
            let wasi = || export.version().map(Wasi::of);
            if export.sort() == Sort::Function {
                return match export.name() {
                    "handle-cron-event" => Some(Kind::EventHandler(Event::Cron)),
                    "handle-message" => Some(Kind::EventHandler(Event::Mqtt)),
                    _ => None,
                };
            }
            if export.sort() != Sort::Instance {
                return None;
            }
            match export.name() {
                "wasi:http/incoming-handler" | "wasi:http/handler" => wasi().map(Kind::HttpHandler),
                "wasi:cli/run" => wasi().map(Kind::Command),
                "fermyon:spin/inbound-http" => Some(Kind::SpinHttpHandler),
                "fermyon:spin/inbound-redis" | "spin:redis/inbound-redis" => {
                    Some(Kind::EventHandler(Event::Redis))
                }
                "wasi:keyvalue/watcher" => Some(Kind::EventHandler(Event::Watch)),
                "wasmcloud:messaging/handler" => {
                    Some(Kind::MessageHandler { version: export.version().cloned() })
                }
                _ => None,
            }
        })
        .collect();
    // What answers others comes before what runs once; the newer contract before the older.
    kinds.sort_by_key(|kind| {
        let (rank, version) = match kind {
            Kind::HttpHandler(wasi) => (0, wasi.version().cloned()),
            Kind::SpinHttpHandler => (1, None),
            Kind::MessageHandler { version } => (2, version.clone()),
            Kind::EventHandler(_) => (3, None),
            Kind::Command(wasi) => (4, wasi.version().cloned()),
            _ => (5, None),
        };
        (rank, std::cmp::Reverse(version))
    });
    if kinds.is_empty() {
        kinds.push(Kind::Library { reactor: false });
    }
    kinds
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let exact = |f: &mut fmt::Formatter<'_>, wasi: &Wasi| match wasi {
            Wasi::V0_2(version) | Wasi::V0_3(version) => write!(f, " ({version})"),
            _ => Ok(()),
        };
        match self {
            Kind::Command(wasi) => {
                write!(f, "command, {wasi}")?;
                exact(f, wasi)
            }
            Kind::HttpHandler(wasi) => {
                write!(f, "HTTP handler, {wasi}")?;
                exact(f, wasi)
            }
            Kind::MessageHandler { version: Some(version) } => {
                write!(f, "message handler, wasmcloud:messaging {version}")
            }
            Kind::MessageHandler { version: None } => f.write_str("message handler"),
            Kind::EventHandler(Event::Watch) => f.write_str("event handler, wasi:keyvalue watcher"),
            Kind::EventHandler(event) => write!(f, "event handler, Spin's {}", event.word()),
            Kind::SpinHttpHandler => f.write_str("HTTP handler, Spin 1"),
            Kind::ProxyFilter { abi } => write!(f, "proxy filter, proxy-wasm ABI {abi}"),
            Kind::StreamTransform { abi: Some(abi) } => {
                write!(f, "stream transform, Redpanda ABI {abi}")
            }
            Kind::StreamTransform { abi: None } => f.write_str("stream transform, Redpanda"),
            Kind::Library { reactor: true } => f.write_str("library (a reactor)"),
            Kind::Library { reactor: false } => f.write_str("library"),
        }
    }
}

impl Serialize for Kind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("kind", self.word())?;
        match self {
            Kind::Command(wasi) | Kind::HttpHandler(wasi) => {
                map.serialize_entry("wasi", &wasi.generation())?;
                map.serialize_entry("version", &wasi.version())?;
            }
            Kind::MessageHandler { version } => map.serialize_entry("version", version)?,
            Kind::EventHandler(event) => map.serialize_entry("event", event.word())?,
            Kind::SpinHttpHandler => map.serialize_entry("wasi", &None::<&str>)?,
            Kind::ProxyFilter { abi } => map.serialize_entry("abi", abi)?,
            Kind::StreamTransform { abi } => map.serialize_entry("abi", abi)?,
            Kind::Library { reactor } => map.serialize_entry("reactor", reactor)?,
        }
        map.end()
    }
}
