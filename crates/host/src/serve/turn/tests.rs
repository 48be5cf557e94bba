#![allow(clippy::unwrap_used, reason = "tests")]

use std::sync::atomic::AtomicUsize;

use super::*;

/// Who polls, and how often it was woken.
#[derive(Default)]
struct Executor(AtomicUsize);

impl Wake for Executor {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

impl Executor {
    fn woken(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

fn executor() -> (Arc<Executor>, Waker) {
    let executor = Arc::<Executor>::default();
    (executor.clone(), Waker::from(executor))
}

#[test]
fn what_wakes_itself_goes_on_in_the_same_turn() {
    let (executor, waker) = executor();
    let mut left = 4;
    let poll = |cx: &mut Context<'_>| {
        left -= 1;
        cx.waker().wake_by_ref();
        if left == 0 { Poll::Ready("done") } else { Poll::Pending }
    };
    let polled = Turn::default().poll(&mut Context::from_waker(&waker), poll, || false);
    assert_eq!((polled, executor.woken()), (Poll::Ready("done"), 0));
}

/// One turn of what wakes itself at each poll: how often it was polled, and woke who polls.
fn restless(enough: bool) -> (u32, usize) {
    let (executor, waker) = executor();
    let mut polls = 0;
    let poll = |cx: &mut Context<'_>| {
        polls += 1;
        cx.waker().wake_by_ref();
        Poll::<()>::Pending
    };
    assert!(Turn::default().poll(&mut Context::from_waker(&waker), poll, || enough).is_pending());
    (polls, executor.woken())
}

#[test]
fn what_wakes_itself_for_ever_lets_others_have_theirs() {
    // Who polls is woken once, though it woke itself more often.
    assert_eq!(restless(false), (MOST, 1));
}

#[test]
fn what_has_had_enough_is_not_polled_again_and_is_not_forgotten() {
    assert_eq!(restless(true), (1, 1));
}

#[test]
fn what_rests_is_woken_by_whoever_has_its_waker() {
    let (executor, waker) = executor();
    let mut turn = Turn::default();
    let mut kept = None;
    for round in 1..=3 {
        let mut polls = 0;
        let poll = |cx: &mut Context<'_>| {
            polls += 1;
            kept = Some(cx.waker().clone());
            Poll::<()>::Pending
        };
        assert!(turn.poll(&mut Context::from_waker(&waker), poll, || false).is_pending());
        assert_eq!((polls, executor.woken()), (1, round - 1));
        kept.take().unwrap().wake();
        assert_eq!(executor.woken(), round);
    }
}

#[test]
fn no_wake_is_lost_between_threads() {
    // Each side answers the other: a wake that is lost stops both.
    let (sender, receiver) = std::sync::mpsc::channel::<Waker>();
    let waking = std::thread::spawn(move || receiver.into_iter().for_each(Waker::wake));
    let mut turn = Turn::default();
    let mut rounds = 0;
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let answered = runtime.block_on(std::future::poll_fn(|cx| {
        let poll = |cx: &mut Context<'_>| {
            rounds += 1;
            sender.send(cx.waker().clone()).unwrap();
            if rounds == 20_000 { Poll::Ready(rounds) } else { Poll::Pending }
        };
        turn.poll(cx, poll, || false)
    }));
    drop(sender);
    assert_eq!(answered, 20_000);
    waking.join().unwrap();
}

#[test]
fn a_gate_lets_through_what_was_woken() {
    let (executor, waker) = executor();
    let gate = Gate::default();
    let mut kept = None;
    let mut polls = 0;
    let mut poll = |gate: &Gate| {
        let look = |cx: &mut Context<'_>| {
            polls += 1;
            kept = Some(cx.waker().clone());
            Poll::<()>::Pending
        };
        assert!(gate.poll(&mut Context::from_waker(&waker), look).is_pending());
        (polls, kept.clone().unwrap())
    };
    let (first, inner) = poll(&gate);
    assert_eq!((first, poll(&gate).0), (1, 1));
    inner.wake_by_ref();
    inner.wake_by_ref();
    assert_eq!(executor.woken(), 1);
    assert_eq!((poll(&gate).0, poll(&gate).0), (2, 2));
    gate.open();
    assert_eq!((poll(&gate).0, poll(&gate).0, executor.woken()), (3, 3, 1));
}
