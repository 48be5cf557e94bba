//! Instances of components that answer HTTP: `wasi:http/incoming-handler` 0.2 and
//! `wasi:http/handler` 0.3.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
};

use futures::{
    FutureExt as _,
    stream::{FuturesUnordered, Stream as _},
};
use reef_engine::{Activity, Paced};
use reef_http::Workers;
use reef_wasi::{ComponentGuest, Stdio};
use wasmtime::{Store, component::InstancePre};
use wasmtime_wasi_http::{
    WasiHttpView as _,
    handler::{Prepared, Proxy},
    p2::bindings::{ProxyPre as Pre02, http::types::Scheme},
    p3::bindings::ServicePre as Pre03,
};

use super::{
    dispatch::Reused,
    instances::{Instances, Job, Slot},
    spin,
    turn::{Gate, Turn},
};
use crate::{Workload, failure::Trap};

/// Instances of one workload, and how to make another.
pub(super) struct Pool {
    pub(super) workload: Arc<Workload>,
    pre: Pre,
    pub(super) reuse: Reused,
    pub(super) instances: Instances,
    background: Arc<reef_engine::Background>,
    workers: Workers,
}

enum Pre {
    V0_2(Pre02<ComponentGuest>),
    V0_3(Pre03<ComponentGuest>),
    Spin(spin::Pre),
}

/// By what contract a component answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Contract {
    /// `wasi:http/incoming-handler`.
    V0_2,
    /// `wasi:http/handler`.
    V0_3,
    /// `fermyon:spin/inbound-http`.
    Spin,
}

/// Marks a slot as failed unless it is told otherwise: a panic or an abort ends up here, before the
/// store is dropped.
struct Ending(Arc<Slot>, bool);

// === impl Pool ===

impl Pool {
    pub(super) fn new(
        workload: Arc<Workload>,
        pre: &InstancePre<ComponentGuest>,
        contract: Contract,
        reuse: Reused,
        workers: Workers,
        background: Arc<reef_engine::Background>,
    ) -> wasmtime::Result<Self> {
        let pre = match contract {
            Contract::V0_2 => Pre::V0_2(Pre02::new(pre.clone())?),
            Contract::V0_3 => Pre::V0_3(Pre03::new(pre.clone())?),
            Contract::Spin => Pre::Spin(spin::Pre::new(pre.clone())?),
        };
        let instances = Instances::new(workers.len());
        Ok(Self { workload, pre, reuse, instances, background, workers })
    }

    /// Whether an instance can serve several requests at once.
    pub(super) fn shares(&self) -> bool {
        self.v0_3() && self.reuse.concurrent > 1
    }

    /// Requests that one instance may have at once. One of WASI 0.2 says itself when it is done.
    fn most(&self) -> usize {
        let Reused { requests, concurrent, .. } = self.reuse;
        if self.v0_3() { requests.min(concurrent) as usize } else { usize::MAX }
    }

    fn v0_3(&self) -> bool {
        matches!(self.pre, Pre::V0_3(_))
    }

    /// Gives the job to an instance of this worker, making one if none is free nor being made.
    pub(super) fn dispatch(self: &Arc<Self>, worker: usize, job: Box<Job>) {
        let reused = || self.workload.meter().instance_reused();
        let job = match self.instances.offer(worker, job) {
            Ok(()) => return reused(),
            Err(job) => job,
        };
        match self.instances.join(worker, job) {
            Ok(()) => reused(),
            Err(job) => self.start(worker, job),
        }
    }

    /// Gives jobs that an instance has not begun, and will not, to instances of their own. Once each:
    /// those that were there before lose their answer.
    fn hand_on(self: &Arc<Self>, worker: usize, jobs: impl IntoIterator<Item = Box<Job>>) {
        for mut job in jobs {
            if !std::mem::replace(&mut job.handed_on, true) {
                self.start(worker, job);
            }
        }
    }

    fn start(self: &Arc<Self>, worker: usize, job: Box<Job>) {
        let workload = &self.workload;
        let made =
            workload.world.component(&[], Stdio::Log).map_err(wasmtime::Error::from).and_then(
                |guest| {
                    Ok(workload.engine.store(workload.flavour, workload.world.share(), guest)?)
                },
            );
        let (store, activity) = match made {
            Ok(made) => made,
            Err(error) => {
                let _ = job.reply.send(Err(error));
                return;
            }
        };
        workload.meter().instance_created();
        let joinable = self.shares() && !job.handed_on;
        let slot = Slot::new(job, self.most());
        self.instances.register(worker, &slot);
        if joinable {
            self.instances.starting(worker, &slot);
        }
        let instance = Instance { pool: self.clone(), worker, slot: slot.clone(), activity };
        let activity = instance.activity.clone();
        let background = Some(self.background.clone());
        let paced = Paced::new(activity, background, instance.run(store));
        // Called by guests in the background too.
        let task = self.workers.spawn_on(worker, paced);
        slot.runs_as(task.abort_handle());
    }
}

/// One instance's task.
pub(super) struct Instance {
    pub(super) pool: Arc<Pool>,
    worker: usize,
    pub(super) slot: Arc<Slot>,
    activity: Arc<Activity>,
}

impl Instance {
    async fn run(self, mut store: Store<ComponentGuest>) {
        // Declared after the store, so dropped before it.
        let mut ending = Ending(self.slot.clone(), true);
        let result = match &self.pool.pre {
            Pre::V0_2(pre) => match pre.instantiate_async(&mut store).await {
                Ok(proxy) => self.serve_0_2(&mut store, proxy).await,
                Err(error) => self.refuse(&mut store, error),
            },
            Pre::V0_3(pre) => match self.started(pre.instantiate_async(&mut store)).await {
                Ok(service) => self.serve_0_3(&mut store, Proxy::P3(service)).await,
                Err(error) => self.refuse(&mut store, error),
            },
            Pre::Spin(spin) => match spin.pre.instantiate_async(&mut store).await {
                Ok(guest) => self.serve_spin(&mut store, guest, spin).await,
                Err(error) => self.refuse(&mut store, error),
            },
        };
        match result {
            Ok(()) => ending.1 = false,
            Err(error) => {
                self.pool.workload.meter().trap();
                self.slot.trapped(GuestTrap::of(&error, store.data().limits()).0);
                let trap = Trap::new(error, Some(store.data().limits()));
                tracing::warn!("{} trapped: {trap}", self.pool.workload.name());
            }
        }
        self.slot.close();
    }

    /// Nobody but the first request waits for an instance that computes before it is there.
    async fn started<F: Future>(&self, starting: F) -> F::Output {
        let mut starting = pin!(starting);
        let mut suspect = false;
        poll_fn(|cx| {
            let poll = starting.as_mut().poll(cx);
            let computing = self.activity.is_interrupted();
            // As below: twice in a row.
            if poll.is_pending() && std::mem::replace(&mut suspect, computing) && computing {
                self.pool.instances.settle(self.worker, &self.slot);
                self.pool.hand_on(self.worker, self.slot.take_waiting(1));
                if !self.slot.is_awaited() {
                    // The first request was given up while others waited behind it.
                    self.slot.kill();
                }
            }
            poll
        })
        .await
    }

    /// The instance could not be made: says so to whoever waits for it.
    fn refuse(
        &self,
        store: &mut Store<ComponentGuest>,
        error: wasmtime::Error,
    ) -> wasmtime::Result<()> {
        self.slot.fail();
        let message = Trap::new(error, Some(store.data().limits())).to_string();
        if let Some(job) = self.slot.next().now_or_never().flatten() {
            let _ = job.reply.send(Err(Uninstantiable(message).into()));
        }
        Ok(())
    }

    /// One request after the other, each on its own.
    async fn serve_0_2(
        &self,
        store: &mut Store<ComponentGuest>,
        proxy: wasmtime_wasi_http::p2::bindings::Proxy,
    ) -> wasmtime::Result<()> {
        let mut served = 0;
        while let Some(job) = self.slot.next().await {
            self.slot.set_idle(false);
            served += 1;
            let scheme = if job.tls { Scheme::Https } else { Scheme::Http };
            // The guest answers through the outparam; what it does not answer is answered here.
            let reply = Arc::new(Mutex::new(Some(job.reply)));
            let take = |reply: &Mutex<Option<_>>| {
                reply.lock().unwrap_or_else(PoisonError::into_inner).take()
            };
            reef_engine::refresh(&mut *store);
            store.data_mut().set_trace(job.trace);
            let mut http = store.data_mut().http();
            let request = http.new_incoming_request(scheme, job.request)?;
            let out = http.new_response_outparam_from_callback({
                let reply = reply.clone();
                move |response| {
                    if let Some(reply) = take(&reply) {
                        let response = response.map_err(|code| GuestError(format!("{code:?}")));
                        let _ = reply.send(response.map_err(Into::into));
                    }
                }
            })?;
            let called =
                proxy.wasi_http_incoming_handler().call_handle(&mut *store, request, out).await;
            if let Some(reply) = take(&reply) {
                let _ = reply.send(Err(match &called {
                    Ok(()) => NoAnswer.into(),
                    // The instance's own log line has the backtrace.
                    Err(error) => GuestTrap::of(error, store.data().limits()).into(),
                }));
            }
            called?;
            if !self.goes_on(served) {
                break;
            }
        }
        Ok(())
    }

    /// Whether it takes another request after so many; others are told then.
    pub(super) fn goes_on(&self, served: u32) -> bool {
        if served >= self.pool.reuse.requests || self.activity.is_away() {
            return false;
        }
        self.slot.set_idle(true);
        self.pool.instances.list(self.worker, &self.slot);
        true
    }

    /// What whoever waits for an answer is told of a trap: the instance's own log line has the backtrace.
    pub(super) fn trapped(
        &self,
        error: &wasmtime::Error,
        store: &Store<ComponentGuest>,
    ) -> wasmtime::Error {
        GuestTrap::of(error, store.data().limits()).into()
    }

    /// Several requests at once, as the guest can take them.
    async fn serve_0_3(
        &self,
        store: &mut Store<ComponentGuest>,
        proxy: Proxy,
    ) -> wasmtime::Result<()> {
        let Proxy::P3(service) = &proxy else { return Ok(()) };
        let func = *service.wasi_http_handler().func_handle().func();
        // The inner loop would take another job: told to the dispatcher only when the instance has
        // come to rest, see below. The other way round, one job at each turn is welcome: one that
        // computes holds up nothing but itself.
        let takes = AtomicBool::new(false);
        let welcome = AtomicBool::new(false);
        let reuse = &self.pool.reuse;
        let gate = Gate::default();

        let served = store.run_concurrent(async |accessor| {
            let mut tasks = pin!(FuturesUnordered::new());
            let mut accepted = 0;
            let mut may_accept = true;
            let mut look = |cx: &mut Context<'_>| {
                loop {
                    match tasks.as_mut().poll_next(cx) {
                        // `false`: the request was given up, and what it left behind still runs.
                        // Several may be ready, and only the first poll of each is announced.
                        Poll::Ready(Some(Ok(true))) => continue,
                        Poll::Ready(Some(Ok(false))) => {
                            may_accept = false;
                            self.slot.retire();
                            continue;
                        }
                        Poll::Ready(Some(Err(error))) => return Poll::Ready(Err(error)),
                        Poll::Ready(None) | Poll::Pending => {}
                    }
                    may_accept &= accepted < reuse.requests && !self.activity.is_away();
                    let ready = accessor.poll_ready_for_concurrent_call(func, cx).is_ready();
                    let more = may_accept && ready;
                    takes.store(more, Ordering::Relaxed);
                    if (more || accepted == 0)
                        && welcome.load(Ordering::Relaxed)
                        && let Poll::Ready(job) = self.slot.poll_job(cx)
                    {
                        welcome.store(false, Ordering::Relaxed);
                        accepted += 1;
                        self.slot.set_idle(false);
                        let Job { request, reply, trace, claim, .. } = *job;
                        let expired = claim.given_up();
                        let prepared = accessor.with(|mut access| {
                            reef_engine::refresh(&mut access);
                            let prepared = Prepared::new(
                                wasmtime::AsContextMut::as_context_mut(&mut access),
                                &proxy,
                                request,
                                ComponentGuest::http,
                                reply,
                            );
                            if let Ok(Prepared::P3 { call, .. }) = &prepared {
                                access.data_mut().set_task_trace(call.task(), trace);
                            }
                            prepared
                        });
                        tasks.push(async move {
                            let prepared = prepared?;
                            let task = match &prepared {
                                Prepared::P3 { call, .. } => Some(call.task()),
                                _ => None,
                            };
                            let ran = prepared.run(accessor, expired).await;
                            if let Some(task) = task {
                                accessor.with(|mut access| access.data_mut().end_task(task));
                            }
                            ran
                        });
                        continue;
                    }
                    if !tasks.is_empty() {
                        return Poll::Pending;
                    }
                    // The guest may go on after its answer, as long as it says that it matters.
                    if accessor.poll_no_interesting_tasks(cx).is_pending() {
                        if self.slot.poll_deserted(cx) {
                            return Poll::Ready(Ok(()));
                        }
                        return Poll::Pending;
                    }
                    if !more || self.slot.is_closed() {
                        may_accept = false;
                        takes.store(false, Ordering::Relaxed);
                        // What the guest only handed on may still be on its way: a store that is dropped ends it.
                        self.slot.retire();
                        if self.slot.poll_deserted(cx) {
                            return Poll::Ready(Ok(()));
                        }
                        return Poll::Pending;
                    }
                    self.slot.set_idle(true);
                    return Poll::Pending;
                }
            };
            // Wasmtime asks after each step of the guest.
            poll_fn(|cx| gate.poll(cx, &mut look)).await
        });

        let mut served = pin!(served);
        let mut turn = Turn::default();
        // Others may have waited for it while it was made, or computed.
        let mut awaited = true;
        let mut suspect = false;
        poll_fn(|cx| {
            self.pool.instances.unlist(self.worker, &self.slot);
            // One that computes has not come to rest since.
            welcome.store(!suspect, Ordering::Relaxed);
            gate.open();
            let enough = || self.activity.is_interrupted();
            let poll = turn.poll(cx, |cx| served.as_mut().poll(cx), enough);
            if poll.is_pending() {
                // Interrupted while computing, or at rest: only then is another request welcome.
                let computing = self.activity.is_interrupted();
                self.slot.computing.store(computing, Ordering::SeqCst);
                let away = self.activity.is_away();
                let takes = takes.load(Ordering::Relaxed) && !computing && !away;
                // One interruption may be the machine's doing, not the guest's.
                let before = std::mem::replace(&mut suspect, computing);
                let stuck = !takes && (before || !computing);
                if awaited || computing || before {
                    self.pool.instances.settle(self.worker, &self.slot);
                    awaited = self.slot.is_awaited();
                }
                if stuck {
                    self.pool.hand_on(self.worker, self.slot.take_waiting(0));
                } else if awaited || before {
                    // A turn at which they are welcome.
                    cx.waker().wake_by_ref();
                }
                // Only now that a place becoming free wakes this task.
                if takes && self.slot.has_room() {
                    self.pool.instances.list(self.worker, &self.slot);
                }
            }
            poll
        })
        .await?
    }
}

impl Drop for Instance {
    /// Also of one that was ended before its first turn.
    fn drop(&mut self) {
        if self.pool.shares() {
            self.pool.instances.settle(self.worker, &self.slot);
        }
        self.pool.hand_on(self.worker, self.slot.end());
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        if self.1 {
            self.0.fail();
        }
    }
}

/// The guest returned without an answer.
#[derive(Debug, thiserror::Error)]
#[error("the handler returned without setting a response")]
pub(super) struct NoAnswer;

/// The guest answered with an error code of `wasi:http`.
#[derive(Debug, thiserror::Error)]
#[error("the handler answered with the error {0}")]
pub(super) struct GuestError(String);

/// No instance could be made.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Uninstantiable(String);

/// The guest trapped; the instance has the error itself.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct GuestTrap(String);

impl GuestTrap {
    fn of(error: &wasmtime::Error, limiter: &reef_engine::Limiter) -> Self {
        let mut text = match error.downcast_ref::<wasmtime::Trap>() {
            Some(trap) => trap.to_string(),
            None => error.root_cause().to_string(),
        };
        if limiter.refused().is_some() {
            text.push_str(&format!(" (after it was refused memory beyond {})", limiter.limit()));
        }
        Self(text)
    }
}
