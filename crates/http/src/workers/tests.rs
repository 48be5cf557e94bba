#![allow(clippy::unwrap_used, reason = "tests")]
use super::*;

/// Reached only by a test that fails.
const PATIENCE: Duration = Duration::from_secs(120);

#[test]
fn work_runs_on_the_worker_asked_for() {
    let workers = Workers::start(3, "t").unwrap();
    let (send, receive) = mpsc::channel();
    for index in 0..3 {
        let send = send.clone();
        workers.spawn_on(index, async move {
            send.send((index, Workers::current(), std::thread::current().name().map(String::from)))
                .unwrap();
        });
    }
    for _ in 0..3 {
        let (index, current, name) = receive.recv_timeout(PATIENCE).unwrap();
        assert_eq!(current, Some(index));
        assert_eq!(name, Some(format!("t-{index}")));
    }
    assert_eq!(Workers::current(), None);
    assert!(workers.shutdown(PATIENCE));
}

#[test]
fn shutdown_drops_tasks_and_does_not_wait_for_a_stuck_one() {
    let workers = Workers::start(2, "t").unwrap();
    let (alive, dropped) = mpsc::channel::<()>();
    workers.spawn_on(0, async move {
        let _alive = alive;
        std::future::pending::<()>().await;
    });
    let (release, stuck) = mpsc::channel::<()>();
    let (started, start) = mpsc::channel();
    workers.spawn_on(1, async move {
        started.send(()).unwrap();
        let _ = stuck.recv();
    });
    start.recv_timeout(PATIENCE).unwrap();
    assert!(!workers.shutdown(Duration::from_millis(50)), "worker 1 is stuck");
    assert_eq!(dropped.recv_timeout(PATIENCE), Err(mpsc::RecvTimeoutError::Disconnected));
    drop(release);
}

#[test]
fn a_stream_leaves_home_only_for_a_much_idler_worker() {
    let workers = Workers::start(2, "t").unwrap();
    let busy = |home: usize, other: usize| {
        workers.load(0).requests.store(home, Ordering::Relaxed);
        workers.load(1).requests.store(other, Ordering::Relaxed);
        workers.for_stream(0)
    };
    assert_eq!(busy(0, 0), 0);
    assert_eq!(busy(1, 0), 1);
    assert_eq!(busy(1, 1), 0);
    assert_eq!(busy(20, 15), 0);
    assert_eq!(busy(31, 15), 1);
}
