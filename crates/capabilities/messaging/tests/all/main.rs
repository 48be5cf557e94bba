//! Messaging over real servers.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod faults;
mod redelivery;
mod slow;
mod suite;
mod tls;

use std::{path::Path, sync::Arc, time::Duration};

use reef_bus::Capacity;
use reef_capability::{Gate, Link, Opening, Policy, Settings, find};
use reef_messaging::{
    BACKENDS, CAPABILITY, Channel, Incoming, Interest, OPERATIONS, Outcome, Received, Terms,
};
use tokio::{sync::mpsc, time::timeout};

/// Nothing that a test waits for takes so long.
const PATIENCE: Duration = Duration::from_secs(60);

/// A workload's link, as a manifest would have it.
pub(crate) fn link(backend: &str, settings: &[(&str, &str)]) -> Arc<Link<Channel>> {
    let backend = find(BACKENDS, backend).unwrap();
    let mut settings: Settings = settings.iter().copied().collect();
    let terms = Terms::take(&mut settings).unwrap();
    let policy = Policy::read(&settings).unwrap();
    let names: Vec<String> = settings.names().map(str::to_owned).collect();
    for name in names {
        if reef_capability::POLICY.iter().any(|one| one.name == name) {
            settings.take(&name);
        }
    }
    let runtime = tokio::runtime::Handle::current();
    let opening = Opening {
        application: "app",
        settings: &settings,
        folder: Path::new("."),
        data: None,
        runtime: &runtime,
    };
    let opened = (backend.open)(opening).unwrap();
    beside(
        &Link {
            place: None,
            gate: gate(backend.system, policy),
            backend: Arc::new(Channel::new(opened, Terms::default()).unwrap()),
        },
        terms,
    )
}

fn gate(system: &'static str, policy: Policy) -> Gate {
    Gate::new("w".into(), "default".into(), (CAPABILITY, system), policy, OPERATIONS)
}

/// Another link to the same backend.
pub(crate) fn beside(link: &Link<Channel>, terms: Terms) -> Arc<Link<Channel>> {
    let channel = Channel::new(link.backend.backend().clone(), terms).unwrap();
    let gate = gate(link.gate.system(), link.gate.policy().clone());
    Arc::new(Link { place: None, gate, backend: Arc::new(channel) })
}

pub(crate) fn interest(link: &Link<Channel>, name: &str, subject: &str) -> Interest {
    Interest {
        name: name.into(),
        subject: subject.into(),
        queue: None,
        capacity: Capacity::default(),
        most: 8,
        ack_wait: link.backend.terms().ack_wait,
    }
}

/// What a handler was given.
#[derive(Debug, PartialEq, Eq, Clone)]
pub(crate) struct Got {
    pub(crate) subject: String,
    pub(crate) body: String,
    pub(crate) attempt: u32,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) reply_to: Option<String>,
}

/// A workload that handles what comes.
pub(crate) struct Worker {
    incoming: Incoming,
    got: mpsc::UnboundedReceiver<Got>,
    task: tokio::task::JoinHandle<()>,
}

impl Worker {
    /// One that says of each message how it went.
    pub(crate) async fn start(
        link: &Arc<Link<Channel>>,
        interest: Interest,
        outcome: impl Fn(&Received) -> Outcome + Send + Sync + 'static,
    ) -> Self {
        let incoming = Incoming::open(link.clone(), interest).await.unwrap();
        let (sender, got) = mpsc::unbounded_channel();
        let from = incoming.clone();
        let task = tokio::spawn(async move {
            while let Some(received) = from.next().await {
                let message = received.message();
                let got = Got {
                    subject: message.subject.clone(),
                    body: String::from_utf8_lossy(&message.body).into_owned(),
                    attempt: received.attempt(),
                    headers: message.headers.clone(),
                    reply_to: message.reply_to.clone(),
                };
                let outcome = outcome(&received);
                received
                    .handled_by(async {
                        let _ = sender.send(got);
                        outcome
                    })
                    .await;
            }
        });
        Self { incoming, got, task }
    }

    pub(crate) async fn next(&mut self) -> Got {
        match timeout(PATIENCE, self.got.recv()).await {
            Ok(Some(got)) => got,
            Ok(None) => panic!("it ended"),
            Err(_) => panic!("nothing came; {:?}", self.incoming.state()),
        }
    }

    pub(crate) async fn bodies(&mut self, count: usize) -> Vec<String> {
        let mut all = Vec::new();
        for _ in 0..count {
            all.push(self.next().await.body);
        }
        all.sort();
        all
    }

    pub(crate) fn nothing_more(&mut self) {
        assert_eq!(self.got.try_recv().ok(), None);
    }

    /// It takes no more, as a host that ends.
    pub(crate) async fn end(self) {
        self.task.abort();
        let _ = self.task.await;
        self.incoming.end().await;
    }
}
