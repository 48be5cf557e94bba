use std::sync::{
    Mutex,
    atomic::{AtomicBool, Ordering},
};

use futures::future::FutureExt as _;

use super::*;
use crate::Journals;

/// Where things are sent, if it is up.
#[derive(Debug, Default)]
struct Far {
    up: AtomicBool,
    got: Mutex<Vec<Vec<u8>>>,
}

fn to(far: &Arc<Far>) -> Send {
    let far = far.clone();
    Box::new(move |entry| {
        let far = far.clone();
        async move {
            if !far.up.load(Ordering::Relaxed) {
                return Err(Failure::unreachable("it is down"));
            }
            if *entry.record == *b"poison" {
                return Err(Failure::Invalid("never".to_owned()));
            }
            far.got.lock().unwrap().push(entry.record.to_vec());
            Ok(())
        }
        .boxed()
    })
}

async fn until(what: impl Fn() -> bool) {
    let waiting = async {
        while !what() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(Duration::from_secs(30), waiting).await.unwrap();
}

#[tokio::test]
async fn what_waits_goes_out_in_order_once_it_can_and_poison_holds_up_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let journal = Journals::default().open(&dir.path().join("j"), 1 << 20).unwrap();
    let far = Arc::new(Far::default());
    let sending = Sending::start(journal.clone(), &Handle::current(), to(&far));
    let mut expected = Vec::new();
    for number in 0..20_u8 {
        let record = if number == 7 { b"poison".to_vec() } else { vec![number] };
        journal.push("k".into(), record.clone().into()).await.unwrap();
        expected.extend((number != 7).then_some(record));
    }
    assert_eq!(journal.len(), 20);
    far.up.store(true, Ordering::Relaxed);
    until(|| journal.is_empty()).await;
    assert_eq!(*far.got.lock().unwrap(), expected);
    assert_eq!(journal.aside(), 1);
    drop(sending);
}

#[tokio::test]
async fn what_waits_goes_out_though_nobody_uses_the_link_any_more() {
    let dir = tempfile::tempdir().unwrap();
    let journal = Journals::default().open(&dir.path().join("j"), 1 << 20).unwrap();
    let far = Arc::new(Far::default());
    let one = Sending::start(journal.clone(), &Handle::current(), to(&far));
    let other = Sending::start(journal.clone(), &Handle::current(), to(&far));
    journal.push("k".into(), "a".into()).await.unwrap();
    drop(one);
    drop(other);
    far.up.store(true, Ordering::Relaxed);
    until(|| journal.is_empty()).await;
    assert_eq!(*far.got.lock().unwrap(), [b"a"]);
    // Nobody has it open any more, at some point.
    until(|| Arc::strong_count(&journal) == 1).await;
}
