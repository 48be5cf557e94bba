//! What every backend does alike.

use std::{sync::Arc, time::Duration};

use reef_capability::{Caller, Failure};
use reef_sql::{Kind, Value};
use tokio::time::Instant;

use crate::{Setup, Uses as _, connect, failure, text, until};

#[tokio::test(flavor = "multi_thread")]
async fn embedded() {
    all(Setup::embedded()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres() {
    all(Setup::postgres()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mysql() {
    all(Setup::mysql()).await;
}

async fn all(mut setup: Setup) {
    values_are_bound_and_come_back(&setup).await;
    what_is_wrong_is_said_and_does_no_harm(&setup).await;
    what_was_not_committed_is_undone(&setup).await;
    rows_come_in_batches(&setup).await;
    several_statements(&setup).await;
    setup = setup.with("max-connections", "2").time(Duration::from_secs(5));
    sessions_are_bounded_and_clean(&setup).await;
    setup = setup.with("max-rows", "10").size(10_000);
    results_are_bounded(&setup).await;
    setup = setup.time(Duration::from_millis(1500));
    time_is_bounded(&setup).await;
}

async fn values_are_bound_and_come_back(setup: &Setup) {
    let one = connect(&setup.database()).await;
    let create = setup.sql(
        "create table things (id bigint primary key, name TEXT, data BYTES, size double precision)",
    );
    one.run(&create, vec![]).await.unwrap();
    let insert = setup.sql("insert into things values (?, ?, ?, ?)");
    let hostile = "'); drop table things; --";
    let rows = [
        vec![
            Value::I64(i64::MIN),
            text(hostile),
            Value::Binary(vec![0, 255, 39]),
            Value::F64(-0.5),
        ],
        vec![Value::I32(2), text("é\u{1F980}\\"), Value::Binary(vec![]), Value::F64(1e300)],
        vec![Value::U16(3), Value::Null, Value::Null, Value::Null],
    ];
    for row in &rows {
        assert_eq!(one.run(&insert, row.clone()).await.unwrap(), 1);
    }
    assert_eq!(one.last().rows, 1);
    let select = "select id, name, data, size from things order by id";
    let table = one.rows(select, vec![]).await.unwrap();
    let names: Vec<_> = table.columns.iter().map(|column| &*column.name).collect();
    assert_eq!(names, ["id", "name", "data", "size"]);
    if setup.backend != "embedded" {
        let kinds: Vec<_> = table.columns.iter().map(|column| column.kind.clone()).collect();
        assert_eq!(kinds, [Kind::I64, Kind::Text, Kind::Binary, Kind::F64]);
    }
    for (row, expected) in table.rows.iter().zip(&rows) {
        assert_eq!(row[0].integer(), expected[0].integer());
        assert_eq!(row[1..], expected[1..]);
    }
    let by_name = setup.sql("select id from things where name = ?");
    assert_eq!(one.rows(&by_name, vec![text(hostile)]).await.unwrap().rows.len(), 1);
    let update = setup.sql("update things set size = ? where id > ?");
    assert_eq!(one.run(&update, vec![Value::F32(0.25), Value::I8(0)]).await.unwrap(), 2);
    // Columns are known without rows.
    let empty = one.rows("select id, name from things where 1 = 0", vec![]).await.unwrap();
    assert_eq!((empty.columns.len(), empty.rows.len()), (2, 0));
}

async fn what_is_wrong_is_said_and_does_no_harm(setup: &Setup) {
    let one = connect(&setup.database()).await;
    let by_id = setup.sql("select name from things where id = ? and name = ?");
    for given in [0, 1, 3] {
        let why = failure(one.rows(&by_id, vec![Value::Null; given]).await).to_string();
        let expected = format!("the statement has 2 parameters, and {given} were given");
        assert_eq!(why, expected);
    }
    let error = one.rows("selekt 1", vec![]).await.unwrap_err();
    assert!(matches!(error.failure, Failure::Invalid(_)), "{error}");
    assert!(error.said.is_some_and(|said| !said.code.is_empty() && !said.message.is_empty()));
    let error = one.rows("select x from nothing_like_it", vec![]).await.unwrap_err();
    assert!(error.to_string().contains("nothing_like_it"), "{error}");
    let again = setup.sql("insert into things (id) values (?)");
    let error = one.run(&again, vec![Value::I64(2)]).await.unwrap_err();
    assert!(matches!(error.failure, Failure::Conflict(_)), "{error:?}");
    assert!(error.said.is_some(), "{error:?}");
    let error = one.run("select 1\0", vec![]).await.unwrap_err();
    assert!(matches!(error.failure, Failure::Invalid(_)), "{error}");
    let error = one.rows("select 1; select 2", vec![]).await.unwrap_err();
    assert!(matches!(error.failure, Failure::Invalid(_)), "{error}");
    let range =
        reef_sql::Range { kind: Kind::Other("x".into()), empty: false, lower: None, upper: None };
    let error = one.run(&again, vec![Value::Range(Box::new(range))]).await.unwrap_err();
    assert!(error.to_string().starts_with("parameter 1 is a range"), "{error}");
    assert_eq!(one.number("select count(*) from things").await, 3);
    let wanted = one.prepare(&Caller::default(), &by_id).await.unwrap();
    assert_eq!(wanted, 2);
}

async fn what_was_not_committed_is_undone(setup: &Setup) {
    let database = setup.database();
    let (one, two) = (connect(&database).await, connect(&database).await);
    one.run("create table counts (n bigint)", vec![]).await.unwrap();
    let insert = setup.sql("insert into counts values (?)");
    let count = "select count(*) from counts";

    one.run("begin", vec![]).await.unwrap();
    one.run(&insert, vec![Value::I64(1)]).await.unwrap();
    assert_eq!((one.number(count).await, two.number(count).await), (1, 0));
    one.run("commit", vec![]).await.unwrap();
    assert_eq!(two.number(count).await, 1);

    one.run("begin", vec![]).await.unwrap();
    one.run(&insert, vec![Value::I64(2)]).await.unwrap();
    drop(one);
    // Its locks are gone with it.
    let (two, insert) = (&two, &insert);
    until(|| async { two.run(insert, vec![Value::I64(3)]).await.is_ok() }).await;
    assert_eq!(two.number(count).await, 2);
}

async fn rows_come_in_batches(setup: &Setup) {
    let one = connect(&setup.database()).await;
    one.run("create table many (n bigint, filler text)", vec![]).await.unwrap();
    let insert = setup.sql("insert into many values (?, ?)");
    one.run("begin", vec![]).await.unwrap();
    let filler = "x".repeat(500);
    for n in 0..3000 {
        one.run(&insert, vec![Value::I64(n), text(&filler)]).await.unwrap();
    }
    one.run("commit", vec![]).await.unwrap();

    let select = "select n, filler from many order by n";
    let mut rows = one.query(&Caller::default(), select, vec![]).await.unwrap();
    let (mut next, mut batches) = (0, 0);
    while let Some(batch) = rows.next().await {
        for row in batch.unwrap() {
            assert_eq!(row[0].integer(), Some(next));
            next += 1;
        }
        batches += 1;
    }
    assert!(next == 3000 && batches > 10, "{next} rows in {batches} batches");
    drop(rows);
    // Those that are not read are given up, in a transaction as well: it goes on.
    let mut rows = one.query(&Caller::default(), select, vec![]).await.unwrap();
    rows.next().await.unwrap().unwrap();
    drop(rows);
    assert_eq!(one.number("select count(*) from many").await, 3000);
}

async fn several_statements(setup: &Setup) {
    let one = connect(&setup.database()).await;
    let caller = Caller::default();
    let text = "create table a (n int); insert into a values (1); insert into a values (2);";
    one.batch(&caller, text).await.unwrap();
    assert_eq!(one.number("select sum(n) from a where n < 3").await, 3);
    one.batch(&caller, "insert into a values (3); nonsense").await.unwrap_err();
    one.batch(&caller, "drop table a").await.unwrap();
}

async fn sessions_are_bounded_and_clean(setup: &Setup) {
    let database = setup.database();
    let (one, two, three) =
        (connect(&database).await, connect(&database).await, connect(&database).await);
    one.run("begin", vec![]).await.unwrap();
    one.number("select count(*) from things").await;
    two.number("select count(*) from things").await;
    // A session has a connection from its first statement on.
    let why = three.rows("select 1", vec![]).await.unwrap_err();
    assert!(matches!(why.failure, Failure::TooMany(_) | Failure::Timeout(_)), "{why:?}");
    drop(one);
    until(|| async { three.rows("select 1", vec![]).await.is_ok() }).await;
    // It is in no transaction of somebody else.
    three.run("begin", vec![]).await.unwrap();
    three.run("rollback", vec![]).await.unwrap();
    drop((two, three));

    let database = Arc::new(setup.database());
    let tasks = (0..32).map(|n| {
        let (database, insert) = (database.clone(), setup.sql("insert into counts values (?)"));
        tokio::spawn(async move {
            let insert = &insert;
            until(|| async {
                let one = connect(&database).await;
                one.run(insert, vec![Value::I64(1000 + n)]).await.is_ok()
            })
            .await;
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
    let one = connect(&database).await;
    assert_eq!(one.number("select count(*) from counts where n >= 1000").await, 32);
}

async fn results_are_bounded(setup: &Setup) {
    let one = connect(&setup.database()).await;
    let why = failure(one.rows("select n from many", vec![]).await);
    assert!(matches!(why, Failure::TooMany(_)), "{why:?}");
    assert!(why.to_string().contains("max-rows"), "{why}");
    assert_eq!(one.rows("select n from many limit 10", vec![]).await.unwrap().rows.len(), 10);
    let large = "x".repeat(20_000);
    let why = failure(one.rows(&setup.sql("select ?"), vec![text(&large)]).await);
    assert!(matches!(why, Failure::TooLarge { .. }), "{why:?}");
    let made =
        if setup.backend == "embedded" { "hex(zeroblob(10000))" } else { "repeat('x', 20000)" };
    let why = failure(one.rows(&format!("select {made}"), vec![]).await);
    assert!(matches!(why, Failure::TooLarge { .. } | Failure::Invalid(_)), "{why:?}");
    let why = failure(one.rows("select filler, filler, filler from many limit 8", vec![]).await);
    assert!(matches!(why, Failure::TooLarge { .. }), "{why:?}");
    assert_eq!(one.number("select 1").await, 1);
}

async fn time_is_bounded(setup: &Setup) {
    let database = setup.database();
    for _ in 0..3 {
        let one = connect(&database).await;
        let begun = Instant::now();
        let why = failure(one.rows(setup.slow(), vec![]).await);
        assert!(matches!(why, Failure::Timeout(_)), "{why:?}");
        assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
        // The session can go on, once what it did has ended.
        let one = &one;
        until(|| async { one.rows("select 1", vec![]).await.is_ok() }).await;
    }
}
