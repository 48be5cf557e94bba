//! What an adapter uses: one link, to publish and to ask.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use reef_capability::{Caller, Failure, Link, Operation};

use crate::{Channel, Message};

static PUBLISH: Operation = Operation::once("publish");
static REQUEST: Operation = Operation::once("request");
pub(crate) static SETTLE: Operation = Operation::once("settle");

/// What can be done over a link.
pub static OPERATIONS: &[&Operation] = &[&PUBLISH, &REQUEST, &SETTLE];

/// The longest that an answer is waited for.
const LONGEST: Duration = Duration::from_secs(600);
/// Bytes of a subject.
const LONGEST_SUBJECT: usize = 1024;

/// One link, to publish and to ask. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Publisher {
    link: Arc<Link<Channel>>,
}

/// The message that an instance handles, which it may answer whatever else it may publish.
#[derive(Clone, Debug)]
pub struct Answering {
    /// Where it is answered.
    pub subject: String,
    /// The link that it came over, or one to the host's own bus.
    pub link: Arc<Link<Channel>>,
}

impl Publisher {
    /// A link's.
    pub fn new(link: Arc<Link<Channel>>) -> Self {
        Self { link }
    }

    /// Bytes that a message may have.
    pub fn most(&self) -> u64 {
        self.link.gate.policy().size
    }

    /// Publishes a message.
    ///
    /// # Errors
    /// When that is not allowed, too large, or fails.
    pub async fn publish(
        &self,
        caller: &Caller,
        message: Message,
        answering: Option<&Answering>,
    ) -> Result<(), Failure> {
        self.check(&message, answering)?;
        let backend = self.link.backend.backend();
        self.link.gate.run(caller, &PUBLISH, || backend.publish(message.clone())).await
    }

    /// Publishes a message and waits for the first answer: for as long as the link's timeout if nothing is said.
    ///
    /// # Errors
    /// As [`publish`](Self::publish); when nobody can answer, or does in time.
    pub async fn request(
        &self,
        message: Message,
        within: Option<Duration>,
    ) -> Result<Message, Failure> {
        self.check(&message, None)?;
        let gate = &self.link.gate;
        let within = within.unwrap_or(gate.policy().timeout).min(LONGEST);
        let _place = gate.hold().await?;
        let start = Instant::now();
        // It is the one who answers that takes this time, not the server.
        let limit = within + gate.policy().timeout;
        let asked =
            tokio::time::timeout(limit, self.link.backend.backend().request(message, within));
        let answer = asked.await.unwrap_or(Err(Failure::Timeout(limit)));
        gate.note(&REQUEST, start.elapsed(), answer.as_ref().err());
        answer?.ok_or(Failure::Timeout(within))
    }

    fn check(&self, message: &Message, answering: Option<&Answering>) -> Result<(), Failure> {
        let gate = &self.link.gate;
        let (is, most) = (message.subject.len(), LONGEST_SUBJECT);
        if is > most {
            let (is, most) = (is as u64, most as u64);
            return Err(Failure::TooLarge { what: "subject", is, most });
        }
        gate.fits("message", message.size())?;
        let (syntax, subject) = (self.link.backend.backend().syntax(), &*message.subject);
        syntax.check(subject).map_err(Failure::Invalid)?;
        if !syntax.is_exact(subject) {
            let why = "a message has one subject, and `";
            return Err(Failure::Invalid(format!("{why}{subject}` is a pattern of several")));
        }
        if answering.is_some_and(|to| to.subject == message.subject) {
            return Ok(());
        }
        self.link.backend.allows(gate.workload(), &message.subject).inspect_err(|why| {
            let (workload, denied, grant) = (&**gate.workload(), "link", "wasmcloud:messaging");
            tracing::warn!(workload, denied, grant, subject = &*message.subject, "{why}");
        })
    }
}
