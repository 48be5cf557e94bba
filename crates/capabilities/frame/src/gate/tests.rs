use std::sync::atomic::{AtomicU32, Ordering};

use super::*;
use crate::rate::Rate;

static GET: Operation = Operation::repeatable("get");
static PUSH: Operation = Operation::once("push");

fn gate(policy: Policy) -> Gate {
    Gate::new("app/w".into(), "cache".into(), ("key-value", "redis"), policy, &[&GET, &PUSH])
}

async fn failing(
    gate: &Gate,
    operation: &'static Operation,
    failure: Failure,
    times: u32,
) -> (Result<(), Failure>, u32) {
    let tried = AtomicU32::new(0);
    let attempt = || {
        let nth = tried.fetch_add(1, Ordering::Relaxed);
        let failure = failure.clone();
        async move { if nth < times { Err(failure) } else { Ok(()) } }
    };
    let done = gate.run(&Caller::default(), operation, attempt).await;
    (done, tried.load(Ordering::Relaxed))
}

#[tokio::test(start_paused = true)]
async fn only_what_is_safe_is_tried_again() {
    let gate = gate(Policy::default());
    let (lost, down) = (Failure::lost("reset"), Failure::unreachable("refused"));
    assert_eq!(failing(&gate, &GET, lost.clone(), 2).await, (Ok(()), 3));
    assert_eq!(failing(&gate, &GET, lost.clone(), 9).await, (Err(lost.clone()), 3));
    assert_eq!(failing(&gate, &PUSH, lost.clone(), 1).await, (Err(lost), 1), "it may be done");
    assert_eq!(failing(&gate, &PUSH, down, 1).await, (Ok(()), 2), "it is certainly not done");
    let invalid = Failure::Invalid("no".into());
    assert_eq!(failing(&gate, &GET, invalid.clone(), 1).await, (Err(invalid), 1));
}

#[tokio::test(start_paused = true)]
async fn a_use_ends_with_its_time_whatever_the_backend_does() {
    let timeout = Duration::from_millis(300);
    let gate = gate(Policy { timeout, ..Policy::default() });
    let start = tokio::time::Instant::now();
    let never = || std::future::pending::<Result<(), Failure>>();
    let done = gate.run(&Caller::default(), &GET, never).await;
    assert_eq!(done, Err(Failure::Timeout(timeout)));
    assert_eq!(start.elapsed(), timeout);
}

#[tokio::test(start_paused = true)]
async fn waiting_for_others_counts_as_time_of_the_use() {
    let timeout = Duration::from_millis(300);
    let gate = gate(Policy { timeout, at_once: 1, ..Policy::default() });
    let slot = gate.hold().await.unwrap();
    let done = gate.run(&Caller::default(), &GET, || async { Ok(()) }).await;
    assert_eq!(done, Err(Failure::Timeout(timeout)));
    drop(slot);
    assert_eq!(gate.run(&Caller::default(), &GET, || async { Ok(()) }).await, Ok(()));
}

#[tokio::test]
async fn a_rate_refuses_what_is_over_it_and_says_which_link() {
    let rate = Some(Rate { uses: 2, within: Duration::from_secs(3600) });
    let gate = gate(Policy { rate, ..Policy::default() });
    for _ in 0..2 {
        assert_eq!(failing(&gate, &GET, Failure::unreachable(""), 0).await.0, Ok(()));
    }
    let (refused, tried) = failing(&gate, &GET, Failure::unreachable(""), 0).await;
    let text = refused.unwrap_err().to_string();
    assert!(text.starts_with("the link `cache` allows 2 uses in 1h; the next in "), "{text}");
    assert_eq!(tried, 0);
}

#[tokio::test(start_paused = true)]
async fn a_backend_that_always_fails_is_left_alone_and_asked_again_later() {
    let gate = gate(Policy { retries: 0, ..Policy::default() });
    let down = Failure::unreachable("refused");
    for _ in 0..10 {
        assert_eq!(failing(&gate, &GET, down.clone(), 1).await.1, 1);
    }
    let (refused, tried) = failing(&gate, &GET, down, 1).await;
    assert!(matches!(refused, Err(Failure::Broken { failures: 10, .. })), "{refused:?}");
    assert_eq!(tried, 0);
}

#[tokio::test]
async fn what_the_guest_does_wrong_is_not_held_against_the_backend() {
    let gate = gate(Policy::default());
    for _ in 0..100 {
        let wrong = Failure::Invalid("no".into());
        assert_eq!(failing(&gate, &GET, wrong, 1).await.1, 1);
    }
    let usage = gate.usage().snapshot();
    assert_eq!(usage.len(), 1);
    assert_eq!((usage[0].operation, usage[0].took.count()), ("get", 100));
    let failed: Vec<_> = usage[0].failed.iter().map(|(kind, took)| (*kind, took.count())).collect();
    assert_eq!(failed, [("invalid", 100)]);
}

#[tokio::test(start_paused = true)]
async fn what_stays_open_keeps_its_place_and_one_use_of_the_rate() {
    let rate = Some(Rate { uses: 3, within: Duration::from_secs(3600) });
    let gate = gate(Policy { at_once: 1, rate, ..Policy::default() });
    let caller = Caller::default();
    let (stream, place) = gate.open(&caller, &GET, || async { Ok(7) }).await.unwrap();
    assert_eq!(stream, 7);
    let crowded = gate.run(&caller, &GET, || async { Ok(()) }).await;
    assert!(matches!(crowded, Err(Failure::Timeout(_))), "{crowded:?}");
    drop(place);
    assert_eq!(gate.run(&caller, &GET, || async { Ok(()) }).await, Ok(()), "the third of three");
}
