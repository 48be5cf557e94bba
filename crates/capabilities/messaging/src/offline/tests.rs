use std::{
    collections::HashSet,
    sync::{
        Mutex,
        atomic::{AtomicU8, Ordering},
    },
};

use proptest::prelude::*;
use reef_journal::Journals;

use super::*;

/// A server that looks at ids.
#[derive(Debug, Default)]
struct Far {
    /// 0: up, 1: cannot be reached, 2: has it, and its answer is lost.
    state: AtomicU8,
    got: Mutex<Vec<String>>,
    ids: Mutex<HashSet<String>>,
}

#[async_trait]
impl Messaging for Far {
    async fn publish(&self, message: Message) -> Result<(), Failure> {
        let state = self.state.load(Ordering::Relaxed);
        if state == 1 {
            return Err(Failure::unreachable("it is down"));
        }
        let id = message.headers.iter().find(|(name, _)| name == ID).unwrap().1.clone();
        if self.ids.lock().unwrap().insert(id) {
            self.got.lock().unwrap().push(message.subject);
        }
        if state == 2 { Err(Failure::lost("it went away")) } else { Ok(()) }
    }

    async fn request(&self, _: Message, _: Duration) -> Result<Option<Message>, Failure> {
        Err(Failure::unreachable("it is down"))
    }

    async fn subscribe(&self, _: &Interest) -> Result<Box<dyn Subscription>, Failure> {
        Err(Failure::unreachable("it is down"))
    }
}

async fn sent(journal: &Journal) {
    let waiting = async {
        while !journal.is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(Duration::from_secs(30), waiting).await.unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    /// What is acknowledged arrives, once, and in its order, whatever becomes of the server and of this process.
    #[test]
    fn what_is_acknowledged_arrives_once_and_in_order(steps in prop::collection::vec(0..5_u8, 1..20)) {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let dir = tempfile::tempdir().unwrap();
            let (far, journals) = (Arc::new(Far::default()), Journals::default());
            let open = || {
                let journal = journals.open(&dir.path().join("j"), 1 << 20).unwrap();
                (Offline::new(far.clone(), journal.clone(), &Handle::current()), journal)
            };
            let (mut link, mut journal) = open();
            let mut published = Vec::new();
            for (number, step) in steps.into_iter().enumerate() {
                match step {
                    0..=2 => far.state.store(step, Ordering::Relaxed),
                    3 => (link, journal) = open(),
                    _ => {}
                }
                let subject = format!("s.{number}");
                link.publish(Message::new(&subject, "x")).await.unwrap();
                published.push(subject);
            }
            far.state.store(0, Ordering::Relaxed);
            sent(&journal).await;
            assert_eq!(*far.got.lock().unwrap(), published);
            drop(link);
        });
    }

    #[test]
    fn a_message_is_kept_as_it_is(
        subject in "[a-z.]{1,10}",
        reply in prop::option::of("[a-z]{1,5}"),
        body in prop::collection::vec(any::<u8>(), 0..20),
        headers in prop::collection::vec(("[a-z]{1,5}", ".{0,5}"), 0..4),
    ) {
        let message = Message { subject, body: body.into(), reply_to: reply, headers };
        prop_assert_eq!(read(&written(&message)).unwrap(), message);
    }

    #[test]
    fn garbage_is_no_message_and_no_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        let _ = read(&bytes);
    }
}

#[tokio::test]
async fn what_there_is_no_room_for_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let far = Arc::new(Far::default());
    far.state.store(1, Ordering::Relaxed);
    let journal = Journals::default().open(&dir.path().join("j"), 400).unwrap();
    let link = Offline::new(far, journal, &Handle::current());
    link.publish(Message::new("s.1", vec![0; 100])).await.unwrap();
    let refused = link.publish(Message::new("s.2", vec![0; 300])).await;
    assert!(
        matches!(&refused, Err(Failure::Full(why)) if why.contains("offline-capacity")),
        "{refused:?}"
    );
}
