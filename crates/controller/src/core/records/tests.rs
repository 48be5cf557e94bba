use super::*;

fn want(term: u64, revision: u64) -> Entry {
    let record = Assignment { term, workloads: Vec::new() };
    let value = reef_lattice::record::encode(&record).unwrap();
    Entry { key: Name::Want("one".into()).key().unwrap(), value, revision }
}

fn known(records: &Records) -> (u64, u64) {
    let kept = records.wants.get("one").unwrap();
    assert_eq!(records.revision(&Name::Want("one".into())), Some(kept.revision));
    (kept.get().unwrap().term, kept.revision)
}

/// A store that was emptied counts from one again.
#[test]
fn what_another_store_tells_counts_though_its_revisions_are_not_higher() {
    for revision in [3, 40, 41] {
        let mut records = Records::default();
        let before = [Change::Anew, Change::Put(want(2, 40)), Change::Current, Change::Lost];
        before.iter().for_each(|change| records.take(change));
        let after = [Change::Anew, Change::Put(want(1, revision)), Change::Current];
        after.iter().for_each(|change| records.take(change));
        assert_eq!(known(&records), (1, revision));
    }
}

#[test]
fn what_was_written_while_all_is_told_anew_is_not_what_it_was_before() {
    let mut records = Records::default();
    let before = [Change::Anew, Change::Put(want(1, 3)), Change::Current, Change::Lost];
    before.iter().for_each(|change| records.take(change));
    records.take(&Change::Anew);
    records.take(&Change::Put(want(1, 3)));
    let written = want(2, 4);
    records.put(Name::Want("one".into()), &written.value, written.revision).unwrap();
    records.take(&Change::Current);
    assert_eq!(known(&records), (2, 4));
    // Nor is what comes late.
    records.take(&Change::Put(want(1, 3)));
    assert_eq!(known(&records), (2, 4));
}
