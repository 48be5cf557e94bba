#![allow(clippy::unwrap_used, reason = "tests")]

use proptest::prelude::*;

use super::*;

const ROOT: Id = (1, 1);
const FILE: Id = (1, 2);
const OTHER: Id = (1, 3);

fn ledger(quota: u64) -> (Arc<Ledger>, Arc<dyn Any + Send + Sync>) {
    let ledger = Arc::new(Ledger::new(quota, ROOT));
    let open: Arc<dyn Any + Send + Sync> = Arc::new(());
    ledger.name().unwrap();
    ledger.opened(FILE, 0, Arc::downgrade(&open));
    (ledger, open)
}

#[test]
fn what_grows_a_file_is_charged_before_it_happens() {
    let (ledger, _open) = ledger(100);
    let first = ledger.write(FILE, From::At(0), 60).unwrap().unwrap();
    let second = ledger.write(FILE, From::At(20), 60).unwrap().unwrap();
    assert_eq!(ledger.used(), 80, "they overlap");
    assert!(ledger.write(FILE, From::End, 21).unwrap().is_err());
    assert!(ledger.resize(FILE, 101).unwrap().is_err());
    // The second comes to less than it could have.
    second.done(Some(60));
    assert_eq!(ledger.used(), 80, "the first is still on its way");
    first.done(Some(60));
    assert_eq!(ledger.used(), 60);
    ledger.resize(FILE, 10).unwrap().unwrap().done(Some(10));
    assert_eq!(ledger.used(), 10);
}

#[test]
fn what_is_at_the_end_comes_after_all_that_is_on_its_way() {
    let (ledger, _open) = ledger(100);
    let changes: Vec<_> =
        (0..5).map(|_| ledger.write(FILE, From::End, 20).unwrap().unwrap()).collect();
    assert_eq!(ledger.used(), 100);
    assert_eq!(ledger.write(FILE, From::End, 1).unwrap().unwrap_err(), Full);
    // Given up without a word: nobody knows how much of it is there.
    drop(changes);
    assert_eq!(ledger.used(), 100);
    ledger.resize(FILE, 0).unwrap().unwrap().done(Some(0));
    assert_eq!(ledger.used(), 0);
}

#[test]
fn a_file_without_a_name_is_charged_while_it_is_open() {
    let (ledger, open) = ledger(100);
    ledger.write(FILE, From::At(0), 90).unwrap().unwrap().done(Some(90));
    ledger.removed(FILE, 1);
    assert_eq!(ledger.used(), 90);
    let more: Arc<dyn Any + Send + Sync> = Arc::new(());
    ledger.opened(OTHER, 0, Arc::downgrade(&more));
    assert!(ledger.write(OTHER, From::At(0), 20).unwrap().is_err());
    drop(open);
    assert!(ledger.write(OTHER, From::At(0), 20).unwrap().is_ok(), "there is room again");
    assert!(ledger.write(FILE, From::At(0), 1).is_none(), "and it is not this directory's");
}

#[test]
fn a_file_with_two_names_stays_until_the_last_is_removed() {
    let (ledger, open) = ledger(100);
    ledger.write(FILE, From::At(0), 90).unwrap().unwrap().done(Some(90));
    ledger.name().unwrap();
    drop(open);
    ledger.removed(FILE, 2);
    assert_eq!(ledger.used(), 90);
    ledger.removed(FILE, 1);
    assert_eq!(ledger.used(), 0);
}

#[test]
fn offsets_that_are_no_offsets_are_too_much() {
    let (ledger, _open) = ledger(100);
    assert!(ledger.write(FILE, From::At(u64::MAX), 10).unwrap().is_err());
    assert!(ledger.resize(FILE, u64::MAX).unwrap().is_err());
    assert_eq!(ledger.used(), 0);
}

#[test]
fn names_are_counted() {
    let (ledger, _open) = ledger(100);
    for _ in 1..MOST_NAMES {
        ledger.name().unwrap();
    }
    assert_eq!(ledger.name(), Err(Full));
    ledger.removed(OTHER, 1);
    ledger.name().unwrap();
    ledger.unname();
    ledger.name().unwrap();
}

proptest! {
    /// Against files that are as long as what was written to them: never over the quota, and exact at rest.
    #[test]
    fn the_sum_is_that_of_the_files(
        steps in prop::collection::vec((0_u64..3, any::<bool>(), 0_u64..80, 0_u64..80), 0..60)
    ) {
        let quota = 100;
        let ledger = Arc::new(Ledger::new(quota, ROOT));
        let open: Arc<dyn Any + Send + Sync> = Arc::new(());
        let mut files: HashMap<u64, u64> = HashMap::new();
        for (file, writes, offset, bytes) in steps {
            let id = (1, file);
            let length = *files.entry(file).or_insert_with(|| {
                ledger.opened(id, 0, Arc::downgrade(&open));
                0
            });
            let (change, wanted) = match writes {
                true => (ledger.write(id, From::At(offset), bytes), length.max(offset + bytes)),
                false => (ledger.resize(id, offset), offset),
            };
            let others: u64 = files.iter().filter(|(one, _)| **one != file).map(|(_, len)| len).sum();
            match change.unwrap() {
                Ok(change) => {
                    prop_assert!(others + wanted <= quota);
                    files.insert(file, wanted);
                    change.done(Some(wanted));
                }
                Err(Full) => prop_assert!(others + wanted.max(length) > quota),
            }
            prop_assert_eq!(ledger.used(), files.values().sum::<u64>());
        }
    }
}
