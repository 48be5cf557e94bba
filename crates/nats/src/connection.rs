//! One connection, which is made when it is needed and comes back.

use std::{
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_nats::{Client, ConnectOptions, Event, jetstream};
use reef_capability::{Failure, Secret, SettingError, Settings};
use reef_egress::{TlsClient, explained};
use tokio::{
    runtime::Handle,
    sync::{OnceCell, watch},
};

use crate::setting;

/// The oldest server whose JetStream is used: the client asks for fields that older ones do not have, and their
/// answers are then not understood, or silently mean something else.
pub const OLDEST: (u32, u32) = (2, 10);

/// How long one server may take to be connected to.
const CONNECT: Duration = Duration::from_secs(4);
/// How long JetStream may take to answer: less than a link's timeout, so that the failure says what was slow.
const ANSWER: Duration = Duration::from_secs(4);
/// How long a use waits for a connection that is being made again.
const COMING_BACK: Duration = Duration::from_secs(2);
/// Pauses between tries to come back: the first, and the longest.
const PAUSE: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(5));
/// How often it is seen whether a server still answers.
const PING: Duration = Duration::from_secs(10);
/// Messages that wait for one subscriber, at most.
const WAITING: usize = 1024;
/// Commands that wait for the connection, at most.
const COMMANDS: usize = 512;

/// A connection to NATS. Cheap to clone.
#[derive(Clone)]
pub struct Connection {
    shared: Arc<Shared>,
}

struct Shared {
    servers: Vec<async_nats::ServerAddr>,
    options: Box<dyn Fn() -> Result<ConnectOptions, SettingError> + Send + Sync>,
    tls: TlsClient,
    domain: Option<String>,
    /// Its tasks belong to it, whoever asks first.
    runtime: Handle,
    client: OnceCell<Client>,
    connected: watch::Sender<bool>,
    /// JetStream of the server that is connected to, when that was looked at.
    jetstream: Looked,
}

type Looked = Arc<Mutex<Option<jetstream::Context>>>;

impl Connection {
    /// One with a link's settings; files are looked for from `folder`. `name` is what the server's operator sees.
    /// Nothing is connected to yet.
    ///
    /// # Errors
    /// When a setting is missing or wrong.
    pub fn new(
        settings: &Settings,
        folder: &Path,
        name: &str,
        runtime: Handle,
    ) -> Result<Self, SettingError> {
        let servers = servers(settings.required(&setting::URL)?)?;
        let (connected, _) = watch::channel(false);
        if settings.flag(setting::TLS.name)? == Some(false) {
            settings.no_tls("leave `tls = \"false\"` out")?;
        }
        let tls = settings.tls(folder)?;
        // Who says whom to trust wants TLS.
        let must = tls.is_some();
        let settings = settings.clone();
        let domain = settings.get(setting::DOMAIN.name).map(str::to_owned);
        let (name, of_url) = (name.to_owned(), user_of(&servers));
        let (tell, jetstream) = (connected.clone(), Looked::default());
        let looked = jetstream.clone();
        let options = move || {
            let (tell, looked) = (tell.clone(), looked.clone());
            Ok(options(&settings, of_url.clone(), must)?.name(&name).event_callback(move |event| {
                // It may be another server now.
                *locked(&looked) = None;
                noticed(&tell, &event);
                std::future::ready(())
            }))
        };
        // What is wrong with the settings is told now.
        options()?;
        let (options, client) = (Box::new(options), OnceCell::new());
        let tls = TlsClient::new(tls.unwrap_or_default());
        let shared =
            Shared { servers, options, tls, domain, runtime, client, connected, jetstream };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// The client, connected, for who keeps it.
    ///
    /// # Errors
    /// As [`ready`](Self::ready).
    pub async fn client(&self) -> Result<Client, Failure> {
        self.ready().await.cloned()
    }

    /// The client, connected. To clone it takes a fifth of the time that a small request does.
    ///
    /// # Errors
    /// When no server can be reached, or none lets it in.
    pub async fn ready(&self) -> Result<&Client, Failure> {
        let shared = &self.shared;
        let client = shared.client.get_or_try_init(|| shared.connect()).await?;
        if !*shared.connected.borrow() {
            let mut connected = shared.connected.subscribe();
            let back = tokio::time::timeout(COMING_BACK, connected.wait_for(|there| *there)).await;
            back.map_err(|_| Failure::unreachable("the connection to NATS was lost"))?
                .map_err(Failure::unreachable)?;
        }
        Ok(client)
    }

    /// JetStream, on a server that has what is needed of it.
    ///
    /// # Errors
    /// As [`client`](Self::client), and [`Failure::Unsupported`] when the server is too old or has no JetStream.
    pub async fn jetstream(&self) -> Result<jetstream::Context, Failure> {
        let client = self.client().await?;
        if let Some(context) = &*locked(&self.shared.jetstream) {
            return Ok(context.clone());
        }
        let server = client.server_info();
        if version(&server.version).is_none_or(|version| version < OLDEST) {
            let ((major, minor), is) = (OLDEST, server.version);
            let why = format!("the NATS server is {is}, and has to be {major}.{minor} or newer");
            return Err(Failure::Unsupported(why));
        }
        // Behind a leaf node, JetStream is another server's.
        if !server.jetstream && self.shared.domain.is_none() && server.domain.is_none() {
            let account = jetstream::new(client.clone()).query_account().await;
            if let Err(error) = account {
                return Err(crate::failed(&error));
            }
        }
        let mut context = match &self.shared.domain {
            Some(domain) => jetstream::with_domain(client, domain),
            None => jetstream::new(client),
        };
        context.set_timeout(ANSWER);
        *locked(&self.shared.jetstream) = Some(context.clone());
        Ok(context)
    }

    /// Whether it is connected: told each time that a connection is made or lost.
    pub fn connected(&self) -> watch::Receiver<bool> {
        self.shared.connected.subscribe()
    }

    /// JetStream's domain, where the settings say one.
    pub fn domain(&self) -> Option<&str> {
        self.shared.domain.as_deref()
    }

    /// What its tasks run on.
    pub fn runtime(&self) -> &Handle {
        &self.shared.runtime
    }
}

fn locked(looked: &Looked) -> MutexGuard<'_, Option<jetstream::Context>> {
    looked.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    async fn connect(&self) -> Result<Client, Failure> {
        let options = (self.options)().map_err(|error| Failure::Invalid(error.to_string()))?;
        // It is made on its own runtime, on which it stays.
        let (servers, tls) = (self.servers.clone(), self.tls.clone());
        let connecting = self.runtime.spawn(async move {
            // Whether there is TLS is for the server to say. Without this, the library takes what it finds.
            let config = tls.config_in_case().await.map_err(Failure::unreachable)?;
            let options = options.tls_client_config(Arc::unwrap_or_clone(config));
            options.connect(servers).await.map_err(|error| refused(&error))
        });
        match connecting.await {
            Ok(Ok(client)) => {
                set(&self.connected, true);
                Ok(client)
            }
            Ok(Err(failure)) => Err(failure),
            Err(_) => Err(Failure::unreachable("the host is ending")),
        }
    }
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Neither settings nor addresses: a URL may hold a password.
        f.debug_struct("Connection").finish_non_exhaustive()
    }
}

fn servers(text: &str) -> Result<Vec<async_nats::ServerAddr>, SettingError> {
    // The text is not repeated: it may hold a password.
    let wrong = |why: &str| SettingError::Wrong { name: setting::URL.name, why: why.to_owned() };
    let addresses = text.split(',').map(str::trim).filter(|one| !one.is_empty());
    let servers = addresses.map(|one| {
        one.parse().map_err(|_| wrong("has an address that is none: `nats://host:4222`"))
    });
    let servers: Vec<_> = servers.collect::<Result<_, _>>()?;
    if servers.is_empty() { Err(wrong("names no server")) } else { Ok(servers) }
}

/// The user in an address, and the password; alone, it is a token.
type User = (Secret, Option<Secret>);

fn user_of(servers: &[async_nats::ServerAddr]) -> Option<User> {
    let decoded = |text: &str| {
        Secret::from(percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned())
    };
    let server = servers.iter().find(|server| server.has_user_pass())?;
    Some((decoded(server.username()?), server.password().map(decoded)))
}

fn options(
    settings: &Settings,
    of_url: Option<User>,
    must_tls: bool,
) -> Result<ConnectOptions, SettingError> {
    let get = |setting: reef_capability::Setting| settings.get(setting.name);
    let wrong = |setting: reef_capability::Setting, why: &str| SettingError::Wrong {
        name: setting.name,
        why: why.to_owned(),
    };
    let mut options = ConnectOptions::new()
        .connection_timeout(CONNECT)
        .request_timeout(Some(ANSWER))
        .ping_interval(PING)
        .subscription_capacity(WAITING)
        .client_capacity(COMMANDS)
        .max_reconnects(None)
        .reconnect_delay_callback(pause);
    options = match (get(setting::USER), get(setting::PASSWORD)) {
        (Some(user), Some(password)) => {
            options.user_and_password(user.to_owned(), password.to_owned())
        }
        (None, None) => options,
        (Some(_), None) => return Err(wrong(setting::PASSWORD, "belongs to `user`")),
        (None, Some(_)) => return Err(wrong(setting::USER, "belongs to `password`")),
    };
    if let Some(token) = get(setting::TOKEN) {
        options = options.token(token.to_owned());
    }
    if let Some(seed) = get(setting::NKEY) {
        let seed = seed.trim();
        if !seed.starts_with("SU") {
            return Err(wrong(setting::NKEY, "is no seed of a user: those begin with `SU`"));
        }
        options = options.nkey(seed.to_owned());
    }
    if let Some(credentials) = get(setting::CREDENTIALS) {
        options = options
            .credentials(credentials)
            .map_err(|_| wrong(setting::CREDENTIALS, "is not what a `.creds` file holds"))?;
    }
    let ways = [setting::USER, setting::TOKEN, setting::NKEY, setting::CREDENTIALS];
    let said = |way: &&reef_capability::Setting| get(**way).is_some();
    let (ways, in_url) = (ways.iter().filter(said).count(), usize::from(of_url.is_some()));
    if ways + in_url > 1 {
        let why = "is one of several ways to say who one is; give one";
        return Err(wrong(if in_url > 0 { setting::URL } else { setting::USER }, why));
    }
    options = match &of_url {
        Some((user, Some(password))) => {
            options.user_and_password(user.expose().to_owned(), password.expose().to_owned())
        }
        Some((token, None)) => options.token(token.expose().to_owned()),
        None => options,
    };
    if must_tls || settings.flag(setting::TLS.name)? == Some(true) {
        options = options.require_tls(true);
    }
    Ok(options)
}

/// How long to wait before the next try: longer each time up to the longest, and not all at once.
fn pause(tries: usize) -> Duration {
    let (first, longest) = PAUSE;
    let doubled = u32::try_from(tries.saturating_sub(1)).unwrap_or(u32::MAX).min(10);
    (first * 2_u32.pow(doubled)).min(longest).mul_f64(0.5 + fastrand::f64() / 2.0)
}

/// Says whether it is connected, if that is new: who listens takes it that something was lost.
fn set(connected: &watch::Sender<bool>, is: bool) -> bool {
    connected.send_if_modified(|was| std::mem::replace(was, is) != is)
}

fn noticed(connected: &watch::Sender<bool>, event: &Event) {
    match event {
        Event::Connected => {
            if set(connected, true) {
                tracing::debug!("Connected to NATS.");
            }
        }
        Event::Disconnected | Event::Closed => {
            if set(connected, false) {
                tracing::warn!("The connection to NATS was lost; it is made again.");
            }
        }
        Event::SlowConsumer(_) => {
            tracing::warn!("Messages of NATS came faster than they were taken.")
        }
        Event::ServerError(error) => tracing::warn!(%error, "NATS says that something is wrong."),
        Event::ClientError(error) => tracing::debug!(%error, "NATS cannot be connected to."),
        Event::LameDuckMode | Event::Draining => {}
    }
}

fn refused(error: &async_nats::ConnectError) -> Failure {
    use async_nats::ConnectErrorKind as Kind;
    match error.kind() {
        Kind::Authentication | Kind::AuthorizationViolation => {
            Failure::Denied("NATS refuses the link's credentials, or asks for some".to_owned())
        }
        Kind::Tls => Failure::unreachable(format!("NATS: no TLS with it: {}", explained(error))),
        _ => Failure::unreachable(format!("NATS: {}", explained(error))),
    }
}

/// `2.10.26`, `2.12.0-preview.1`
fn version(text: &str) -> Option<(u32, u32)> {
    let mut parts = text.split(['.', '-']);
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests;
