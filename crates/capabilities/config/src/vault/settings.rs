//! What a manifest says of Vault.

use http::{HeaderValue, Uri};
use reef_capability::{
    OpenError, Opening, Secret, Setting, SettingError, Settings, TLS_CERT, TLS_KEY, TLS_ROOTS,
};
use reef_egress::{ClientConfig, Egress};
use reef_grants::{Destination, Target};

use super::{
    Layout, Vault, Version,
    client::{self, Client},
    login::{Login, Way},
};
use crate::store::{CACHE, KEYS};

const URL: Setting = Setting::new("url", "where Vault is: `https://vault.example.com:8200`");
const MOUNT: Setting = Setting::new("mount", "where the engine is: `secret`");
const VERSION: Setting = Setting::new("version", "of the engine `kv`: `2` or `1`");
const PATH: Setting = Setting::new("path", "the secret whose fields are the values: `app`");
const PREFIX: Setting = Setting::new("prefix", "before names, each of which is a secret: `app/`");
const FIELD: Setting =
    Setting::new("field", "the field with the value, where names are secrets: `value`");
const NAMESPACE: Setting = Setting::new("namespace", "of Vault Enterprise");
const TOKEN: Setting = Setting::new("token", "what Vault knows us by");
const TOKEN_FILE: Setting = Setting::new("token-file", "a file with the token: Vault Agent's sink");
const ROLE_ID: Setting = Setting::new("role-id", "to log in with AppRole");
const SECRET_ID: Setting = Setting::new("secret-id", "to log in with AppRole");
const KUBERNETES: Setting =
    Setting::new("kubernetes-role", "to log in with the service account's token");
const JWT: Setting = Setting::new("jwt-file", "the service account's token, if not where it is");
const LOGIN: Setting =
    Setting::new("login-mount", "where the way to log in is: `approle`, `kubernetes`");

pub(super) const ALL: &[Setting] = &[
    URL, MOUNT, VERSION, PATH, PREFIX, FIELD, NAMESPACE, TLS_ROOTS, TLS_CERT, TLS_KEY, TOKEN,
    TOKEN_FILE, ROLE_ID, SECRET_ID, KUBERNETES, JWT, LOGIN, KEYS, CACHE,
];

/// Where Kubernetes puts the service account's token.
const SERVICE_ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";
/// Connections to one Vault.
const CONNECTIONS: usize = 16;

fn wrong(name: &'static str, why: impl Into<String>) -> OpenError {
    SettingError::Wrong { name, why: why.into() }.into()
}

pub(super) fn read(opening: Opening<'_>) -> Result<Vault, OpenError> {
    let settings = opening.settings;
    let way = way(opening)?;
    let mount = match settings.get(MOUNT.name) {
        None => "secret".to_owned(),
        Some(mount) => path(MOUNT.name, mount)?,
    };
    let version = match settings.get(VERSION.name).map(str::trim) {
        None | Some("2") => Version::Two,
        Some("1") => Version::One,
        Some(_) => return Err(wrong(VERSION.name, "is neither `2` nor `1`")),
    };
    let layout = match (settings.get(PATH.name), settings.get(PREFIX.name)) {
        (Some(_), Some(_)) => {
            return Err(wrong(
                PREFIX.name,
                "is said beside `path`: values are of one or the other",
            ));
        }
        (Some(text), None) if settings.get(FIELD.name).is_none() => {
            Layout::Fields { path: path(PATH.name, text)? }
        }
        (Some(_), None) => {
            return Err(wrong(FIELD.name, "is said beside `path`, whose fields are the values"));
        }
        (None, prefix) => {
            let prefix = match prefix.filter(|prefix| !prefix.is_empty()) {
                None => String::new(),
                Some(prefix) => format!("{}/", path(PREFIX.name, prefix)?),
            };
            let field = settings.get(FIELD.name).unwrap_or("value").to_owned();
            Layout::Secrets { prefix, field }
        }
    };
    Ok(Vault { client: client(opening)?, login: Login::new(way), mount, version, layout })
}

fn path(name: &'static str, text: &str) -> Result<String, OpenError> {
    let path = client::path(text.trim_matches('/'));
    path.ok_or_else(|| wrong(name, "is no path"))
}

fn client(opening: Opening<'_>) -> Result<Client, OpenError> {
    let settings = opening.settings;
    let text = settings.required(&URL)?.trim().trim_end_matches('/').to_owned();
    // It may hold a password, and is not repeated.
    let no_url = || wrong(URL.name, "is no URL like `https://vault.example.com:8200`");
    let uri: Uri = text.parse().map_err(|_| no_url())?;
    let port = match uri.scheme_str() {
        Some("https") => 443,
        Some("http") => 80,
        _ => return Err(no_url()),
    };
    let authority = uri.authority().ok_or_else(no_url)?;
    if authority.as_str().contains('@') || uri.query().is_some() {
        return Err(wrong(
            URL.name,
            "has a password or a query in it: say how to log in with `token` or the like",
        ));
    }
    let port = authority.port_u16().unwrap_or(port);
    let host = authority.host();
    let target = Target::parse(host).map_err(|_| no_url())?;
    if uri.scheme_str() == Some("http") && !target.is_localhost() {
        tracing::warn!(
            host,
            "Vault is asked without TLS: tokens and secrets can be read on the way."
        );
    }
    // Whoever wrote the manifest means this host, wherever it is.
    let mut granted = vec![Destination::exact(None, target, port)];
    for all in ["0.0.0.0/0", "[::]/0"] {
        granted.extend(format!("{all}:{port}").parse::<Destination>());
    }
    let mut config = ClientConfig::new("vault", Egress::new(granted));
    config.max_connections = CONNECTIONS;
    if uri.scheme_str() == Some("http") {
        settings.no_tls("write `https://` in `url`")?;
    }
    config.tls = settings.tls(opening.folder)?.unwrap_or_default();
    let namespace = settings.get(NAMESPACE.name).map(HeaderValue::from_str).transpose();
    let namespace = namespace.map_err(|_| wrong(NAMESPACE.name, "is no name"))?;
    Ok(Client { http: reef_egress::Client::new(config), url: text, namespace })
}

fn way(opening: Opening<'_>) -> Result<Way, OpenError> {
    let settings = opening.settings;
    let secret = |name: &str| settings.get(name).filter(|text| !text.is_empty()).map(Secret::from);
    let file = |name: &str| settings.get(name).map(|file| opening.folder.join(file));
    let mount = |usual: &str| match settings.get(LOGIN.name) {
        None => Ok(usual.to_owned()),
        Some(text) => path(LOGIN.name, text),
    };
    let ways = [TOKEN, TOKEN_FILE, ROLE_ID, KUBERNETES];
    let said: Vec<_> = ways.iter().filter(|way| settings.get(way.name).is_some()).collect();
    let [way] = said[..] else {
        let name = said.get(1).map_or(TOKEN.name, |second| second.name);
        let why = "is one of four, of which exactly one is needed: `token`, `token-file`, `role-id`, `kubernetes-role`";
        return Err(wrong(name, why));
    };
    only_with(settings, way)?;
    let missing = || SettingError::Missing { name: way.name, about: way.about };
    let value = secret(way.name).ok_or_else(missing)?;
    Ok(match way.name {
        "token" => Way::Token(value),
        "token-file" => Way::File(file(TOKEN_FILE.name).unwrap_or_default()),
        "role-id" => {
            Way::AppRole { mount: mount("approle")?, role: value, secret: secret(SECRET_ID.name) }
        }
        _ => Way::Kubernetes {
            mount: mount("kubernetes")?,
            role: value,
            jwt: file(JWT.name).unwrap_or_else(|| SERVICE_ACCOUNT.into()),
        },
    })
}

/// Refuses what belongs to another way to log in.
fn only_with(settings: &Settings, way: &Setting) -> Result<(), OpenError> {
    let of = [
        (SECRET_ID.name, &[ROLE_ID.name][..]),
        (JWT.name, &[KUBERNETES.name][..]),
        (LOGIN.name, &[ROLE_ID.name, KUBERNETES.name][..]),
    ];
    for (name, ways) in of {
        if settings.get(name).is_some() && !ways.contains(&way.name) {
            return Err(wrong(name, format!("means nothing beside `{}`", way.name)));
        }
    }
    Ok(())
}
