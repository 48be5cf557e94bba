use super::*;

#[test]
fn ready_only_between_starting_and_draining_and_live_throughout() {
    let health = Health::new();
    assert_eq!(health.ready(), Answer { ok: false, state: State::Starting });
    assert!(health.live().ok);
    health.clone().set_ready();
    assert_eq!(health.ready(), Answer { ok: true, state: State::Ready });
    health.set_draining();
    assert_eq!(health.ready(), Answer { ok: false, state: State::Draining });
    assert!(health.live().ok);
}

#[test]
fn a_late_ready_does_not_undo_a_drain() {
    let health = Health::new();
    health.set_draining();
    health.set_ready();
    assert_eq!(health.state(), State::Draining);
}
