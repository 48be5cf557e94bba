//! Servers that are down, killed, frozen, or no servers at all.

use std::time::Duration;

use reef_capability::Failure;
use reef_sql::{Date, Interval, Kind, Range, Time, Value};
use tokio::{io::AsyncWriteExt as _, net::TcpListener, time::Instant};

use crate::{Setup, Uses as _, connect, failure, text, until};

#[tokio::test(flavor = "multi_thread")]
async fn postgres_that_fails() {
    fails(Setup::postgres()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mysql_that_fails() {
    fails(Setup::mysql()).await;
}

async fn fails(setup: Setup) {
    let mut setup = setup.time(Duration::from_secs(2));
    let database = setup.database();
    let one = connect(&database).await;
    one.run("create table t (a int)", vec![]).await.unwrap();
    let insert = setup.sql("insert into t values (?)");

    // Killed in the middle of a transaction.
    one.run("begin", vec![]).await.unwrap();
    one.run(&insert, vec![Value::I32(1)]).await.unwrap();
    setup.server.as_mut().unwrap().kill();
    let why = failure(one.run(&insert, vec![Value::I32(2)]).await);
    assert!(matches!(why, Failure::Unavailable { .. }), "{why:?}");
    // What follows is not done outside of the transaction.
    let why = failure(one.run(&insert, vec![Value::I32(3)]).await);
    assert!(matches!(why, Failure::Conflict(_)), "{why:?}");
    one.run("rollback", vec![]).await.unwrap();
    let down = failure(one.run(&insert, vec![Value::I32(4)]).await);
    assert!(matches!(down, Failure::Unavailable { maybe_done: false, .. }), "{down:?}");
    setup.server.as_mut().unwrap().start_again().unwrap();
    let (one, insert) = (&one, &insert);
    until(|| async { one.run(insert, vec![Value::I32(5)]).await.is_ok() }).await;
    assert_eq!(one.number("select sum(a) from t where a < 10").await, 5);

    // Frozen.
    setup.server.as_ref().unwrap().freeze();
    let begun = Instant::now();
    let why = failure(one.run(insert, vec![Value::I32(6)]).await);
    assert!(matches!(why, Failure::Timeout(_) | Failure::Unavailable { .. }), "{why:?}");
    let two = connect(&database).await;
    let why = failure(two.run(insert, vec![Value::I32(7)]).await);
    assert!(matches!(why, Failure::Timeout(_) | Failure::Unavailable { .. }), "{why:?}");
    assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
    setup.server.as_ref().unwrap().thaw();
    until(|| async { two.rows("select 1", vec![]).await.is_ok() }).await;
    until(|| async { one.rows("select 1", vec![]).await.is_ok() }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_server_is_told() {
    let answers: [&'static [u8]; 5] = [
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"",
        &[0; 4096],
        &[255; 4096],
        b"R\x00\x00\x00\x08\x00\x00\x00\x00Z\x00\x00\x00\x05IT\xff\xff\xff\xff",
    ];
    for answer in answers {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let _ = stream.write_all(answer).await;
            }
        });
        for (backend, scheme) in [("postgres", "postgres"), ("mysql", "mysql")] {
            let url = format!("{scheme}://me:secret@127.0.0.1:{port}/d");
            let setup = Setup::new(backend, None).with("url", &url).time(Duration::from_secs(2));
            let one = connect(&setup.database()).await;
            let why = failure(one.rows("select 1", vec![]).await);
            assert!(why.is_of_backend(), "{backend}: {why:?}");
            assert!(!why.to_string().contains("secret"), "{why}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_passwords_and_databases_are_told() {
    for setup in [Setup::postgres(), Setup::mysql()] {
        let url = setup.server.as_ref().unwrap().url();
        for wrong in [url.replace(":reef@", ":wrong@"), url.replace("/reef", "/nowhere")] {
            let mut setup = Setup::new(setup.backend, None);
            setup.set("url", &wrong);
            let one = connect(&setup.database()).await;
            let why = failure(one.rows("select 1", vec![]).await).to_string();
            assert!(why.contains("check user, password and database"), "{why}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_has_all_its_types() {
    let setup = Setup::postgres();
    let one = connect(&setup.database()).await;
    let (date, time) =
        (Date::Ymd(2024, 2, 29), Time { hour: 1, minute: 2, second: 3, nanosecond: 4000 });
    let range = |kind: Kind, low: Value, high: Option<Value>| {
        let upper = high.map(|value| (value, false));
        Value::Range(Box::new(Range { kind, empty: false, lower: Some((low, true)), upper }))
    };
    let decimal = |text: &str| Value::Decimal(text.to_owned());
    let cases = [
        ("boolean", Value::Bool(true)),
        ("smallint", Value::I16(i16::MIN)),
        ("integer", Value::I32(i32::MIN)),
        ("bigint", Value::I64(i64::MAX)),
        ("real", Value::F32(0.1)),
        ("float8", Value::F64(f64::NEG_INFINITY)),
        ("numeric", decimal("-123456789012345678901234567890.000100")),
        ("numeric", decimal("0.00000000000000000001")),
        ("numeric", decimal("10000")),
        ("numeric", decimal("NaN")),
        ("text", text("é")),
        ("varchar(5)", text("12345")),
        ("bytea", Value::Binary(vec![0, 1, 255])),
        ("date", Value::Date(date)),
        ("date", Value::Date(Date::Future)),
        ("date", Value::Date(Date::Ymd(-43, 3, 15))),
        ("time", Value::Time(time)),
        ("timetz", Value::TimeTz(time, -5400)),
        ("timestamp", Value::DateTime(date, time)),
        ("timestamptz", Value::Instant(Date::Ymd(1, 1, 1), time)),
        ("interval", Value::Interval(Interval { months: -14, days: 3, micros: -1_000_001 })),
        ("uuid", Value::Uuid([7; 16])),
        ("jsonb", Value::Json("{\"a\": [1, null]}".to_owned())),
        ("int4range", range(Kind::I32, Value::I32(1), Some(Value::I32(5)))),
        ("int8range", range(Kind::I64, Value::I64(1), None)),
        ("numrange", range(Kind::Decimal, decimal("1.5"), Some(decimal("2.50")))),
        ("int4[]", Value::Array(Kind::I32, vec![Value::I32(1), Value::Null])),
        ("numeric[]", Value::Array(Kind::Decimal, vec![decimal("1.0")])),
        (
            "text[]",
            Value::Array(Kind::Text, vec![text("a\"b\\,{}"), text(""), text("NULL"), Value::Null]),
        ),
        ("text[]", Value::Array(Kind::Text, vec![])),
    ];
    for (kind, value) in cases {
        let sql = format!("select $1::{kind}");
        let table =
            one.rows(&sql, vec![value.clone()]).await.unwrap_or_else(|why| panic!("{kind}: {why}"));
        assert_eq!(table.rows[0][0], value, "{kind}");
        let null = one.rows(&sql, vec![Value::Null]).await.unwrap();
        assert_eq!(null.rows[0][0], Value::Null, "{kind}");
    }
    one.run("create type mood as enum ('good', 'bad')", vec![]).await.unwrap();
    assert_eq!(
        one.rows("select $1::mood", vec![text("good")]).await.unwrap().rows[0][0],
        text("good")
    );
    let other = one.rows("select '10.0.0.1'::inet", vec![]).await.unwrap();
    assert!(matches!(&other.rows[0][0], Value::Other(name, _) if &**name == "inet"), "{other:?}");
    let why = one.rows("select $1::int4", vec![Value::I64(i64::MAX)]).await.unwrap_err();
    assert_eq!(why.said.unwrap().code, "22003");
    let why = failure(one.rows("select $1::int4", vec![text("seven")]).await);
    assert!(why.to_string().contains("seven"), "{why}");
    let why = failure(one.rows("select $1::int4", vec![Value::Bool(true)]).await);
    assert!(
        why.to_string().contains("parameter 1 is a boolean, and the statement wants `int4`"),
        "{why}"
    );

    // A statement that was prepared before its table changed.
    one.run("create table t (a int)", vec![]).await.unwrap();
    one.rows("select * from t", vec![]).await.unwrap();
    one.run("alter table t add column b int", vec![]).await.unwrap();
    assert_eq!(one.rows("select * from t", vec![]).await.unwrap().columns.len(), 2);
    one.run("deallocate all", vec![]).await.unwrap();
    assert_eq!(one.rows("select * from t", vec![]).await.unwrap().columns.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn mysql_has_its_types() {
    let setup = Setup::mysql();
    let one = connect(&setup.database()).await;
    let (date, time) =
        (Date::Ymd(2024, 2, 29), Time { hour: 1, minute: 2, second: 3, nanosecond: 4000 });
    for (kind, value) in [
        ("tinyint", Value::I8(-1)),
        ("tinyint unsigned", Value::U8(255)),
        ("smallint unsigned", Value::U16(65_535)),
        ("mediumint", Value::I32(-5)),
        ("int unsigned", Value::U32(u32::MAX)),
        ("bigint", Value::I64(i64::MIN)),
        ("bigint unsigned", Value::U64(u64::MAX)),
        ("float", Value::F32(0.5)),
        ("double", Value::F64(0.1)),
        ("decimal(30,4)", Value::Decimal("-12345678901234567890.5000".to_owned())),
        ("text character set utf8mb4", text("é\u{1F980}")),
        ("varbinary(10)", Value::Binary(vec![0, 255])),
        ("date", Value::Date(date)),
        ("datetime(6)", Value::DateTime(date, time)),
        ("time(6)", Value::Time(time)),
        ("enum('good','bad')", text("good")),
        ("char(3) collate utf8mb4_bin", text("abc")),
    ] {
        one.run("drop table if exists t", vec![]).await.unwrap();
        one.run(&format!("create table t (a {kind})"), vec![]).await.unwrap();
        one.run("insert into t values (?), (null)", vec![value.clone()])
            .await
            .unwrap_or_else(|why| panic!("{kind}: {why}"));
        let table = one.rows("select a from t", vec![]).await.unwrap();
        assert_eq!(table.rows, [[value], [Value::Null]], "{kind}");
    }
    one.run("drop table t", vec![]).await.unwrap();
    one.run("create table t (a int auto_increment primary key, b int)", vec![]).await.unwrap();
    one.run("insert into t (b) values (7)", vec![]).await.unwrap();
    assert_eq!(one.last().inserted, Some(1));
    let why = failure(one.run("load data local infile '/etc/passwd' into table t", vec![]).await);
    assert!(!matches!(why, Failure::Timeout(_)), "{why:?}");
}
