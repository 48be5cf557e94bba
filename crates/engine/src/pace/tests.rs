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
    let (_, used) = timed(|| {
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
        charged += timed(|| compute(each)).1;
        charged += timed(|| ()).1;
    }
    let had = thread_time() - begun;
    assert!(charged >= each * 20, "{charged:?} of {had:?}");
    assert!(charged <= had, "{charged:?} of {had:?}");
}
