//! A bounded queue in front of a workload: so many requests at once, so many waiting, so long.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::header::{HeaderValue, RETRY_AFTER};
use http::{Response, StatusCode};
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::body::ResponseBody;
use crate::refusal::plain;
use crate::workers::lock;

/// Admits at most `max_concurrent` holders of a [`Permit`] at once. Others wait in the order of
/// their arrival, at most `max_queue` of them and each at most `max_wait`. Cheap to clone.
///
/// With room and nobody waiting, admitting and leaving are one compare-and-swap each.
#[derive(Clone, Debug)]
pub struct Admission {
    gate: Arc<Gate>,
}

#[derive(Debug)]
struct Gate {
    /// Low half: permits out. High half: entries of `queue`. Who waits is counted only under the
    /// queue's lock; while anyone waits, a permit returned goes to the first of them.
    counts: AtomicU64,
    queue: Mutex<Queue>,
    max_concurrent: AtomicU32,
    max_queue: u32,
    max_wait: Duration,
}

#[derive(Debug, Default)]
struct Queue {
    next_ticket: u64,
    /// By arrival, so tickets rise.
    waiting: VecDeque<(u64, oneshot::Sender<()>)>,
}

const ONE_RUNNING: u64 = 1;
const ONE_WAITING: u64 = 1 << 32;

fn running(counts: u64) -> u32 {
    (counts & u64::from(u32::MAX)) as u32
}

fn waiting(counts: u64) -> u32 {
    (counts >> 32) as u32
}

/// Leave to run; given back when dropped.
#[derive(Debug)]
#[must_use = "the place is given back when the permit is dropped"]
pub struct Permit {
    gate: Arc<Gate>,
    waited: Duration,
}

impl Permit {
    /// How long the request stood in the queue.
    pub fn waited(&self) -> Duration {
        self.waited
    }
}

/// Why a request was not admitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// `max_queue` requests were waiting already.
    #[error("the workload is busy and {max_queue} requests are waiting for it already (max_queue)")]
    QueueFull {
        /// The limit reached.
        max_queue: u32,
    },
    /// No place became free in time.
    #[error("the workload was busy for as long as a request may wait, {max_wait:?} (max_wait)")]
    DeadlinePassed {
        /// The limit reached.
        max_wait: Duration,
    },
}

impl Admission {
    /// A gate for `max_concurrent` (at least one) holders and `max_queue` waiters. With
    /// `max_queue` 0 or a zero `max_wait` nobody waits.
    pub fn new(max_concurrent: u32, max_queue: u32, max_wait: Duration) -> Self {
        let max_queue = if max_wait.is_zero() { 0 } else { max_queue };
        Self {
            gate: Arc::new(Gate {
                counts: AtomicU64::new(0),
                queue: Mutex::default(),
                max_concurrent: AtomicU32::new(max_concurrent.max(1)),
                max_queue,
                max_wait,
            }),
        }
    }

    /// Waits for a place. Dropping the future leaves the queue, and loses no permit.
    ///
    /// # Errors
    /// The queue was full, or the deadline passed.
    pub async fn admit(&self) -> Result<Permit, Refused> {
        if self.gate.enter_free() {
            return Ok(self.permit(Duration::ZERO));
        }
        let Some(mut ticket) = self.gate.enter_or_queue()? else {
            return Ok(self.permit(Duration::ZERO));
        };
        let since = Instant::now();
        match tokio::time::timeout_at(since + self.gate.max_wait, &mut ticket.called).await {
            Ok(_called) => {
                ticket.spent = true;
                Ok(self.permit(since.elapsed()))
            }
            Err(_passed) if ticket.leave() => {
                Err(Refused::DeadlinePassed { max_wait: self.gate.max_wait })
            }
            // Called between the deadline and leaving.
            Err(_passed) => Ok(self.permit(since.elapsed())),
        }
    }

    /// Admits more or fewer at once from now on; at least one. Those beyond are not called back: they leave when they
    /// are done.
    pub fn set_max_concurrent(&self, max_concurrent: u32) {
        self.gate.max_concurrent.store(max_concurrent.max(1), Ordering::Release);
        self.gate.call_in();
    }

    /// Permits out now.
    pub fn running(&self) -> u32 {
        running(self.gate.counts.load(Ordering::Relaxed))
    }

    /// Requests waiting now.
    pub fn queued(&self) -> u32 {
        waiting(self.gate.counts.load(Ordering::Relaxed))
    }

    fn permit(&self, waited: Duration) -> Permit {
        Permit { gate: Arc::clone(&self.gate), waited }
    }
}

impl Gate {
    fn has_room(&self, counts: u64) -> bool {
        running(counts) < self.max_concurrent.load(Ordering::Acquire)
    }

    /// Takes a place if there is one and nobody waits for it.
    fn enter_free(&self) -> bool {
        self.counts
            .fetch_update(Ordering::Acquire, Ordering::Relaxed, |counts| {
                (waiting(counts) == 0 && self.has_room(counts)).then_some(counts + ONE_RUNNING)
            })
            .is_ok()
    }

    /// Takes a place (`None`) or stands in the queue.
    fn enter_or_queue(self: &Arc<Self>) -> Result<Option<Ticket>, Refused> {
        let mut queue = lock(&self.queue);
        // Decided and counted in one step: a permit returned in between sees the waiter or is seen.
        let mut entered = false;
        let decided = self.counts.fetch_update(Ordering::AcqRel, Ordering::Acquire, |counts| {
            entered = waiting(counts) == 0 && self.has_room(counts);
            if entered {
                Some(counts + ONE_RUNNING)
            } else if waiting(counts) < self.max_queue {
                Some(counts + ONE_WAITING)
            } else {
                None
            }
        });
        match decided {
            Err(_) => Err(Refused::QueueFull { max_queue: self.max_queue }),
            Ok(_) if entered => Ok(None),
            Ok(_) => {
                let number = queue.next_ticket;
                queue.next_ticket += 1;
                let (call, called) = oneshot::channel();
                queue.waiting.push_back((number, call));
                Ok(Some(Ticket { gate: Arc::clone(self), number, called, spent: false }))
            }
        }
    }

    /// Gives a place to the first waiter, or frees it.
    fn exit(&self) {
        let freed = self.counts.fetch_update(Ordering::Release, Ordering::Relaxed, |counts| {
            (waiting(counts) == 0).then(|| counts.saturating_sub(ONE_RUNNING))
        });
        if freed.is_ok() {
            return;
        }
        let mut queue = lock(&self.queue);
        // There may be fewer places than there were.
        let beyond = running(self.counts.load(Ordering::Acquire))
            > self.max_concurrent.load(Ordering::Acquire);
        let next = if beyond { None } else { queue.waiting.pop_front() };
        match next {
            Some((_, call)) => {
                self.counts.fetch_sub(ONE_WAITING, Ordering::AcqRel);
                // Cannot fail: a ticket is taken off the queue before its receiver is dropped.
                let _ = call.send(());
            }
            // Or the last waiter left in between; with the lock held no other can come.
            None => {
                self.counts.fetch_sub(ONE_RUNNING, Ordering::AcqRel);
            }
        }
    }
}

impl Gate {
    /// Gives places that are free to those who wait.
    fn call_in(&self) {
        let mut queue = lock(&self.queue);
        while !queue.waiting.is_empty() && self.has_room(self.counts.load(Ordering::Acquire)) {
            let Some((_, call)) = queue.waiting.pop_front() else { return };
            // Nobody else enters while one waits, and leaving is counted under the lock or makes more room.
            self.counts.fetch_add(ONE_RUNNING, Ordering::AcqRel);
            self.counts.fetch_sub(ONE_WAITING, Ordering::AcqRel);
            let _ = call.send(());
        }
    }
}

/// A place in the queue.
#[derive(Debug)]
struct Ticket {
    gate: Arc<Gate>,
    number: u64,
    called: oneshot::Receiver<()>,
    /// Left the queue, with or without a permit.
    spent: bool,
}

impl Ticket {
    /// Leaves the queue; false if the permit was handed over before.
    fn leave(&mut self) -> bool {
        self.spent = true;
        let mut queue = lock(&self.gate.queue);
        let Ok(place) = queue.waiting.binary_search_by_key(&self.number, |(number, _)| *number)
        else {
            return false;
        };
        queue.waiting.remove(place);
        self.gate.counts.fetch_sub(ONE_WAITING, Ordering::AcqRel);
        true
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if !self.spent && !self.leave() {
            self.gate.exit();
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.gate.exit();
    }
}

/// `503` with `Retry-After` (RFC 9110 section 10.2.3), saying why.
pub fn overloaded_response(refused: &Refused) -> Response<ResponseBody> {
    let mut response = plain(StatusCode::SERVICE_UNAVAILABLE, format!("{refused}; try again\n"));
    // As long as the queue was given to empty, in whole seconds.
    let seconds = match refused {
        Refused::QueueFull { .. } => 1,
        Refused::DeadlinePassed { max_wait } => max_wait.as_secs().clamp(1, 60),
    };
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    response
}

#[cfg(test)]
mod tests;
