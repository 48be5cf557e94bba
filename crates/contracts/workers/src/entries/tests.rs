#![allow(clippy::unwrap_used, reason = "tests")]

use proptest::prelude::*;

use super::*;

#[test]
fn a_value_keeps_its_type_and_has_a_text() {
    let json = r#"{"counter":1,"list":[1,2],"name":"reef","none":null}"#;
    let entries: Entries = serde_json::from_str(json).unwrap();
    assert_eq!(entries.len(), 3, "nothing is no value");
    assert_eq!(entries.text("counter").unwrap(), "1");
    assert_eq!(entries.text("list").unwrap(), "[1,2]");
    assert_eq!(entries.text("name").unwrap(), "reef");
    assert_eq!(
        serde_json::to_string(&entries).unwrap(),
        r#"{"counter":1,"list":[1,2],"name":"reef"}"#
    );
}

#[test]
fn requests_at_once_lose_only_what_both_wrote() {
    let before: Entries = [("a", "0"), ("b", "0"), ("c", "0")].into_iter().collect();
    let one: Entries = [("a", "1"), ("b", "0"), ("c", "0")].into_iter().collect();
    let other: Entries = [("a", "0"), ("b", "2")].into_iter().collect();
    let mut stored = before.clone();
    stored.apply(before.changes(&one));
    stored.apply(before.changes(&other));
    assert_eq!(stored, [("a", "1"), ("b", "2")].into_iter().collect());
}

fn entries() -> impl Strategy<Value = Entries> {
    prop::collection::btree_map("[a-e]", 0u8..4, 0..5).prop_map(|map| map.into_iter().collect())
}

proptest! {
    #[test]
    fn changes_make_the_one_the_other(before in entries(), after in entries()) {
        let changes = before.changes(&after);
        prop_assert_eq!(changes.is_empty(), before == after);
        let mut made = before.clone();
        made.apply(changes);
        prop_assert_eq!(made, after);
    }
}
