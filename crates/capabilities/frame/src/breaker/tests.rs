use super::*;

#[test]
fn it_opens_after_failures_in_a_row_and_lets_one_try_through() {
    let (breaker, start) = (Breaker::default(), Instant::now());
    for _ in 0..FAILURES - 1 {
        assert!(!breaker.failed(start));
    }
    assert!(breaker.admit(start).is_ok());
    assert!(breaker.failed(start), "the tenth opens it");
    assert_eq!(breaker.admit(start), Err((FAILURES, PAUSE.0)));
    let later = start + PAUSE.0;
    assert!(breaker.admit(later).is_ok(), "one try");
    assert!(breaker.admit(later).is_err(), "and no other beside it");
    assert!(!breaker.failed(later), "it was open before");
    assert!(breaker.admit(later + PAUSE.0).is_err(), "the pause has doubled");
    assert!(breaker.admit(later + PAUSE.0 * 2).is_ok());
    assert!(breaker.worked());
    assert!(breaker.admit(later).is_ok());
    assert!(!breaker.worked(), "told once");
}

#[test]
fn a_success_between_failures_keeps_it_closed() {
    let (breaker, now) = (Breaker::default(), Instant::now());
    for _ in 0..10 * FAILURES {
        for _ in 0..FAILURES - 1 {
            assert!(!breaker.failed(now));
        }
        breaker.worked();
    }
    assert!(breaker.admit(now).is_ok());
}

#[test]
fn pauses_grow_no_longer_than_the_longest() {
    let (breaker, mut now) = (Breaker::default(), Instant::now());
    for _ in 0..FAILURES + 20 {
        breaker.failed(now);
        now += PAUSE.1;
        assert!(breaker.admit(now).is_ok());
    }
}
