#![allow(clippy::unwrap_used, reason = "tests")]
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::AtomicU32;
use std::task::{Context, Poll, Waker};

use proptest::prelude::*;

use super::*;

#[tokio::test]
async fn one_waits_and_the_next_is_refused() {
    let admission = Admission::new(1, 1, Duration::from_secs(60));
    let held = admission.admit().await.unwrap();
    let waiter = tokio::spawn({
        let admission = admission.clone();
        async move { admission.admit().await }
    });
    while admission.queued() == 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(admission.admit().await.unwrap_err(), Refused::QueueFull { max_queue: 1 });
    drop(held);
    let permit = waiter.await.unwrap().unwrap();
    assert_eq!((admission.running(), admission.queued()), (1, 0));
    drop(permit);
    assert_eq!(admission.running(), 0);
}

#[tokio::test(start_paused = true)]
async fn the_deadline_refuses_and_the_queue_time_is_told() {
    let admission = Admission::new(1, 8, Duration::from_secs(2));
    let held = admission.admit().await.unwrap();
    assert_eq!(held.waited(), Duration::ZERO);
    let refused = admission.admit().await.unwrap_err();
    assert_eq!(refused, Refused::DeadlinePassed { max_wait: Duration::from_secs(2) });
    assert_eq!(admission.queued(), 0);

    let waiting = tokio::spawn({
        let admission = admission.clone();
        async move { admission.admit().await.map(|permit| permit.waited()) }
    });
    tokio::time::advance(Duration::from_millis(1)).await;
    tokio::time::advance(Duration::from_secs(1)).await;
    drop(held);
    let waited = waiting.await.unwrap().unwrap();
    assert!(waited >= Duration::from_millis(900), "{waited:?}");

    let response = overloaded_response(&refused);
    assert_eq!(response.status(), 503);
    assert_eq!(response.headers()["retry-after"], "2");
}

#[tokio::test]
async fn nobody_waits_where_there_is_no_queue() {
    for admission in
        [Admission::new(1, 0, Duration::from_secs(9)), Admission::new(1, 9, Duration::ZERO)]
    {
        let _held = admission.admit().await.unwrap();
        assert_eq!(admission.admit().await.unwrap_err(), Refused::QueueFull { max_queue: 0 });
    }
}

/// Threads that take, hold, give up at random: never more at once than allowed, none lost.
#[test]
fn concurrency_holds_under_contention_and_cancellation() {
    const MAX: u32 = 3;
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_all().build().unwrap();
    let admission = Admission::new(MAX, 1000, Duration::from_secs(60));
    let now = Arc::new(AtomicU32::new(0));
    runtime.block_on(async {
        let mut tasks = Vec::new();
        for task in 0..64_u64 {
            let (admission, now) = (admission.clone(), Arc::clone(&now));
            tasks.push(tokio::spawn(async move {
                for round in 0..200 {
                    let admitted = if (task + round) % 3 == 0 {
                        // Give up after a few polls.
                        tokio::select! {
                            biased;
                            permit = admission.admit() => Some(permit.unwrap()),
                            () = async { for _ in 0..round % 7 { tokio::task::yield_now().await } } => None,
                        }
                    } else {
                        Some(admission.admit().await.unwrap())
                    };
                    if let Some(permit) = admitted {
                        assert!(now.fetch_add(1, Ordering::SeqCst) < MAX);
                        tokio::task::yield_now().await;
                        now.fetch_sub(1, Ordering::SeqCst);
                        drop(permit);
                    }
                }
            }));
        }
        for task in tasks {
            tokio::time::timeout(Duration::from_secs(60), task).await.unwrap().unwrap();
        }
    });
    assert_eq!((admission.running(), admission.queued()), (0, 0));
}

type Waiting = Pin<Box<dyn Future<Output = Result<Permit, Refused>>>>;

#[derive(Clone, Debug)]
enum Step {
    Arrive,
    Leave(usize),
    GiveUp(usize),
    Resize(u32),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => Just(Step::Arrive),
        2 => any::<usize>().prop_map(Step::Leave),
        1 => any::<usize>().prop_map(Step::GiveUp),
        1 => (1_u32..6).prop_map(Step::Resize),
    ];
    proptest::collection::vec(step, 0..200)
}

proptest! {
    /// Against a list and a set: the same requests run, in the same order, after every step.
    #[test]
    fn it_is_a_first_in_first_out_queue(
        steps in steps(), max_concurrent in 1_u32..4, max_queue in 0_u32..6,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let _entered = runtime.enter();
        let mut max_concurrent = max_concurrent;
        let admission = Admission::new(max_concurrent, max_queue, Duration::from_secs(3600));
        let poll = |future: &mut Waiting| {
            future.as_mut().poll(&mut Context::from_waker(Waker::noop()))
        };
        let mut running: Vec<(usize, Permit)> = Vec::new();
        let mut waiting: Vec<(usize, Waiting)> = Vec::new();
        let mut model_running: Vec<usize> = Vec::new();
        let mut model_waiting: VecDeque<usize> = VecDeque::new();
        for (id, step) in steps.into_iter().enumerate() {
            match step {
                Step::Arrive => {
                    let own = admission.clone();
                    let mut future: Waiting = Box::pin(async move { own.admit().await });
                    let outcome = poll(&mut future);
                    if model_waiting.is_empty() && model_running.len() < max_concurrent as usize {
                        model_running.push(id);
                        match outcome {
                            Poll::Ready(Ok(permit)) => running.push((id, permit)),
                            other => prop_assert!(false, "not admitted: {:?}", other),
                        }
                    } else if model_waiting.len() < max_queue as usize {
                        model_waiting.push_back(id);
                        prop_assert!(outcome.is_pending());
                        waiting.push((id, future));
                    } else {
                        let full = matches!(outcome, Poll::Ready(Err(Refused::QueueFull { .. })));
                        prop_assert!(full);
                    }
                }
                Step::Leave(which) if !running.is_empty() => {
                    let (left, permit) = running.remove(which % running.len());
                    drop(permit);
                    model_running.retain(|&id| id != left);
                    if model_running.len() < max_concurrent as usize {
                        model_running.extend(model_waiting.pop_front());
                    }
                }
                Step::GiveUp(which) if !waiting.is_empty() => {
                    // It may have been called already without having noticed.
                    let (left, future) = waiting.remove(which % waiting.len());
                    drop(future);
                    model_waiting.retain(|&id| id != left);
                    if let Some(place) = model_running.iter().position(|&id| id == left) {
                        model_running.remove(place);
                        if model_running.len() < max_concurrent as usize {
                            model_running.extend(model_waiting.pop_front());
                        }
                    }
                }
                Step::Resize(most) => {
                    max_concurrent = most;
                    admission.set_max_concurrent(most);
                    while model_running.len() < most as usize && !model_waiting.is_empty() {
                        model_running.extend(model_waiting.pop_front());
                    }
                }
                _ => {}
            }
            prop_assert_eq!(admission.running() as usize, model_running.len());
            prop_assert_eq!(admission.queued() as usize, model_waiting.len());
            // Some called waiters are polled now, others stay unaware until later.
            if id % 3 == 0 {
                let mut index = 0;
                while index < waiting.len() {
                    if let Poll::Ready(permit) = poll(&mut waiting[index].1) {
                        let (id, _) = waiting.remove(index);
                        prop_assert!(model_running.contains(&id));
                        running.push((id, permit.unwrap()));
                    } else {
                        prop_assert!(!model_running.contains(&waiting[index].0));
                        index += 1;
                    }
                }
            }
        }
        drop(running);
        drop(waiting);
        prop_assert_eq!((admission.running(), admission.queued()), (0, 0));
    }
}
