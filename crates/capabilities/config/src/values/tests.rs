use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use reef_capability::{Gate, Policy};

use super::*;
use crate::{CONFIG, Keys, Source};

#[derive(Debug)]
struct Fixed(&'static [(&'static str, &'static str)]);

#[async_trait]
impl Source for Fixed {
    async fn get(&self, name: &str) -> Result<Option<Value>, Failure> {
        if self.0.is_empty() {
            return Err(Failure::Backend("it is broken".to_owned()));
        }
        let found = self.0.iter().find(|(one, _)| *one == name);
        Ok(found.map(|(_, value)| (*value).into()))
    }

    async fn all(&self, _: &Keys) -> Result<Vec<(String, Value)>, Failure> {
        Ok(self.0.iter().map(|(name, value)| ((*name).to_owned(), (*value).into())).collect())
    }
}

type Entries = &'static [(&'static str, &'static str)];

fn links(all: &[(&str, &str, Entries)]) -> Links<Store> {
    let workload: Arc<str> = "api".into();
    let link = |(name, keys, entries): &(&str, &str, Entries)| {
        let policy = Policy { size: 10, retries: 0, ..Policy::default() };
        let gate =
            Gate::new(workload.clone(), (*name).into(), (CONFIG, "test"), policy, OPERATIONS);
        let store = Store::new(Fixed(entries), keys.parse().unwrap(), Duration::ZERO);
        Arc::new(Link { place: None, gate, backend: Arc::new(store) })
    };
    Links::new(workload.clone(), CONFIG, all.iter().map(link).collect())
}

fn own(entries: Entries) -> BTreeMap<String, Value> {
    entries.iter().map(|(name, value)| ((*name).to_owned(), (*value).into())).collect()
}

#[tokio::test]
async fn its_own_come_first_then_links_in_their_order() {
    let own = own(&[("a", "own")]);
    let links = links(&[
        ("first", "*", &[("a", "1"), ("b", "1")]),
        ("second", "*", &[("a", "2"), ("b", "2"), ("c", "2")]),
    ]);
    let (values, caller) = (Values { own: &own, links: &links }, Caller::default());
    for (name, value) in [("a", Some("own")), ("b", Some("1")), ("c", Some("2")), ("d", None)] {
        assert_eq!(values.get(&caller, name).await, Ok(value.map(Into::into)), "{name}");
    }
    let all = values.all(&caller).await.unwrap();
    let all: Vec<_> = all.iter().map(|(name, v)| (&**name, v.text().unwrap())).collect();
    assert_eq!(all, [("a", "own"), ("b", "1"), ("c", "2")]);
}

#[tokio::test]
async fn what_is_not_granted_is_refused_with_the_line_to_change() {
    let own = own(&[]);
    let some = links(&[("vault", "db-*", &[("db-a", "1"), ("other", "2")])]);
    let (values, caller) = (Values { own: &own, links: &some }, Caller::default());
    assert_eq!(values.get(&caller, "db-a").await, Ok(Some("1".into())));
    assert_eq!(values.get(&caller, "db-b").await, Ok(None));
    let refused = values.get(&caller, "other").await.unwrap_err();
    assert_eq!(
        refused.to_string(),
        "api may not read `other` of config: its link `vault` has config.keys = \"db-*\"; \
         write config.keys = \"db-*, other\" there"
    );
    let all = values.all(&caller).await.unwrap();
    assert_eq!(all.keys().collect::<Vec<_>>(), ["db-a"]);

    // Without links, there is just nothing.
    let none = links(&[]);
    let values = Values { own: &own, links: &none };
    assert_eq!(values.get(&caller, "other").await, Ok(None));
}

#[tokio::test]
async fn a_link_that_fails_is_not_passed_over() {
    let own = own(&[]);
    let links = links(&[("broken", "*", &[]), ("good", "*", &[("a", "1")])]);
    let (values, caller) = (Values { own: &own, links: &links }, Caller::default());
    assert_eq!(
        values.get(&caller, "a").await,
        Err(Failure::Backend("it is broken".to_owned())),
        "what it has may be another value"
    );
}

#[tokio::test]
async fn values_are_no_larger_than_the_link_allows() {
    let own = own(&[]);
    let links = links(&[("one", "*", &[("a", "0123456789"), ("b", "0123456789a")])]);
    let (values, caller) = (Values { own: &own, links: &links }, Caller::default());
    assert!(values.get(&caller, "a").await.is_ok());
    let refused = values.get(&caller, "b").await.unwrap_err();
    assert!(matches!(refused, Failure::TooLarge { is: 11, most: 10, .. }), "{refused}");
    assert!(matches!(values.all(&caller).await, Err(Failure::TooLarge { .. })));
}

#[test]
fn a_value_is_shown_nowhere() {
    let value = Value::from("hunter2");
    assert_eq!(format!("{value:?} {:?}", Some(&value)), "… Some(…)");
    let own = own(&[("a", "hunter2")]);
    let links = links(&[]);
    assert!(!format!("{:?}", Values { own: &own, links: &links }).contains("hunter2"));
}
