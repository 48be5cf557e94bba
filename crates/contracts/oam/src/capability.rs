//! Which capability of this host stands for a provider of wasmCloud's.

/// What a provider does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Capability {
    HttpServer,
    HttpClient,
    KeyValue,
    BlobStore,
    Messaging,
    Postgres,
}

/// A provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Provider {
    pub(crate) capability: Capability,
    /// What is behind it, if its name tells: `redis`, `nats`, `fs`.
    pub(crate) backend: Option<String>,
}

impl Capability {
    /// What the provider is, for people.
    pub(crate) fn describe(self) -> &'static str {
        match self {
            Self::HttpServer => "an HTTP server",
            Self::HttpClient => "an HTTP client",
            Self::KeyValue => "a key-value store",
            Self::BlobStore => "a blob store",
            Self::Messaging => "a message broker",
            Self::Postgres => "a Postgres database",
        }
    }

    /// What the application model calls it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::HttpServer | Self::HttpClient => "http",
            Self::KeyValue => "key-value",
            Self::BlobStore => "blob-store",
            Self::Messaging => "messaging",
            Self::Postgres => "sql",
        }
    }

    /// The capability behind a package, as a component imports it (or, if `exported`, exports it).
    pub(crate) fn of_package(namespace: &str, package: &str, exported: bool) -> Option<Self> {
        match (namespace, package) {
            ("wasi" | "wrpc", "http") if exported => Some(Self::HttpServer),
            ("wasi" | "wrpc", "http") => Some(Self::HttpClient),
            ("wasi" | "wrpc" | "wasmcloud", "keyvalue") => Some(Self::KeyValue),
            ("wasi" | "wrpc" | "wasmcloud", "blobstore") => Some(Self::BlobStore),
            ("wasi" | "wasmcloud", "messaging") => Some(Self::Messaging),
            ("wasmcloud", "postgres") => Some(Self::Postgres),
            _ => None,
        }
    }
}

impl Provider {
    /// By the last part of an image's name: `ghcr.io/wasmcloud/keyvalue-redis:0.30.0`.
    pub(crate) fn of_image(image: &str) -> Option<Self> {
        let image = image.split('@').next().unwrap_or_default();
        let last = image.rsplit('/').next().unwrap_or_default();
        let name = last.split([':', '.']).next().unwrap_or_default().replace('_', "-");
        let name = name.strip_suffix("-provider").unwrap_or(&name);
        let (capability, backend) = match name {
            "http-server" | "httpserver" => (Capability::HttpServer, None),
            "http-client" | "httpclient" => (Capability::HttpClient, None),
            "kvredis" => (Capability::KeyValue, Some("redis")),
            "kvvault" | "kv-vault" => (Capability::KeyValue, Some("vault")),
            "nats-messaging" => (Capability::Messaging, Some("nats")),
            "sqldb-postgres" => (Capability::Postgres, Some("postgres")),
            name => match name.split_once('-')? {
                ("keyvalue", backend) => (Capability::KeyValue, Some(backend)),
                ("blobstore", backend) => (Capability::BlobStore, Some(backend)),
                ("messaging", backend) => (Capability::Messaging, Some(backend)),
                _ => return None,
            },
        };
        Some(Self { capability, backend: backend.map(str::to_owned) })
    }
}

/// Interfaces that wasmCloud has, by package: another one is a slip of the pen mostly.
const INTERFACES: [(&str, &[&str]); 9] = [
    ("wasi:blobstore", &["blobstore", "container", "types"]),
    ("wasi:config", &["runtime", "store"]),
    ("wasi:http", &["incoming-handler", "outgoing-handler"]),
    ("wasi:keyvalue", &["atomics", "batch", "store", "watch", "watcher"]),
    ("wasi:logging", &["logging"]),
    (
        "wasi:messaging",
        &["consumer", "incoming-handler", "messaging-types", "producer", "request-reply"],
    ),
    ("wasmcloud:messaging", &["consumer", "handler", "producer", "request-reply", "types"]),
    ("wasmcloud:postgres", &["prepared", "query", "types"]),
    ("wasmcloud:secrets", &["reveal", "store"]),
];

/// The interfaces of a package, if it is one of wasmCloud's.
pub(crate) fn interfaces(package: &str) -> Option<&'static [&'static str]> {
    INTERFACES.iter().find(|(known, _)| *known == package).map(|(_, interfaces)| *interfaces)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_of_every_age_are_known() {
        for (image, expected) in [
            ("ghcr.io/wasmcloud/http-server:0.27.0", Some((Capability::HttpServer, None))),
            ("wasmcloud.azurecr.io/httpserver:0.13.1", Some((Capability::HttpServer, None))),
            ("ghcr.io/wasmcloud/http-client@sha256:00", Some((Capability::HttpClient, None))),
            (
                "ghcr.io/wasmcloud/keyvalue-redis:0.30.0",
                Some((Capability::KeyValue, Some("redis"))),
            ),
            ("ghcr.io/wasmcloud/kvredis", Some((Capability::KeyValue, Some("redis")))),
            ("localhost:5000/keyvalue-nats", Some((Capability::KeyValue, Some("nats")))),
            ("ghcr.io/wasmcloud/blobstore-s3:1", Some((Capability::BlobStore, Some("s3")))),
            ("ghcr.io/wasmcloud/messaging-nats:1", Some((Capability::Messaging, Some("nats")))),
            ("ghcr.io/wasmcloud/nats_messaging:1", Some((Capability::Messaging, Some("nats")))),
            ("ghcr.io/wasmcloud/messaging-kafka", Some((Capability::Messaging, Some("kafka")))),
            ("ghcr.io/wasmcloud/sqldb-postgres:1", Some((Capability::Postgres, Some("postgres")))),
            ("file://./build/http-server-provider.par.gz", Some((Capability::HttpServer, None))),
            ("wasmcloud.azurecr.io/ledblinky:0.0.1", None),
            ("file://./build/custom-template.par.gz", None),
            ("", None),
        ] {
            let provider = Provider::of_image(image);
            let found = provider.as_ref().map(|one| (one.capability, one.backend.as_deref()));
            assert_eq!(found, expected, "{image}");
        }
    }
}
