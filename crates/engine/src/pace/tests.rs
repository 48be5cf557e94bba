use std::thread::sleep;

use super::*;

/// Computes until this thread has had so much of the processor.
fn compute(time: Duration) {
    let until = thread_time() + time;
    while thread_time() < until {
        std::hint::spin_loop();
    }
}

#[test]
fn a_thread_is_charged_what_it_computes_and_not_what_others_do_meanwhile() {
    let computed = Duration::from_millis(20);
    let (_, used) = timed(Instant::now(), || {
        compute(computed);
        sleep(Duration::from_millis(100));
    });
    assert!(used >= computed, "{used:?}");
    assert!(used < Duration::from_millis(60), "{used:?}");
}

#[test]
fn what_a_thread_did_before_is_not_charged_again() {
    let each = Duration::from_millis(2);
    let begun = thread_time();
    let mut charged = Duration::ZERO;
    for _ in 0..20 {
        charged += timed(Instant::now(), || compute(each)).1;
        charged += timed(Instant::now(), || ()).1;
    }
    let had = thread_time() - begun;
    assert!(charged >= each * 20, "{charged:?} of {had:?}");
    assert!(charged <= had, "{charged:?} of {had:?}");
}

#[test]
fn a_guest_is_interrupted_when_it_computes_and_goes_on_when_it_just_came_back() {
    let share = Arc::new(Share::new(&Limits::default(), Arc::default()));
    let activity = Activity::new(share, None);
    assert!(!activity.is_interrupted());
    let entered = |before: Duration| {
        let guest = std::future::poll_fn(|_| {
            compute(before);
            Poll::Ready(activity.interrupt())
        });
        let (poll, _, interrupted) = activity
            .poll(std::pin::pin!(guest), &mut Context::from_waker(std::task::Waker::noop()));
        assert_eq!(poll, Poll::Ready(interrupted));
        interrupted
    };
    assert!(entered(ENTERED * 2));
    // This thread may stand still itself, for once.
    assert!((0..1000).any(|_| !entered(Duration::ZERO)));
    assert!(entered(ENTERED * 2));
}
