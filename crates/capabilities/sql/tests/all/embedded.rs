//! What is SQLite's own.

use std::{fs, time::Duration};

use proptest::prelude::*;
use reef_capability::{Caller, Failure};
use reef_sql::{Date, Limits, Value};

use crate::{Setup, Uses as _, connect, failure, text, until};

#[tokio::test(flavor = "multi_thread")]
async fn guests_have_their_database_and_nothing_else() {
    let setup = Setup::embedded();
    let elsewhere = setup.folder.path().join("elsewhere.db");
    let one = connect(&setup.database()).await;
    one.run("create table t (a)", vec![]).await.unwrap();
    for wrong in [
        format!("attach '{}' as x", elsewhere.display()),
        "attach ':memory:' as x".to_owned(),
        "attach '' as x".to_owned(),
        format!("vacuum into '{}'", elsewhere.display()),
        "vacuum".to_owned(),
        "select load_extension('x')".to_owned(),
        "pragma journal_mode = delete".to_owned(),
        "pragma synchronous = off".to_owned(),
        "pragma database_list".to_owned(),
        "pragma max_page_count = 1000000000".to_owned(),
        "pragma writable_schema = on".to_owned(),
        "pragma temp_store_directory = '/'".to_owned(),
        "select * from pragma_database_list".to_owned(),
    ] {
        let why = one.rows(&wrong, vec![]).await.unwrap_err();
        assert!(
            matches!(why.failure, Failure::Denied(_) | Failure::Invalid(_)),
            "{wrong}: {why:?}"
        );
    }
    assert!(!elsewhere.exists());
    let why = failure(one.rows("vacuum", vec![]).await).to_string();
    assert!(why.contains("VACUUM are not allowed"), "{why}");
    for fine in [
        "pragma user_version = 7",
        "pragma table_info(t)",
        "pragma foreign_keys",
        "pragma integrity_check",
    ] {
        one.rows(fine, vec![]).await.unwrap();
    }
    assert_eq!(one.number("pragma user_version").await, 7);
    assert_eq!(one.number("pragma foreign_keys").await, 1);
    let why = one.rows("update sqlite_master set sql = ''", vec![]).await.unwrap_err();
    assert!(matches!(why.failure, Failure::Invalid(_)), "{why:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_a_session_is_left_for_the_next() {
    let setup = Setup::embedded().with("max-connections", "1");
    let database = setup.database();
    let one = connect(&database).await;
    one.run("create table t (a integer primary key)", vec![]).await.unwrap();
    one.run("insert into t values (41)", vec![]).await.unwrap();
    assert_eq!(one.last().inserted, Some(41));
    one.run("create temp table private (a)", vec![]).await.unwrap();
    one.run("pragma foreign_keys = off", vec![]).await.unwrap();
    one.run("begin immediate", vec![]).await.unwrap();
    drop(one);
    let two = connect(&database).await;
    assert_eq!((two.last().inserted, two.last().rows), (None, 0));
    let left = two.rows("select * from private", vec![]).await.unwrap_err();
    assert!(left.to_string().contains("no such table"), "{left}");
    assert_eq!(two.number("pragma foreign_keys").await, 1);
    two.run("begin immediate", vec![]).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn databases_are_files_of_their_own() {
    let setup = Setup::embedded();
    let backend = setup.backend();
    let limits = Limits { time: Duration::from_secs(5), size: 1 << 20, rows: 10 };
    for wrong in ["", "../x", "a/b", ".hidden", "a\0b", "é", &"a".repeat(65)] {
        let why = backend.session(wrong, limits).await.err().unwrap();
        assert!(why.to_string().contains("is no name of a database"), "{why}");
    }
    for name in ["default", "other.1"] {
        let session = backend.session(name, limits).await.unwrap();
        session.batch("create table t (a)".into()).await.unwrap();
        assert!(setup.folder.path().join(format!("sql/{name}.db")).is_file());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_database_says_so_and_goes_on() {
    let setup = Setup::embedded().with("capacity", "256KiB");
    let one = connect(&setup.database()).await;
    one.run("create table t (a)", vec![]).await.unwrap();
    let filler = text(&"x".repeat(10_000));
    let mut kept = 0;
    let why = loop {
        match one.run("insert into t values (?)", vec![filler.clone()]).await {
            Ok(_) => kept += 1,
            Err(why) => break why,
        }
    };
    assert!(matches!(why.failure, Failure::Full(_)), "{why:?}");
    assert!(why.to_string().contains("`capacity`"), "{why}");
    assert_eq!(one.number("select count(*) from t").await, kept);
    one.run("delete from t", vec![]).await.unwrap();
    one.run("insert into t values (?)", vec![filler]).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_file_says_so() {
    let setup = Setup::embedded();
    fs::create_dir_all(setup.folder.path().join("sql")).unwrap();
    fs::write(
        setup.folder.path().join("sql/main.db"),
        "no database at all, and long enough to be read as one".repeat(99),
    )
    .unwrap();
    let one = connect(&setup.database()).await;
    let why = failure(one.rows("select 1 from sqlite_master", vec![]).await);
    assert!(matches!(&why, Failure::Backend(why) if why.contains("restore it")), "{why:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn text_that_is_none_is_refused_by_column() {
    let one = connect(&Setup::embedded().database()).await;
    let why = failure(one.rows("select cast(x'ff' as text) as odd", vec![]).await).to_string();
    assert!(why.contains("`odd`") && why.contains("CAST"), "{why}");
}

#[tokio::test(flavor = "multi_thread")]
async fn writers_wait_for_each_other() {
    let setup = Setup::embedded().time(Duration::from_secs(5));
    let database = setup.database();
    let (one, two) = (connect(&database).await, connect(&database).await);
    one.run("create table t (a)", vec![]).await.unwrap();
    one.run("begin immediate", vec![]).await.unwrap();
    let why = failure(two.run("insert into t values (1)", vec![]).await);
    assert!(matches!(why, Failure::Conflict(_) | Failure::Timeout(_)), "{why:?}");
    one.run("commit", vec![]).await.unwrap();
    let two = &two;
    until(|| async { two.run("insert into t values (1)", vec![]).await.is_ok() }).await;
    // One that read before is told to begin again.
    one.run("begin", vec![]).await.unwrap();
    one.number("select count(*) from t").await;
    two.run("insert into t values (2)", vec![]).await.unwrap();
    let why = failure(one.run("insert into t values (3)", vec![]).await).to_string();
    assert!(why.contains("BEGIN IMMEDIATE"), "{why}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_sqlite_has_no_type_for_is_text() {
    let one = connect(&Setup::embedded().database()).await;
    let table =
        one.rows("select ?, ?", vec![Value::Date(Date::Ymd(2024, 2, 29)), Value::Bool(true)]).await;
    assert_eq!(table.unwrap().rows, [vec![text("2024-02-29"), Value::I64(1)]]);
    let why = failure(one.rows("select ?", vec![Value::U64(u64::MAX)]).await).to_string();
    assert!(why.contains("64 bits with a sign"), "{why}");
}

#[test]
fn values_come_back() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let _inside = runtime.enter();
    let setup = Setup::embedded();
    let one = runtime.block_on(connect(&setup.database()));
    runtime.block_on(one.run("create table t (a)", vec![])).unwrap();
    let value = prop_oneof![
        Just(Value::Null),
        any::<i64>().prop_map(Value::I64),
        any::<f64>().prop_filter("SQLite has no NaN", |n| !n.is_nan()).prop_map(Value::F64),
        any::<String>().prop_map(Value::Text),
        proptest::collection::vec(any::<u8>(), 0..300).prop_map(Value::Binary),
    ];
    proptest!(ProptestConfig::with_cases(200), |(values in proptest::collection::vec(value, 1..8))| {
        let back = runtime.block_on(async {
            one.run("begin", vec![]).await.unwrap();
            for value in &values {
                one.run("insert into t values (?)", vec![value.clone()]).await.unwrap();
            }
            let table = one.rows("select a from t order by rowid", vec![]).await.unwrap();
            one.run("rollback", vec![]).await.unwrap();
            table.rows.into_iter().flatten().collect::<Vec<_>>()
        });
        prop_assert_eq!(back, values);
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_given_up_stops() {
    let setup = Setup::embedded().with("max-connections", "1");
    let database = setup.database();
    let one = connect(&database).await;
    let caller = Caller::default();
    let slow = one.fetch(&caller, setup.slow(), vec![]);
    assert!(tokio::time::timeout(Duration::from_millis(50), slow).await.is_err());
    // Much less than the five seconds that the statement had.
    assert_eq!(one.number("select 1").await, 1);
}
