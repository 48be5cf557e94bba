//! What every use of a link passes through.

use std::{
    fmt,
    pin::pin,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit};

use crate::{breaker::Breaker, failure::Failure, policy::Policy, rate::Bucket, usage::Usage};

/// The first pause before what failed is tried again; it doubles, and each is shortened by chance.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
/// Beyond that, a timeout is none: thirty years.
const LONGEST: Duration = Duration::from_secs(30 * 365 * 24 * 60 * 60);
/// Time between two lines of the log on a link that goes on failing.
const QUIET: Duration = Duration::from_secs(1);

/// Something that a capability can be asked to do.
#[derive(Debug, PartialEq, Eq)]
pub struct Operation {
    /// What metrics and spans call it.
    pub name: &'static str,
    /// Whether it comes to the same if it is done twice.
    pub repeatable: bool,
}

/// On whose behalf a use is made.
#[derive(Clone, Default)]
pub struct Caller {
    /// What records its spans, if anything does.
    pub trace: Option<Arc<dyn Trace>>,
}

/// Records spans below a guest's.
pub trait Trace: Send + Sync {
    /// Begins one, by its name and attributes.
    fn begin(&self, name: &str, attributes: &[(&'static str, &str)]) -> Box<dyn Span>;
}

/// A span that ends when it is dropped.
pub trait Span: Send + Sync {
    /// What it was for failed.
    fn fail(&mut self, kind: &'static str, why: &str);
}

/// What every use of one link passes through.
#[derive(Debug)]
pub struct Gate {
    workload: Arc<str>,
    link: Arc<str>,
    capability: &'static str,
    system: &'static str,
    policy: Policy,
    slots: Arc<Semaphore>,
    bucket: Option<Bucket>,
    /// None: what cannot be done is not the backend's alone to decide.
    breaker: Option<Breaker>,
    usage: Usage,
    said: Mutex<Option<(Instant, u64)>>,
}

impl Operation {
    /// One that comes to the same if it is done twice.
    pub const fn repeatable(name: &'static str) -> Self {
        Self { name, repeatable: true }
    }

    /// One that is done once at most.
    pub const fn once(name: &'static str) -> Self {
        Self { name, repeatable: false }
    }
}

impl Gate {
    /// A gate for a workload's link to a backend that telemetry calls `system`.
    pub fn new(
        workload: Arc<str>,
        link: Arc<str>,
        (capability, system): (&'static str, &'static str),
        policy: Policy,
        operations: &[&'static Operation],
    ) -> Self {
        Self {
            workload,
            link,
            capability,
            system,
            slots: Arc::new(Semaphore::new(policy.at_once as usize)),
            bucket: policy.rate.map(|rate| Bucket::new(rate, Instant::now())),
            policy,
            breaker: Some(Breaker::default()),
            usage: Usage::new(operations),
            said: Mutex::default(),
        }
    }

    /// The same, which goes on asking a backend that fails: what is in front of that does something about it.
    #[must_use]
    pub fn without_breaker(self) -> Self {
        Self { breaker: None, ..self }
    }

    /// The workload's name.
    pub fn workload(&self) -> &Arc<str> {
        &self.workload
    }

    /// The link's name.
    pub fn link(&self) -> &Arc<str> {
        &self.link
    }

    /// What the capability is called in a manifest.
    pub fn capability(&self) -> &'static str {
        self.capability
    }

    /// What telemetry calls the backend (`db.system.name`, `messaging.system`).
    pub fn system(&self) -> &'static str {
        self.system
    }

    /// How it may be used.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// What was done.
    pub fn usage(&self) -> &Usage {
        &self.usage
    }

    /// Refuses what is larger than the link allows. `what` is for the message: `value`.
    ///
    /// # Errors
    /// When it is.
    pub fn fits(&self, what: &'static str, bytes: usize) -> Result<(), Failure> {
        let (is, most) = (bytes as u64, self.policy.size);
        if is > most { Err(Failure::TooLarge { what, is, most }) } else { Ok(()) }
    }

    /// Uses the link, if it may be used now: again when that is safe and may help, and for as long as the
    /// link's timeout lasts. `attempt` makes one try.
    ///
    /// # Errors
    /// What the last try failed with, or why there was none.
    pub async fn run<T, U>(
        &self,
        caller: &Caller,
        operation: &'static Operation,
        attempt: impl FnMut() -> U,
    ) -> Result<T, Failure>
    where
        U: Future<Output = Result<T, Failure>>,
    {
        let tries = || async {
            let Ok(_slot) = self.slots.acquire().await else { return Err(self.crowded()) };
            self.tries(operation, attempt).await
        };
        self.observed(caller, operation, tries).await
    }

    /// As [`run`](Self::run), for what goes on after the call that began it (a stream, a copy that takes its
    /// time): its place among the uses in progress is its own until the permit is dropped. What comes of it
    /// then is for [`note`](Self::note).
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub async fn open<T, U>(
        &self,
        caller: &Caller,
        operation: &'static Operation,
        attempt: impl FnMut() -> U,
    ) -> Result<(T, OwnedSemaphorePermit), Failure>
    where
        U: Future<Output = Result<T, Failure>>,
    {
        let tries = || async {
            let slot = self.slots.clone().acquire_owned().await.map_err(|_| self.crowded())?;
            Ok((self.tries(operation, attempt).await?, slot))
        };
        self.observed(caller, operation, tries).await
    }

    /// One use, if it may be now, within the link's timeout: counted, timed and traced.
    async fn observed<T, U>(
        &self,
        caller: &Caller,
        operation: &'static Operation,
        tries: impl FnOnce() -> U,
    ) -> Result<T, Failure>
    where
        U: Future<Output = Result<T, Failure>>,
    {
        let start = tokio::time::Instant::now();
        let mut span = caller.trace.as_ref().map(|trace| {
            let attributes = [
                ("reef.capability", self.capability),
                (self.system_attribute(), self.system),
                (self.operation_attribute(), operation.name),
                ("reef.workload", &*self.workload),
                ("reef.link", &*self.link),
            ];
            trace.begin(operation.name, &attributes)
        });
        let done = match self.admit(start.into_std()) {
            Err(refused) => Err(refused),
            Ok(()) => {
                let limit = self.policy.timeout;
                let (end, tries) = (start + limit.min(LONGEST), pin!(tries()));
                let tried = tokio::time::timeout_at(end, tries).await;
                let done = tried.unwrap_or(Err(Failure::Timeout(limit)));
                self.judge(&done);
                done
            }
        };
        let failure = done.as_ref().err();
        self.usage.add(operation, start.elapsed(), failure);
        if let Some(failure) = failure {
            if let Some(span) = &mut span {
                span.fail(failure.kind(), &failure.to_string());
            }
            self.say(operation, failure);
        }
        done
    }

    /// A place among the uses in progress, for one that goes on after the call that began it (a stream, a
    /// transaction, a watch). It waits for as long as the link's timeout.
    ///
    /// # Errors
    /// When there is none in time, or the link may not be used now.
    pub async fn hold(&self) -> Result<SemaphorePermit<'_>, Failure> {
        self.admit(Instant::now())?;
        let slot = tokio::time::timeout(self.policy.timeout, self.slots.acquire()).await;
        slot.ok().and_then(Result::ok).ok_or_else(|| self.crowded())
    }

    /// What a failure outside of [`run`](Self::run) means for the link.
    pub fn note(&self, operation: &'static Operation, took: Duration, failure: Option<&Failure>) {
        self.usage.add(operation, took, failure);
        match failure {
            Some(failure) => {
                self.judge::<()>(&Err(failure.clone()));
                self.say(operation, failure);
            }
            None => self.judge(&Ok(())),
        }
    }

    fn admit(&self, now: Instant) -> Result<(), Failure> {
        if let Some(bucket) = &self.bucket {
            bucket.take(now).map_err(|wait| {
                let rate = bucket.rate();
                let (uses, time) = (rate.uses, humantime::format_duration(rate.within));
                let link = &self.link;
                Failure::TooMany(format!(
                    "the link `{link}` allows {uses} uses in {time}; the next in {} ms",
                    wait.as_millis() + 1
                ))
            })?;
        }
        let refused = |(failures, pause): (u32, Duration)| {
            let pause = Duration::from_millis(u64::try_from(pause.as_millis()).unwrap_or(0) + 1);
            Failure::Broken { failures, pause }
        };
        self.breaker.as_ref().map_or(Ok(()), |breaker| breaker.admit(now).map_err(refused))
    }

    async fn tries<T, U>(
        &self,
        operation: &Operation,
        mut attempt: impl FnMut() -> U,
    ) -> Result<T, Failure>
    where
        U: Future<Output = Result<T, Failure>>,
    {
        let (mut left, mut pause) = (self.policy.retries, FIRST_PAUSE);
        loop {
            let failure = match attempt().await {
                Ok(done) => return Ok(done),
                Err(failure) => failure,
            };
            let safe = failure.is_passing().is_some_and(|undone| undone || operation.repeatable);
            if !safe || left == 0 {
                return Err(failure);
            }
            left -= 1;
            // Those that failed together do not come back together.
            tokio::time::sleep(pause.mul_f64(0.5 + fastrand::f64() / 2.0)).await;
            pause *= 2;
        }
    }

    fn crowded(&self) -> Failure {
        let (link, most) = (&self.link, self.policy.at_once);
        Failure::TooMany(format!("the link `{link}` allows {most} uses at once"))
    }

    /// Whether the backend works.
    fn judge<T>(&self, done: &Result<T, Failure>) {
        let (workload, link) = (&*self.workload, &*self.link);
        let (capability, backend) = (self.capability, self.system);
        match done {
            Err(failure) if failure.is_of_backend() => {
                if self.breaker.as_ref().is_some_and(|breaker| breaker.failed(Instant::now())) {
                    tracing::warn!(workload, link, capability, backend, %failure, "The backend fails again and again: it is asked no more for a while.");
                }
            }
            _ => {
                if self.breaker.as_ref().is_some_and(Breaker::worked) {
                    tracing::info!(workload, link, capability, backend, "The backend works again.");
                }
            }
        }
    }

    /// A line for the log; few of them while it goes on.
    fn say(&self, operation: &Operation, failure: &Failure) {
        let (workload, link) = (&*self.workload, &*self.link);
        let (capability, backend, operation) = (self.capability, self.system, operation.name);
        if !failure.is_of_backend() && !matches!(failure, Failure::TooMany(_)) {
            tracing::debug!(workload, link, capability, backend, operation, "{failure}");
            return;
        }
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        match said.as_mut() {
            Some((last, untold)) if now.duration_since(*last) < QUIET => *untold += 1,
            before => {
                let untold = before.map_or(0, |(_, untold)| *untold);
                *said = Some((now, 0));
                drop(said);
                tracing::warn!(workload, link, capability, backend, operation, untold, "{failure}");
            }
        }
    }

    fn system_attribute(&self) -> &'static str {
        if self.capability == "messaging" { "messaging.system" } else { "db.system.name" }
    }

    fn operation_attribute(&self) -> &'static str {
        if self.capability == "messaging" {
            "messaging.operation.name"
        } else {
            "db.operation.name"
        }
    }
}

impl fmt::Debug for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Caller").field("traced", &self.trace.is_some()).finish()
    }
}

#[cfg(test)]
mod tests;
