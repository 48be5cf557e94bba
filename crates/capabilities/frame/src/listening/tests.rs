use std::collections::VecDeque;

use super::*;

type Told = VecDeque<Result<u32, Failure>>;

/// What is opened, one after the other.
#[derive(Default)]
struct Script {
    opened: Mutex<VecDeque<Result<Told, Failure>>>,
    presence: Presence,
    said: Mutex<Vec<String>>,
}

impl Script {
    fn new(opened: impl IntoIterator<Item = Result<Told, Failure>>) -> Self {
        Self { opened: Mutex::new(opened.into_iter().collect()), ..Self::default() }
    }

    fn said(&self) -> Vec<String> {
        std::mem::take(&mut self.said.lock().unwrap())
    }
}

impl Origin for Script {
    type Stream = Told;
    type Item = u32;
    const ENDED: &'static str = "it ended";

    fn open(&self) -> BoxFuture<'static, Result<Told, Failure>> {
        match self.opened.lock().unwrap().pop_front() {
            Some(opened) => Box::pin(async { opened }),
            None => Box::pin(std::future::pending()),
        }
    }

    async fn next(stream: &mut Told) -> Option<Result<u32, Failure>> {
        stream.pop_front()
    }

    fn is_final(failure: &Failure) -> bool {
        matches!(failure, Failure::Denied(_))
    }

    fn presence(&self) -> &Presence {
        &self.presence
    }

    fn came(&self, again: bool) {
        self.said.lock().unwrap().push(format!("came {again}"));
    }

    fn went(&self, failure: &Failure, is_new: bool) {
        self.said.lock().unwrap().push(format!("went {is_new}: {failure}"));
    }
}

fn down() -> Failure {
    Failure::unreachable("down")
}

#[tokio::test(start_paused = true)]
async fn it_comes_back_whatever_ends_it_and_says_so_once() {
    let origin = Script::new([
        Err(down()),
        Err(down()),
        Ok([Ok(1), Err(Failure::lost("gone"))].into()),
        Ok([Ok(2)].into()),
        Ok([Ok(3)].into()),
    ]);
    let mut listening = Listening::begin(&origin).await.unwrap();
    assert!(!origin.presence.state().listening);
    for wanted in 1..=3 {
        assert_eq!(listening.next(&origin).await, Some(wanted));
        assert!(origin.presence.state().listening);
    }
    let said = origin.said();
    let kinds: Vec<_> = said.iter().map(|line| line.split(':').next().unwrap()).collect();
    let wanted = [
        "went true",
        "went false",
        "came true",
        "went true",
        "came true",
        "went true",
        "came true",
    ];
    assert_eq!(kinds, wanted, "{said:?}");
    assert!(said[5].contains("it ended"), "{said:?}");
}

#[tokio::test(start_paused = true)]
async fn what_makes_no_sense_to_try_again_is_an_error_at_once_and_only_then() {
    let denied = || Failure::Denied("no".to_owned());
    let begun = Listening::begin(&Script::new([Err(denied())])).await;
    assert_eq!(begun.err(), Some(denied()));
    // Later, somebody may see to it.
    let origin = Script::new([Ok(Told::new()), Err(denied()), Ok([Ok(1)].into())]);
    let mut listening = Listening::begin(&origin).await.unwrap();
    assert_eq!(listening.next(&origin).await, Some(1));
}

#[tokio::test(start_paused = true)]
async fn one_that_does_not_answer_is_not_waited_for_at_the_beginning() {
    let origin = Script::default();
    let begun = tokio::time::Instant::now();
    let mut listening = Listening::begin(&origin).await.unwrap();
    assert_eq!(begun.elapsed(), BEGINNING);
    assert_eq!((listening.end().is_none(), listening.next(&origin).await), (true, None));
}

#[tokio::test(start_paused = true)]
async fn ended_it_still_gives_what_is_open() {
    let origin = Script::new([Ok([Ok(1), Ok(2)].into()), Ok([Ok(3)].into())]);
    let mut listening = Listening::begin(&origin).await.unwrap();
    assert!(listening.end().is_some() && listening.is_ended());
    assert_eq!(listening.next(&origin).await, Some(1));
    assert_eq!(listening.next(&origin).await, Some(2));
    assert_eq!(listening.next(&origin).await, None);
    assert_eq!(origin.said(), ["came false"]);
}

#[test]
fn pauses_grow_to_a_limit() {
    let first = Duration::from_secs(1);
    for attempt in 0..200_u32 {
        let most = first * 2_u32.pow(attempt.saturating_sub(1).min(16));
        let pause = pause(first, attempt);
        let most = most.min(LONGEST_PAUSE);
        assert!(pause >= most / 2 && pause <= most, "{attempt}: {pause:?}");
    }
}
