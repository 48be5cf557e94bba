//! Answering.

use std::sync::{Arc, MutexGuard};

use futures::future::try_join_all;
use reef_bus::{Capacity, Interest, Message};
use reef_lattice::Lattice;
use reef_planner::Time;
use serde::Serialize;
use tokio::{
    sync::Semaphore,
    task::JoinSet,
    time::{Instant, sleep},
};

use super::{
    accept::Wants,
    change::Fault,
    types::{
        Accept, Answer, Code, Delete, Deploy, Describe, GetApps, GetHistory, GetHosts,
        GetNamespaces, GetPlacements, GetRevision, GetRollouts, Request, Rollback, Scale,
        SetNamespace, SetRollout, SetSchedule, Undeploy,
    },
};
use crate::{
    core::{AppKey, Core, Kept, Name},
    driver::Shared,
};

/// Requests that are answered at once.
const AT_ONCE: usize = 64;
/// How far a controller may be behind the store.
const BEHIND: std::time::Duration = std::time::Duration::from_secs(2);
/// How long a request may take.
const WITHIN: std::time::Duration = std::time::Duration::from_secs(30);

/// What answers.
#[derive(Clone, Debug)]
pub(crate) struct Server(pub(crate) Arc<Shared>);

/// Answers clients, for as long as there is a controller that knows what is wanted. It begins when each host has had the
/// time to say how it is: of what it has not heard, a client would be told that it is not there.
pub(crate) async fn answer(shared: Arc<Shared>) {
    let own = format!("reef.{}.api.>", shared.lattice.name);
    let wadm = crate::wadm::subject(&shared.lattice.name);
    // Who knows nothing yet leaves it to others.
    while !shared.is_current() {
        sleep(std::time::Duration::from_millis(20)).await;
    }
    let server = Server(shared);
    tokio::join!(serve(server.clone(), own, false), serve(server, wadm, true));
}

async fn serve(server: Server, subject: String, wadm: bool) {
    let Ok(parsed) = subject.parse() else { return };
    let interest = Interest {
        name: "controller".into(),
        subject: parsed,
        queue: Some("reef-controller".into()),
        capacity: Capacity::default(),
    };
    let places = Arc::new(Semaphore::new(AT_ONCE));
    let mut tasks = JoinSet::new();
    let mut outage = crate::driver::Outage::default();
    loop {
        match server.lattice().bus.subscribe(interest.clone()).await {
            Ok(subscription) => {
                outage.ended();
                while let Some(message) = subscription.next().await {
                    while tasks.try_join_next().is_some() {}
                    let Ok(place) = places.clone().acquire_owned().await else { return };
                    let server = server.clone();
                    tasks.spawn(async move {
                        server.reply(&message, wadm).await;
                        drop(place);
                    });
                }
            }
            Err(error) if outage.is_to_be_said() => {
                tracing::warn!(%error, "Clients of the lattice cannot be heard; it is tried again until they can.");
            }
            Err(_) => {}
        }
        sleep(std::time::Duration::from_millis(250)).await;
    }
}

impl Server {
    pub(crate) fn lattice(&self) -> &Lattice {
        &self.0.lattice
    }

    pub(crate) fn core(&self) -> MutexGuard<'_, Core> {
        self.0.core()
    }

    pub(crate) fn now(&self) -> Time {
        self.0.now()
    }

    /// What makes artifacts ready, if something here does.
    pub(crate) fn pin(&self) -> Option<Arc<dyn super::Pin>> {
        self.0.pin.clone()
    }

    /// Waits until what this controller knows of an application is what the store has now: a client that was told of a
    /// change by another controller sees it here.
    pub(crate) async fn follow(&self, namespace: &str, app: &str) -> Result<(), Fault> {
        self.follow_record(Name::App(AppKey::new(namespace, app))).await
    }

    /// The same, and of what was said of its workloads beside: how many instances they are to have, and their rollouts.
    async fn follow_workloads(&self, namespace: &str, app: &str) -> Result<(), Fault> {
        self.follow(namespace, app).await?;
        let key = AppKey::new(namespace, app);
        let names: Vec<Name> = {
            let core = self.core();
            let records = core.records();
            let wanted = records.apps.get(&key).and_then(Kept::get).and_then(|app| app.wanted);
            let revision = wanted.and_then(|number| records.revision_of(&key, number));
            let workloads = revision.into_iter().flat_map(|revision| revision.workloads.keys());
            let workloads = workloads.map(|name| key.workload(name));
            workloads.flat_map(|one| [Name::Scale(one.clone()), Name::Rollout(one)]).collect()
        };
        try_join_all(names.into_iter().map(|name| self.follow_record(name))).await?;
        Ok(())
    }

    /// The same of any record.
    pub(crate) async fn follow_record(&self, name: Name) -> Result<(), Fault> {
        let key = name.key().ok_or_else(|| Fault::invalid(format!("`{name}` is not a name")))?;
        let Some(entry) = self.lattice().store.get(&key).await? else { return Ok(()) };
        let until = Instant::now() + BEHIND;
        while self.core().records().revision(&name).is_none_or(|known| known < entry.revision) {
            if Instant::now() >= until {
                return Err(Fault::new(
                    Code::Unavailable,
                    "this controller is behind the store; try again",
                ));
            }
            sleep(std::time::Duration::from_millis(2)).await;
        }
        Ok(())
    }

    async fn reply(&self, message: &Message, wadm: bool) {
        let Some(to) = message.reply_to() else { return };
        let answering = async {
            match wadm {
                true => crate::wadm::answer(self, message.subject(), message.body()).await,
                false => {
                    let operation = message.subject().rsplit('.').next().unwrap_or_default();
                    self.dispatch(operation, message.body()).await
                }
            }
        };
        let late = || {
            written(&Answer::<()>::Error(Fault::new(
                Code::Unavailable,
                "it took too long; it may have been done",
            )))
        };
        let body = tokio::time::timeout(WITHIN, answering).await.unwrap_or_else(|_| late());
        let Ok(answer) = Message::new(to, body) else { return };
        if let Err(error) = self.lattice().bus.publish(answer).await {
            tracing::debug!(%error, "A client was not answered.");
            let fault = Fault::new(Code::TooLarge, format!("the answer was not carried: {error}"));
            if let Ok(answer) = Message::new(to, written(&Answer::<()>::Error(fault))) {
                let _ = self.lattice().bus.publish(answer).await;
            }
        }
    }

    async fn dispatch(&self, operation: &str, body: &[u8]) -> Vec<u8> {
        if !self.core().is_current() {
            // Clients ask again for longer than a start takes.
            let why = "this controller does not hear the store: JetStream of its NATS server is down, \
                       or cut off from its cluster";
            let fault = Fault::new(Code::Unavailable, why);
            return written(&Answer::<()>::Error(fault));
        }
        macro_rules! operations {
            ($($request:ident => |$asked:pat_param| $answer:expr,)*) => {
                match operation {
                    $($request::OPERATION => match serde_json::from_slice::<$request>(body) {
                        Ok($asked) => answered::<$request>($answer),
                        Err(error) => written(&Answer::<()>::Error(garbage(&error))),
                    },)*
                    other => written(&Answer::<()>::Error(Fault::new(
                        Code::Unknown,
                        format!("no controller here knows the operation `{other}`"),
                    ))),
                }
            };
        }
        operations! {
            GetHosts => |GetHosts {}| Ok(self.hosts()),
            GetApps => |asked| Ok(self.apps(&asked)),
            GetPlacements => |asked| Ok(self.placements(&asked)),
            Describe => |asked| self.follow_workloads(&asked.namespace, &asked.app).await.and_then(|()| self.describe(&asked)),
            GetHistory => |asked| self.follow(&asked.namespace, &asked.app).await.and_then(|()| self.history(&asked)),
            GetRevision => |asked| self.follow(&asked.namespace, &asked.app).await.and_then(|()| self.revision(&asked)),
            Accept => |asked| super::accept(self, asked, Wants::It).await,
            Delete => |asked| self.delete(&asked).await,
            Undeploy => |asked| self.undeploy(&asked).await,
            Deploy => |asked| match self.follow(&asked.namespace, &asked.app).await {
                Ok(()) => self.deploy(&asked).await,
                Err(fault) => Err(fault),
            },
            Rollback => |asked| match self.follow(&asked.namespace, &asked.app).await {
                Ok(()) => self.roll_back(&asked).await,
                Err(fault) => Err(fault),
            },
            Scale => |asked| match self.follow(&asked.namespace, &asked.app).await {
                Ok(()) => self.scale(&asked).await,
                Err(fault) => Err(fault),
            },
            SetSchedule => |asked| self.schedule(&asked).await,
            GetRollouts => |asked| self.follow_workloads(&asked.namespace, &asked.app).await.and_then(|()| self.rollouts(&asked)),
            SetRollout => |asked| match self.follow_workloads(&asked.namespace, &asked.app).await {
                Ok(()) => self.rollout(&asked).await,
                Err(fault) => Err(fault),
            },
            GetNamespaces => |GetNamespaces {}| Ok(self.namespaces()),
            SetNamespace => |asked| self.namespace(&asked).await,
        }
    }
}

fn answered<R: Request>(answer: Result<R::Answer, Fault>) -> Vec<u8> {
    match answer {
        Ok(answer) => written(&Answer::Ok(answer)),
        Err(fault) => written(&Answer::<()>::Error(fault)),
    }
}

fn garbage(error: &serde_json::Error) -> Fault {
    Fault::invalid(format!("the request cannot be understood: {error}"))
}

/// As it is sent.
pub(crate) fn written<T: Serialize>(answer: &T) -> Vec<u8> {
    serde_json::to_vec(answer).unwrap_or_else(|error| {
        let text =
            serde_json::json!({ "error": { "code": "unavailable", "message": error.to_string() } });
        text.to_string().into_bytes()
    })
}
