//! Redis: channels, for who is there; streams with consumer groups, which keep messages until they are handled.

mod channels;
mod streams;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use reef_capability::{
    Backend, Failure, OpenError, Opening, Setting, SettingError, TLS_CERT, TLS_KEY, TLS_ROOTS,
};
use reef_redis::{Client, CommandError, Server, redis::cmd};
use tokio::runtime::Handle;

use crate::{Interest, Message, Messaging, Subscription};

const URL: Setting = Setting::new("url", "the server: `redis://host:6379`, with TLS `rediss://…`");
const DURABLE: Setting = Setting::new(
    "durable",
    "`true` to have streams in place of channels: they keep messages until they are handled",
);
const MAX_LENGTH: Setting = Setting::new(
    "max-length",
    "how many messages a stream keeps at least; older ones go, handled or not: `100000`",
);

pub(crate) const BACKEND: Backend<dyn Messaging> = Backend {
    name: "redis",
    system: "redis",
    settings: &[URL, DURABLE, MAX_LENGTH, TLS_ROOTS, TLS_CERT, TLS_KEY],
    private: false,
    open,
};

/// How long a server may take to answer: less than a link's timeout, so that the failure says what was slow.
pub(crate) const ANSWERING: Duration = Duration::from_secs(4);

#[derive(Debug)]
struct Redis {
    server: Server,
    client: Client,
    runtime: Handle,
    streams: bool,
    max_length: Option<u64>,
}

fn open(opening: Opening<'_>) -> Result<Arc<dyn Messaging>, OpenError> {
    let Opening { settings, runtime, folder, .. } = opening;
    let wrong = |name, why: String| SettingError::Wrong { name, why };
    let server = Server::parse(settings.required(&URL)?)
        .map_err(|error| wrong(URL.name, format!("is wrong: {error}")))?;
    if !server.wants_tls() {
        settings.no_tls("write `rediss://` in `url`")?;
    }
    let server = server.with_tls(settings.tls(folder)?.unwrap_or_default());
    let streams = settings.flag(DURABLE.name)?.unwrap_or(false);
    let max_length = settings.parsed(MAX_LENGTH.name)?;
    if max_length.is_some() && !streams {
        return Err(wrong(MAX_LENGTH.name, "belongs to `durable = true`".to_owned()).into());
    }
    let client = Client::new(server.clone(), ANSWERING, runtime.clone());
    let runtime = runtime.clone();
    Ok(Arc::new(Redis { server, client, runtime, streams, max_length }))
}

#[async_trait]
impl Messaging for Redis {
    fn keeps(&self) -> bool {
        self.streams
    }

    async fn publish(&self, message: Message) -> Result<(), Failure> {
        if self.streams {
            let add = streams::add(&message, self.max_length);
            return self.client.ask::<Vec<u8>>(&add).await.map(drop).map_err(failed);
        }
        let mut publish = cmd("PUBLISH");
        publish.arg(&message.subject).arg(&message.body[..]);
        self.client.ask::<i64>(&publish).await.map(drop).map_err(failed)
    }

    async fn request(&self, _: Message, _: Duration) -> Result<Option<Message>, Failure> {
        let why = "Redis has no place for where a message is answered; publish one to a subject of your own";
        Err(Failure::Unsupported(why.to_owned()))
    }

    async fn subscribe(&self, interest: &Interest) -> Result<Box<dyn Subscription>, Failure> {
        match self.streams {
            true => streams::subscribe(&self.server, &self.client, &self.runtime, interest).await,
            false => channels::subscribe(&self.server, &self.runtime, interest).await,
        }
    }
}

pub(crate) fn failed(error: CommandError) -> Failure {
    match error {
        CommandError::Connect(error) => Failure::unreachable(format!("Redis: {error}")),
        CommandError::Lost(_) => Failure::lost(format!("Redis: {error}")),
        CommandError::Timeout(time) => Failure::Timeout(time),
        CommandError::Refused { code, text } => match &*code {
            "OOM" => Failure::Full(text),
            "NOAUTH" | "WRONGPASS" | "NOPERM" => {
                Failure::Denied(format!("Redis refuses the link's credentials: {text}"))
            }
            "READONLY" | "LOADING" | "MASTERDOWN" | "CLUSTERDOWN" | "TRYAGAIN" => {
                Failure::unreachable(format!("Redis: {text}"))
            }
            "WRONGTYPE" => Failure::Invalid(format!("Redis: {text}")),
            _ => Failure::Backend(format!("Redis: {text}")),
        },
        CommandError::Garbage(_) => Failure::Backend(format!("Redis: {error}")),
    }
}
