//! MQTT: topics, with the qualities of service 0, 1 and 2.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use reef_capability::{
    Backend, Failure, OpenError, Opening, Setting, SettingError, TLS_CERT, TLS_KEY, TLS_ROOTS,
};
use reef_mqtt::{
    Ack, Broker, Client, ConnectError, Credentials, Event, PublishError, QoS, Topic, listen_until,
};
use tokio::{
    runtime::Handle,
    sync::{Notify, mpsc, mpsc::error::TrySendError, oneshot},
    task::JoinHandle,
};

use crate::{Delivery, Interest, Message, Messaging, Receipt, Subscription, Syntax};

const URL: Setting =
    Setting::new("url", "the broker: `mqtt://host:1883`, with TLS `mqtts://host:8883`");
const USER: Setting = Setting::new("user", "a user's name");
const PASSWORD: Setting = Setting::new("password", "the user's password, by secret reference");
const QOS: Setting = Setting::new(
    "qos",
    "the quality of service: `0` at most once, `1` at least once, `2` exactly once; `1` if not said",
);
const SESSION: Setting = Setting::new(
    "session",
    "the name of a session that the broker keeps while this host is away; of one host only",
);

pub(crate) const BACKEND: Backend<dyn Messaging> = Backend {
    name: "mqtt",
    system: "mqtt",
    settings: &[URL, USER, PASSWORD, QOS, SESSION, TLS_ROOTS, TLS_CERT, TLS_KEY],
    private: false,
    open,
};

#[derive(Debug)]
struct Mqtt {
    broker: Broker,
    client: Client,
    runtime: Handle,
    qos: QoS,
    session: Option<String>,
    leaving: Arc<Leaving>,
}

/// Connections that are about to end: until then, nobody takes up their sessions.
#[derive(Debug, Default)]
struct Leaving(Mutex<Vec<JoinHandle<()>>>);

impl Leaving {
    fn add(&self, connection: JoinHandle<()>) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|one| !one.is_finished());
        all.push(connection);
    }

    /// Waits for them. Each has a deadline of its own.
    async fn have_left(&self) {
        let all = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        for one in all {
            let _ = one.await;
        }
    }
}

fn open(opening: Opening<'_>) -> Result<Arc<dyn Messaging>, OpenError> {
    let Opening { settings, runtime, folder, .. } = opening;
    let wrong = |name, why: String| SettingError::Wrong { name, why };
    let mut broker = Broker::parse(settings.required(&URL)?, None)
        .map_err(|error| wrong(URL.name, format!("is wrong: {error}")))?;
    if !broker.wants_tls() {
        settings.no_tls("write `mqtts://` in `url`")?;
    }
    broker = broker.with_tls(settings.tls(folder)?.unwrap_or_default());
    match (settings.get(USER.name), settings.get(PASSWORD.name)) {
        (Some(name), password) => {
            let (name, password) = (name.to_owned(), password.map(str::to_owned));
            broker = broker.with_credentials(Credentials { name, password });
        }
        (None, Some(_)) => {
            return Err(wrong(USER.name, "belongs to `password`".to_owned()).into());
        }
        (None, None) => {}
    }
    let qos = match settings.get(QOS.name).unwrap_or("1").trim() {
        "0" => QoS::AtMostOnce,
        "1" => QoS::AtLeastOnce,
        "2" => QoS::ExactlyOnce,
        other => return Err(wrong(QOS.name, format!("is 0, 1 or 2, and not `{other}`")).into()),
    };
    let session = settings.get(SESSION.name).map(str::trim).filter(|name| !name.is_empty());
    if session.is_some() && qos == QoS::AtMostOnce {
        let why = "is of no use with `qos = 0`, for which nothing is kept".to_owned();
        return Err(wrong(SESSION.name, why).into());
    }
    let session = session.map(str::to_owned);
    let (client, runtime) = (Client::new(broker.clone(), runtime.clone()), runtime.clone());
    let leaving = Arc::default();
    Ok(Arc::new(Mqtt { broker, client, runtime, qos, session, leaving }))
}

#[async_trait]
impl Messaging for Mqtt {
    fn syntax(&self) -> Syntax {
        Syntax::Levels
    }

    fn keeps(&self) -> bool {
        self.session.is_some()
    }

    async fn publish(&self, message: Message) -> Result<(), Failure> {
        let published = self.client.publish(&message.subject, message.body, self.qos).await;
        published.map_err(failed)
    }

    async fn request(&self, _: Message, _: Duration) -> Result<Option<Message>, Failure> {
        let why = "MQTT 3.1.1 has no place for where a message is answered; publish one to a topic of your own";
        Err(Failure::Unsupported(why.to_owned()))
    }

    async fn subscribe(&self, interest: &Interest) -> Result<Box<dyn Subscription>, Failure> {
        let filter = match &interest.queue {
            Some(queue) => format!("$share/{queue}/{}", interest.subject),
            None => interest.subject.to_string(),
        };
        let topic: Topic = filter
            .parse()
            .map_err(|error: reef_mqtt::TopicError| Failure::Invalid(error.to_string()))?;
        let mut broker = self.broker.clone();
        if let Some(session) = &self.session {
            // Each subscription is a connection of its own.
            broker = broker.with_session(format!("{session}-{}-{filter}", interest.name));
        }
        self.leaving.have_left().await;
        let leaving = self.session.as_ref().map(|_| self.leaving.clone());
        subscribe((broker, topic, self.qos), &self.runtime, interest, leaving).await
    }
}

pub(crate) fn failed(error: PublishError) -> Failure {
    match error {
        PublishError::Connect(error) => unreachable(&error),
        PublishError::Topic(_) => Failure::Invalid(error.to_string()),
        PublishError::TooLarge { is, most } => {
            Failure::TooLarge { what: "message", is: is as u64, most: most as u64 }
        }
        PublishError::Lost(_) => Failure::lost(format!("MQTT: {error}")),
        PublishError::Timeout(time) => Failure::Timeout(time),
    }
}

fn unreachable(error: &ConnectError) -> Failure {
    Failure::unreachable(format!("MQTT: {error}"))
}

struct Topics {
    messages: mpsc::Receiver<Delivery>,
    lost: Arc<Mutex<Option<Failure>>>,
    task: Option<JoinHandle<()>>,
    /// Of a session that is kept.
    leaving: Option<Arc<Leaving>>,
    ended: bool,
}

/// An acknowledgement can be given once.
#[derive(Debug)]
struct Once(Mutex<Option<Ack>>);

async fn subscribe(
    (broker, topic, qos): (Broker, Topic, QoS),
    runtime: &Handle,
    interest: &Interest,
    leaving: Option<Arc<Leaving>>,
) -> Result<Box<dyn Subscription>, Failure> {
    let (sender, messages) = mpsc::channel(interest.capacity.messages.max(interest.most).max(1));
    let (listening, listens) = oneshot::channel();
    let lost = Arc::new(Mutex::new(None));
    let (why, name, keeps) = (lost.clone(), interest.name.clone(), leaving.is_some());
    let task = runtime.spawn(async move {
        let (over, dropped) = (Notify::new(), AtomicBool::new(false));
        let mut listening = Some(listening);
        let told = |event| match event {
            Event::Listening => {
                if let Some(listening) = listening.take() {
                    let _ = listening.send(());
                }
            }
            Event::Message(message) => {
                let reef_mqtt::Message { topic, payload, ack } = message;
                match sender.try_reserve() {
                    Ok(place) => {
                        let once = |ack| Box::new(Once(Mutex::new(Some(ack)))) as Box<dyn Receipt>;
                        let (message, receipt) = (Message::new(topic, payload), ack.map(once));
                        place.send(Delivery { message, attempt: 1, receipt });
                    }
                    // Nobody wants it any more.
                    Err(TrySendError::Closed(())) => {}
                    // The broker has it still, and delivers it to the next connection.
                    Err(_) if keeps && ack.is_some() => over.notify_one(),
                    Err(_) => {
                        if let Some(ack) = ack {
                            // Or the broker would send less and less ahead.
                            ack.at_once();
                        }
                        if !dropped.swap(true, Ordering::Relaxed) {
                            tracing::warn!(
                                workload = &*name,
                                "Messages of MQTT come faster than they are handled, and the newest are dropped."
                            );
                        }
                    }
                }
            }
            Event::Lost { why: error, .. } => {
                *why.lock().unwrap_or_else(PoisonError::into_inner) = Some(unreachable(&error));
                over.notify_one();
            }
        };
        let until = async {
            tokio::select! {
                // Who subscribed tries again.
                () = over.notified() => {}
                () = sender.closed() => {}
            }
        };
        listen_until(&broker, &topic, qos, told, until).await;
    });
    let topics = Topics { messages, lost, task: Some(task), leaving, ended: false };
    match listens.await {
        Ok(()) => Ok(Box::new(topics)),
        Err(_) => Err(topics.why()),
    }
}

impl Topics {
    fn why(&self) -> Failure {
        let why = self.lost.lock().unwrap_or_else(PoisonError::into_inner).take();
        why.unwrap_or_else(|| Failure::lost("MQTT: messages came faster than they were handled"))
    }
}

#[async_trait]
impl Subscription for Topics {
    async fn next(&mut self) -> Option<Result<Delivery, Failure>> {
        if self.ended {
            // With a session, what was not begun is the broker's to deliver again. The connection stays until
            // this is dropped, as it is to be told of those that were.
            let next = self.messages.try_recv().ok().filter(|_| self.leaving.is_none());
            return next.map(Ok);
        }
        if self.leaving.is_some()
            && self.lost.lock().unwrap_or_else(PoisonError::into_inner).is_some()
        {
            // The same for those that came over a connection that was lost: the broker cannot be told of them.
            return Some(Err(self.why()));
        }
        Some(self.messages.recv().await.ok_or_else(|| self.why()))
    }

    async fn end(&mut self) {
        self.ended = true;
    }
}

impl Drop for Topics {
    fn drop(&mut self) {
        match (self.task.take(), &self.leaving) {
            // It sees that nobody wants messages any more.
            (Some(task), Some(leaving)) => leaving.add(task),
            (Some(task), None) => task.abort(),
            (None, _) => {}
        }
    }
}

#[async_trait]
impl Receipt for Once {
    async fn done(&self) -> Result<(), Failure> {
        let ack = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(ack) = ack {
            ack.done().await;
        }
        Ok(())
    }

    async fn again(&self, _after: Duration) -> Result<bool, Failure> {
        // It delivers again when the connection was another one, and not before.
        Ok(false)
    }

    async fn hold(&self, _attempt: u32) -> Result<(), Failure> {
        // For as long as the connection is there, it is ours.
        Ok(())
    }
}
