//! What starts a workload.

use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf, time::Duration};

use reef_document::{At, Many};
use reef_grants::ByteSize;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    name::Name, route::Route, schedule::Schedule, subject::Subject, template::Template,
    text::Written,
};

/// What starts a workload. Each may be there once or, as a list, several times.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(deny_unknown_fields)]
pub struct Triggers {
    /// Requests.
    #[serde(default, skip_serializing_if = "is_empty")]
    pub http: Many<HttpTrigger>,
    /// The application's own start: the command runs once, to its end, before anything else begins.
    #[serde(default, skip_serializing_if = "is_empty")]
    pub start: Many<StartTrigger>,
    /// The application's life: the command is kept running.
    #[serde(default, skip_serializing_if = "is_empty")]
    pub service: Many<ServiceTrigger>,
    /// Times of the calendar.
    #[serde(default, skip_serializing_if = "is_empty")]
    pub cron: Many<CronTrigger>,
    /// Time that has passed.
    #[serde(default, skip_serializing_if = "is_empty")]
    pub timer: Many<TimerTrigger>,
    /// Connections: each has a run of its own, which reads and writes it as standard input and output.
    #[serde(default, skip_serializing_if = "is_empty")]
    pub tcp: Many<TcpTrigger>,
    /// Messages on the bus.
    #[serde(default, skip_serializing_if = "is_empty")]
    pub message: Many<MessageTrigger>,
    /// Messages of a Redis channel.
    #[serde(default, skip_serializing_if = "is_empty")]
    pub redis: Many<RedisTrigger>,
    /// Messages of an MQTT topic.
    #[serde(default, skip_serializing_if = "is_empty")]
    pub mqtt: Many<MqttTrigger>,
    /// Changes of a key-value store.
    #[serde(default, skip_serializing_if = "is_empty")]
    pub watch: Many<WatchTrigger>,
}

/// Requests at a route.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(deny_unknown_fields)]
pub struct HttpTrigger {
    /// Where: `/api/...`, `example.com/users/:id`.
    pub route: At<Route>,
    /// Workloads that a request goes through before, the outermost first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub middleware: Vec<At<Name>>,
    /// How the guest is handed a request, where its exports do not tell.
    #[serde(default, skip_serializing_if = "Handing::is_default")]
    pub handing: Handing,
    /// For CGI-style handlers: the function that is called instead of `_start`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entrypoint: Option<String>,
    /// For CGI-style handlers: the arguments, in which `${SCRIPT_NAME}` and `${ARGS}` stand for the
    /// route's path and the query's parts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub argv: Option<String>,
    /// Time for one request here, if less than the workload has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Written<Duration>>,
    /// The largest request body here, if less than the server takes: `1MiB`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_body: Option<Written<ByteSize>>,
    /// A folder whose files are sent in place of asking the guest, where there are such; from the
    /// manifest's on. They are looked up by the whole path of a request, whatever the route: in `pub`,
    /// `/f/t.txt` is `pub/f/t.txt`, also at the route `/f/...`. A `[[static]]` looks them up by what
    /// follows its route.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub files: Option<At<PathBuf>>,
    /// Whether answers are compressed for clients that ask for it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub compress: bool,
}

/// How a guest is handed a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Handing {
    /// As its exports tell: a `wasi:http` component as such, a WASI 0.1 command as a CGI script.
    #[default]
    Auto,
    /// Through `wasi:http`.
    Http,
    /// As a CGI script (WAGI): environment variables, standard input and output.
    Wagi,
    /// As Spin does: `wasi:http` or `fermyon:spin/inbound-http`, with the `spin-*` headers.
    Spin,
    /// As Wasm Workers Server does: JSON on standard input and output.
    Workers,
}

/// The application's start.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(deny_unknown_fields)]
pub struct StartTrigger {
    /// Arguments of the command, after its own name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<At<Template>>,
}

/// A command that is kept running.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(deny_unknown_fields)]
pub struct ServiceTrigger {
    /// Arguments of the command, after its own name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<At<Template>>,
    /// How often it may be started again within `window`: then it has failed. 10 if not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restarts: Option<u32>,
    /// The time that restarts are counted in: 10 minutes if not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<Written<Duration>>,
    /// The pause before the first restart, which doubles with each: half a second if not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backoff: Option<Written<Duration>>,
}

/// Times of the calendar.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(deny_unknown_fields)]
pub struct CronTrigger {
    /// When: `*/5 * * * *`, `0 3 * * MON`, `@daily`; with six fields the first is seconds.
    pub schedule: At<Schedule>,
    /// The time zone that it is in: `Europe/Berlin`. UTC if not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timezone: Option<At<String>>,
    /// Arguments of the command, after its own name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<At<Template>>,
}

/// Time that has passed.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(deny_unknown_fields)]
pub struct TimerTrigger {
    /// From one run's beginning to the next: `10s`. A run that lasts longer is waited for.
    pub every: At<Written<Duration>>,
    /// Arguments of the command, after its own name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<At<Template>>,
}

/// Connections.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(deny_unknown_fields)]
pub struct TcpTrigger {
    /// Where they are taken: `127.0.0.1:2323`.
    pub addr: At<Written<SocketAddr>>,
    /// Arguments of the command, after its own name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<At<Template>>,
    /// How long a connection may be silent in both directions: `5m` if not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle: Option<Written<Duration>>,
}

/// Messages on the bus.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(deny_unknown_fields)]
pub struct MessageTrigger {
    /// Which: `orders.new`, `orders.*`, `orders.>`.
    pub subject: At<Subject>,
    /// Those who share this name share the messages: each goes to one of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue: Option<At<Name>>,
    /// The link that they come over, by its name: without, they are those of this host's own bus.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link: Option<At<Name>>,
}

/// Messages of a Redis channel.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(deny_unknown_fields)]
pub struct RedisTrigger {
    /// The server: `redis://localhost:6379`.
    pub address: At<Template>,
    /// The channel.
    pub channel: At<Template>,
}

/// Messages of an MQTT topic.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(deny_unknown_fields)]
pub struct MqttTrigger {
    /// The broker: `mqtt://localhost:1883`.
    pub address: At<Template>,
    /// The topic, which may have wildcards.
    pub topic: At<Template>,
    /// Who connects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<At<Template>>,
    /// A variable that holds the password, in braces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<At<Template>>,
    /// How often a message is delivered: 0 at most once, 1 at least once, 2 exactly once.
    #[serde(default)]
    pub qos: u8,
    /// How long a connection may be silent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep_alive: Option<Written<Duration>>,
}

/// Changes of a key-value store: values that are set, and keys that are deleted.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(deny_unknown_fields)]
pub struct WatchTrigger {
    /// Which, as the workload itself opens it: one of its links to `key-value` by name, or a bucket of the link called
    /// `default`.
    pub store: At<String>,
    /// What the keys begin with whose changes it is told. All, if not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    /// The only key whose changes it is told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<At<String>>,
    /// The only kind of changes that it is told. Both, if not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub only: Option<Change>,
    /// How often it is told of a change at most, until that works: 5 times if not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_deliver: Option<At<u32>>,
    /// The pause before it is told again, which doubles with each: a second if not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backoff: Option<Written<Duration>>,
}

/// What can happen to a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    /// It is given a value.
    Set,
    /// It has none any more.
    Delete,
}

impl WatchTrigger {
    /// All changes of a store.
    pub fn of(store: At<String>) -> Self {
        Self { store, prefix: None, key: None, only: None, max_deliver: None, backoff: None }
    }
}

impl HttpTrigger {
    /// Requests at a route, with nothing in front.
    pub fn at(route: Route) -> Self {
        Self {
            route: route.into(),
            middleware: Vec::new(),
            handing: Handing::Auto,
            entrypoint: None,
            argv: None,
            deadline: None,
            max_body: None,
            files: None,
            compress: false,
        }
    }
}

impl Handing {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

fn is_empty<T>(many: &Many<T>) -> bool {
    many.is_empty()
}

impl Triggers {
    /// Requests, and nothing else.
    pub fn http(triggers: Vec<HttpTrigger>) -> Self {
        Self { http: triggers.into(), ..Self::default() }
    }

    /// Whether nothing starts it.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Every template in them, with what it may hold.
    pub(crate) fn templates(&self) -> impl Iterator<Item = &At<Template>> {
        let start = self.start.iter().flat_map(|trigger| &trigger.args);
        let service = self.service.iter().flat_map(|trigger| &trigger.args);
        let cron = self.cron.iter().flat_map(|trigger| &trigger.args);
        let timer = self.timer.iter().flat_map(|trigger| &trigger.args);
        let tcp = self.tcp.iter().flat_map(|trigger| &trigger.args);
        let redis = self.redis.iter().flat_map(|trigger| [&trigger.address, &trigger.channel]);
        let mqtt = self.mqtt.iter().flat_map(|trigger| {
            let required = [&trigger.address, &trigger.topic];
            required.into_iter().chain(&trigger.username).chain(&trigger.password)
        });
        start.chain(service).chain(cron).chain(timer).chain(tcp).chain(redis).chain(mqtt)
    }
}

/// Labels of an application or workload, which mean something to whoever reads them.
pub type Labels = BTreeMap<String, String>;
