use super::*;

const TAKEN: &[Setting] = &[
    Setting::new("url", "where the server is: `redis://host`"),
    Setting::new("prefix", "what keys begin with"),
];

fn settings(entries: &[(&str, &str)]) -> Settings {
    entries.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect()
}

#[test]
fn a_name_that_is_nearly_known_is_told_with_the_known_one() {
    let error = settings(&[("ulr", "x")]).only(&[TAKEN]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "there is no setting `ulr` (did you mean `url`?); there is `url`, `prefix`"
    );
    assert_eq!(settings(&[("url", "x")]).only(&[TAKEN]), Ok(()));
}

#[test]
fn what_is_missing_says_what_it_is_for() {
    let error = settings(&[("url", "")]).required(&TAKEN[0]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the setting `url` is missing: where the server is: `redis://host`"
    );
}

#[test]
fn values_are_never_shown() {
    let shown = format!("{:?}", settings(&[("url", "redis://:hunter2@host")]));
    assert!(!shown.contains("hunter2"), "{shown}");
    // Nor in what is said of those that are wrong.
    let misplaced = settings(&[("a", "hunter2")]);
    let said = [
        misplaced.duration("a").unwrap_err().to_string(),
        misplaced.size("a").unwrap_err().to_string(),
        misplaced.parsed::<crate::Rate>("a").unwrap_err().to_string(),
    ];
    assert!(said.iter().all(|one| !one.contains("hunter2") && one.contains("`a`")), "{said:?}");
}

#[test]
fn a_backend_may_take_whatever_is_said() {
    assert_eq!(settings(&[("anything", "x")]).only(&[TAKEN, &[Setting::ANY]]), Ok(()));
}

#[test]
fn values_are_read_as_what_they_are() {
    let some = settings(&[("a", "250ms"), ("b", "2MiB"), ("c", "yes"), ("d", "7")]);
    assert_eq!(some.duration("a"), Ok(Some(Duration::from_millis(250))));
    assert_eq!(some.size("b"), Ok(Some(2 << 20)));
    assert_eq!(some.parsed::<u32>("d"), Ok(Some(7)));
    assert_eq!(some.parsed::<u32>("e"), Ok(None));
    let error = some.flag("c").unwrap_err();
    assert_eq!(error.to_string(), "the setting `c` is neither `true` nor `false`");
}
