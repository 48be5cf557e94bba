//! Asking controllers.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use reef_bus::{Bus, Message, RequestError};
use reef_lattice::record::Status;
use reef_planner::{Phase, Verdict};
use tokio::time::sleep;

use super::types::{Answer, ApiError, Code, Describe, Description, Request, Unrouted};

/// How often a client that waits looks: at first, and at last.
const LOOK: (Duration, Duration) = (Duration::from_millis(10), Duration::from_millis(100));
/// How long it is waited for hosts to follow the routes of what is deployed: requests that come to others find it.
const ROUTED: Duration = Duration::from_secs(5);
/// How long files may be on their way to hosts before that is said.
const SAID: Duration = Duration::from_secs(1);

/// Who asks the controllers of a lattice. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Client {
    bus: Arc<dyn Bus>,
    lattice: Arc<str>,
    /// How long it may take in all until there is an answer.
    within: Duration,
}

/// Why there is no answer, or what it says.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// It was answered, with an error.
    #[error(transparent)]
    Refused(#[from] ApiError),
    /// Nobody answers.
    #[error(
        "no controller answers in lattice `{lattice}`: start a host there, or `reef controller`"
    )]
    Nobody {
        /// Which.
        lattice: String,
    },
    /// Not in time. What was asked may have been done.
    #[error(
        "no controller of lattice `{lattice}` answered within {within:?}: it may have been done{}",
        .before.as_ref().map(|before| format!("; asked before: {before}")).unwrap_or_default()
    )]
    Late {
        /// Which.
        lattice: String,
        /// How long.
        within: Duration,
        /// What came of asking before.
        before: Option<String>,
    },
    /// The bus does not carry it.
    #[error("the lattice's bus: {0}")]
    Bus(String),
    /// What was answered makes no sense.
    #[error("the answer cannot be understood: {0}")]
    Garbage(String),
    /// It was waited for, and is not to be.
    #[error("its rollout went back to the revision before: {now}")]
    WentBack {
        /// How it is.
        now: String,
    },
    /// It was waited for, and is not so.
    #[error("not so within {within:?}: {now}")]
    NotYet {
        /// How long it was waited for.
        within: Duration,
        /// How it is.
        now: String,
    },
}

impl Client {
    /// Of a lattice.
    pub fn new(bus: Arc<dyn Bus>, lattice: &str) -> Self {
        Self { bus, lattice: lattice.into(), within: Duration::from_secs(15) }
    }

    /// The same, with another deadline for each call.
    #[must_use]
    pub fn within(self, within: Duration) -> Self {
        Self { within, ..self }
    }

    /// Asks. What is safe is asked again where there was no answer, until the deadline.
    ///
    /// # Errors
    /// What the controller says; that there is none.
    pub async fn call<R: Request>(&self, request: &R) -> Result<R::Answer, CallError> {
        let until = Instant::now() + self.within;
        let body = serde_json::to_vec(request).map_err(|error| bus(&error))?;
        let subject = format!("reef.{}.api.{}", self.lattice, R::OPERATION);
        let message = Message::new(&subject, body).map_err(|error| bus(&error))?;
        let mut pause = Duration::from_millis(50);
        let mut before = None;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let patience = R::AGAIN.map_or(left, |patience| left.min(patience));
            let answer = self.bus.request(message.clone(), patience).await;
            let (error, may_try) = match answer {
                Ok(answer) => match serde_json::from_slice(answer.body()) {
                    Ok(Answer::Ok(answer)) => return Ok(answer),
                    Ok(Answer::Error(error)) => {
                        let again = error.code == Code::Unavailable;
                        before = Some(error.to_string());
                        (CallError::Refused(error), again)
                    }
                    Err(error) => return Err(CallError::Garbage(error.to_string())),
                },
                // Nobody had it: asking again does nothing twice.
                Err(RequestError::NoResponders { .. }) => {
                    (CallError::Nobody { lattice: self.lattice.to_string() }, true)
                }
                Err(RequestError::Timeout { .. }) => {
                    let (lattice, within) = (self.lattice.to_string(), self.within);
                    (
                        CallError::Late { lattice, within, before: before.clone() },
                        R::AGAIN.is_some(),
                    )
                }
                Err(error) => {
                    let error = bus(&error);
                    before = Some(error.to_string());
                    (error, R::AGAIN.is_some())
                }
            };
            let jitter = pause.mul_f64(0.5 + fastrand::f64());
            if !may_try || Instant::now() + jitter >= until {
                return Err(error);
            }
            sleep(jitter).await;
            pause = (pause * 2).min(Duration::from_secs(1));
        }
    }

    /// Waits until an application is as it is wanted, by a status that is about the store's revision `of` or a later
    /// one, and requests for it find it at every host that is heard of. `seen` is told each status that differs from
    /// the one before, and the hosts that files are on their way to, or cannot be had by.
    ///
    /// # Errors
    /// When it is not so in time, or cannot become so by itself; as [`call`](Self::call).
    pub async fn wait(
        &self,
        namespace: &str,
        app: &str,
        of: u64,
        within: Duration,
        mut seen: impl FnMut(&Status, &[Unrouted]),
    ) -> Result<Status, CallError> {
        let until = Instant::now() + within;
        let mut last: Option<(Status, Vec<Unrouted>)> = None;
        let mut deployed: Option<Instant> = None;
        let mut pause = LOOK.0;
        let describe = Describe { namespace: namespace.to_owned(), app: app.to_owned() };
        loop {
            let Description { status, unrouted, .. } = self.call(&describe).await?;
            let status = status.filter(|status| status.of >= of);
            if let Some(status) = status {
                let mut without = Vec::new();
                if matches!(status.phase, Phase::Deployed) {
                    let since = deployed.get_or_insert_with(Instant::now).elapsed();
                    let is_routed = unrouted.is_empty() || since >= ROUTED;
                    without.extend(unrouted.into_iter().filter(|one| one.files));
                    if is_routed && without.is_empty() {
                        return Ok(status);
                    }
                    if since < SAID {
                        without.clear();
                    }
                }
                if went_back(&status) {
                    return Err(CallError::WentBack { now: said(&status) });
                }
                let now = (status, without);
                if last.as_ref() != Some(&now) {
                    seen(&now.0, &now.1);
                }
                last = Some(now);
            }
            if Instant::now() >= until {
                let now = last.map_or_else(
                    || "no controller has looked at it yet".to_owned(),
                    |(status, without)| {
                        let without = without.iter().map(|one| format!("; {one}"));
                        without.fold(said(&status), |text, one| text + &one)
                    },
                );
                return Err(CallError::NotYet { within, now });
            }
            sleep(pause).await;
            pause = (pause * 2).min(LOOK.1);
        }
    }

    /// Waits until nothing of an application is there any more.
    ///
    /// # Errors
    /// When it is not so in time; as [`call`](Self::call).
    pub async fn wait_gone(
        &self,
        namespace: &str,
        app: &str,
        within: Duration,
    ) -> Result<(), CallError> {
        let until = Instant::now() + within;
        let describe = Describe { namespace: namespace.to_owned(), app: app.to_owned() };
        loop {
            let now = match self.call(&describe).await {
                Err(CallError::Refused(error)) if error.code == Code::NotFound => return Ok(()),
                Err(error) => return Err(error),
                Ok(description) => description.status.map_or_else(String::new, |one| said(&one)),
            };
            if Instant::now() >= until {
                return Err(CallError::NotYet { within, now });
            }
            sleep(LOOK.1).await;
        }
    }
}

/// Whether a workload of it stays at another revision than is wanted, whatever is waited for.
fn went_back(status: &Status) -> bool {
    let rollouts = status.workloads.values().filter_map(|one| one.rollout.as_ref());
    rollouts.into_iter().any(|state| matches!(state.verdict, Verdict::RolledBack(_)))
}

/// A status in a line.
fn said(status: &Status) -> String {
    let mut text = crate::core::word(status.phase).to_owned();
    for (name, workload) in &status.workloads {
        let reason = workload.reasons.first();
        let of = format!("; {name}: {} of {} ready", workload.ready, workload.wanted);
        text.push_str(&of);
        reason.iter().for_each(|reason| text.push_str(&format!(", {reason}")));
    }
    text
}

fn bus(error: &dyn std::fmt::Display) -> CallError {
    CallError::Bus(error.to_string())
}
