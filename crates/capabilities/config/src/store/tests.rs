use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use futures::future::join_all;

use super::*;
use crate::{LARGEST, MOST};

/// Counts how often it is asked.
#[derive(Debug, Default)]
struct Counting {
    asked: Arc<AtomicUsize>,
    whole: bool,
    all: Vec<(String, Value)>,
}

#[async_trait]
impl Source for Counting {
    async fn get(&self, name: &str) -> Result<Option<Value>, Failure> {
        let asked = self.asked.fetch_add(1, Ordering::SeqCst) + 1;
        // Others get their turn meanwhile.
        tokio::task::yield_now().await;
        match name {
            "none" => Ok(None),
            "bad" => Err(Failure::unreachable("it is down")),
            _ => Ok(Some(format!("{name} {asked}").into())),
        }
    }

    async fn all(&self, _: &Keys) -> Result<Vec<(String, Value)>, Failure> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        tokio::task::yield_now().await;
        Ok(self.all.clone())
    }

    fn is_whole(&self) -> bool {
        self.whole
    }
}

fn text(value: Result<Option<Value>, Failure>) -> String {
    value.unwrap().unwrap().text().unwrap().to_owned()
}

const HOUR: Duration = Duration::from_secs(3600);

#[tokio::test]
async fn what_was_read_is_good_for_a_while_and_no_longer() {
    let store = Store::new(Counting::default(), Keys::all(), HOUR);
    assert_eq!(text(store.get("a").await), "a 1");
    assert_eq!(text(store.get("a").await), "a 1");
    assert_eq!(text(store.get("b").await), "b 2");
    assert_eq!(store.get("none").await, Ok(None));
    assert_eq!(store.get("none").await, Ok(None), "that there is none is known as well");
    assert_eq!(text(store.get("c").await), "c 4");

    let store = Store::new(Counting::default(), Keys::all(), Duration::ZERO);
    assert_eq!(text(store.get("a").await), "a 1");
    assert_eq!(text(store.get("a").await), "a 2");
    let store = Store::new(Counting::default(), Keys::all(), Duration::from_nanos(1));
    assert_eq!(text(store.get("a").await), "a 1");
    assert_eq!(text(store.get("a").await), "a 2");
}

#[tokio::test]
async fn what_fails_is_asked_for_again() {
    let asked = Arc::<AtomicUsize>::default();
    let source = Counting { asked: asked.clone(), ..Counting::default() };
    let store = Store::new(source, Keys::all(), HOUR);
    assert!(store.get("bad").await.is_err());
    assert!(store.get("bad").await.is_err());
    assert_eq!(asked.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn many_who_want_the_same_ask_once() {
    let asked = Arc::<AtomicUsize>::default();
    let source = Counting { asked: asked.clone(), ..Counting::default() };
    let store = Store::new(source, Keys::all(), HOUR);
    let all = join_all((0..100).map(|_| store.get("a"))).await;
    assert!(all.into_iter().all(|one| text(one) == "a 1"));
    assert_eq!(asked.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_whole_is_read_once_for_all_of_its_names() {
    let asked = Arc::<AtomicUsize>::default();
    let all = [("a", "1"), ("b", "2"), ("x", "3")];
    let all = all.map(|(name, value)| (name.to_owned(), Value::from(value))).to_vec();
    let source = Counting { asked: asked.clone(), whole: true, all };
    let store = Store::new(source, "a,b".parse().unwrap(), HOUR);
    let each = join_all(["a", "b", "a", "c"].map(|name| store.get(name))).await;
    let each: Vec<_> = each.into_iter().map(|one| one.unwrap()).collect();
    assert_eq!(each, [Some("1".into()), Some("2".into()), Some("1".into()), None]);
    assert_eq!(store.get("x").await, Ok(None), "what is not granted is not even kept");
    assert_eq!(store.all().await.unwrap().len(), 2);
    assert_eq!(asked.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn too_much_is_refused_and_what_is_kept_is_bounded() {
    let many: Vec<_> = (0..=MOST).map(|n| (n.to_string(), Value::from(""))).collect();
    let store = Store::new(Counting { all: many, ..Counting::default() }, Keys::all(), HOUR);
    assert!(store.all().await.unwrap_err().to_string().contains("more than 1000"));
    let large = vec![("a".to_owned(), Value::from(vec![0; LARGEST + 1]))];
    let store = Store::new(Counting { all: large, ..Counting::default() }, Keys::all(), HOUR);
    assert!(matches!(store.all().await, Err(Failure::TooLarge { .. })));

    let lately = Lately::new(HOUR);
    let now = Instant::now();
    for n in 0..10 * MOST {
        lately.put(&n.to_string(), Some("x".into()), now);
    }
    let kept = (0..10 * MOST).filter(|n| lately.get(&n.to_string(), now).is_some()).count();
    assert!((1..=MOST).contains(&kept), "{kept}");
    for n in 0..20 {
        lately.put(&n.to_string(), Some(vec![0; LARGEST / 3].into()), now);
    }
    let sizes = (0..20).filter_map(|n| lately.get(&n.to_string(), now)?);
    assert!(sizes.map(|value| value.len()).sum::<usize>() <= 2 * LARGEST);
}

#[tokio::test]
async fn what_can_be_no_name_is_asked_of_nobody() {
    let asked = Arc::<AtomicUsize>::default();
    let source = Counting { asked: asked.clone(), ..Counting::default() };
    let store = Store::new(source, Keys::all(), HOUR);
    let long = "x".repeat(LONGEST_NAME + 1);
    for name in ["", "a\0b", "a\nb", &long] {
        assert!(store.get(name).await.is_err(), "{name:?}");
    }
    assert_eq!(asked.load(Ordering::SeqCst), 0);
}
