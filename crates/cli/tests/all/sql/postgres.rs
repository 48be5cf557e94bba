//! PostgreSQL at an address that the guest names, by every version of Spin's interface.

use reef_servers::Server;

use super::{INJECTION, egress, eventually, goes_and_comes_back, host, last, run, trap};

/// Guests, and their paths for the versions that they use.
const VERSIONS: &[(&str, &str)] = &[
    ("spin-sql", "/postgres"),
    ("spin5-sql", "/postgres4"),
    ("spin5-sql", "/postgres3"),
    ("spin5-sql", "/postgres2"),
    ("p2-sql", "/postgres"),
];

#[test]
fn every_version_binds_reads_and_refuses() {
    let server = Server::postgres().unwrap();
    let url = server.url();
    for (guest, path) in VERSIONS {
        let host = host(guest, &egress(&server));
        let said = run(
            &host,
            path,
            &format!(
                "\
        open {url}
        execute DROP TABLE IF EXISTS t
        execute CREATE TABLE t (a int8, b float8, c text, d bytea, e bool, f int4)
        execute INSERT INTO t VALUES ($1, $2, $3, $4, $5, $6)
          int64 -9223372036854775808
          floating64 0.1
          str {INJECTION}
          binary 0 255
          boolean true
          null
        query SELECT * FROM t
        query SELECT a FROM t WHERE c = $1
          str {INJECTION}
        execute UPDATE t SET a = a WHERE c = $1
          str nobody
        query SELECT $1::int4, $2::int4
          int32 1
        execute UPDATE t SET a = $1
          str not a number
        query SELEC 1
        execute INSERT INTO t (a, f) VALUES (1, $1)
          boolean true
        query SELECT 7"
            ),
        );
        let of = |at: usize| said[at].as_str();
        assert_eq!(of(3), "1", "{guest}{path}");
        let row = format!(
            "[[DbValue::Int64(-9223372036854775808), DbValue::Floating64(0.1), \
             DbValue::Str({INJECTION:?}), DbValue::Binary([0, 255]), DbValue::Boolean(true), \
             DbValue::DbNull]]"
        );
        assert!(of(4).ends_with(&row), "{guest}{path}: {}", of(4));
        assert!(of(5).ends_with("[[DbValue::Int64(-9223372036854775808)]]"), "{guest}: {}", of(5));
        assert_eq!(of(6), "0", "{guest}{path}");
        for (at, error, why) in [
            (7, "BadParameter(", "the statement has 2 parameters, and 1 were given"),
            (8, "QueryFailed(", "invalid input syntax for type bigint"),
            (9, "QueryFailed(", "syntax error"),
            (10, "BadParameter(", "parameter 1 is a boolean, and the statement wants `int4`"),
        ] {
            let said = of(at);
            assert!(said.contains(error) && said.contains(why), "{guest}{path}: {said}");
        }
        assert!(of(11).ends_with("[[DbValue::Int32(7)]]"), "{guest}{path}: {}", of(11));
    }
}

#[test]
fn all_types_go_there_and_come_back() {
    let server = Server::postgres().unwrap();
    let host = host("spin-sql", &egress(&server));
    let cases = [
        ("bool", "boolean true", "DbDataType::Boolean", "Boolean(true)"),
        ("\"char\"", "str A", "DbDataType::Int8", "Int8(65)"),
        ("int2", "int16 -32768", "DbDataType::Int16", "Int16(-32768)"),
        ("int4", "int32 7", "DbDataType::Int32", "Int32(7)"),
        ("int8", "int64 7", "DbDataType::Int64", "Int64(7)"),
        ("int8", "int8 -7", "DbDataType::Int64", "Int64(-7)"),
        ("float4", "floating32 0.1", "DbDataType::Floating32", "Floating32(0.1)"),
        ("float8", "floating64 1e300", "DbDataType::Floating64", "Floating64(1e300)"),
        ("text", "str é", "DbDataType::Str", "Str(\"é\")"),
        ("bytea", "binary 0 255", "DbDataType::Binary", "Binary([0, 255])"),
        ("date", "date 2024 2 29", "DbDataType::Date", "Date((2024, 2, 29))"),
        ("time", "time 1 2 3 4000", "DbDataType::Time", "Time((1, 2, 3, 4000))"),
        (
            "timestamp",
            "datetime 2024 2 29 1 2 3 4000",
            "DbDataType::Datetime",
            "Datetime((2024, 2, 29, 1, 2, 3, 4000))",
        ),
        (
            "timestamptz",
            "timestamp 1000000000",
            "DbDataType::Datetime",
            "Datetime((2001, 9, 9, 1, 46, 40, 0))",
        ),
        (
            "uuid",
            "uuid 6fa459ea-ee8a-3ca4-894e-db77e160355e",
            "DbDataType::Uuid",
            "Uuid(\"6fa459ea-ee8a-3ca4-894e-db77e160355e\")",
        ),
        ("jsonb", "jsonb [1]", "DbDataType::Jsonb", "Jsonb([91, 49, 93])"),
        ("json", "jsonb [1]", "DbDataType::Jsonb", "Jsonb([91, 49, 93])"),
        ("numeric", "decimal -12.50", "DbDataType::Decimal", "Decimal(\"-12.50\")"),
        (
            "int4range",
            "range-int32 1 5",
            "DbDataType::RangeInt32",
            "RangeInt32((Some((1, RangeBoundKind::Inclusive)), Some((5, RangeBoundKind::Exclusive))))",
        ),
        (
            "int8range",
            "range-int64 1",
            "DbDataType::RangeInt64",
            "RangeInt64((Some((1, RangeBoundKind::Inclusive)), None))",
        ),
        (
            "numrange",
            "range-decimal 1.5 2.50",
            "DbDataType::RangeDecimal",
            "RangeDecimal((Some((\"1.5\", RangeBoundKind::Exclusive)), \
             Some((\"2.50\", RangeBoundKind::Inclusive))))",
        ),
        ("int4[]", "array-int32 1,null", "DbDataType::ArrayInt32", "ArrayInt32([Some(1), None])"),
        ("int8[]", "array-int64 1,null", "DbDataType::ArrayInt64", "ArrayInt64([Some(1), None])"),
        (
            "numeric[]",
            "array-decimal 1.0,null",
            "DbDataType::ArrayDecimal",
            "ArrayDecimal([Some(\"1.0\"), None])",
        ),
        (
            "text[]",
            "array-str a\"b,null,{}",
            "DbDataType::ArrayStr",
            "ArrayStr([Some(\"a\\\"b\"), None, Some(\"{}\")])",
        ),
        (
            "interval",
            "interval -1000001 3 -14",
            "DbDataType::Interval",
            "Interval(Interval { micros: -1000001, days: 3, months: -14 })",
        ),
        (
            "inet",
            "str 10.0.0.1",
            "DbDataType::Other(\"inet\")",
            "Unsupported([2, 32, 0, 4, 10, 0, 0, 1])",
        ),
    ];
    let mut script = format!("open {}\n", server.url());
    for (kind, parameter, ..) in cases {
        script +=
            &format!("query SELECT $1::{kind}\n  {parameter}\nquery SELECT $1::{kind}\n  null\n");
    }
    let said = run(&host, "/postgres", &script);
    for (at, (kind, _, of, wanted)) in cases.into_iter().enumerate() {
        assert_eq!(said[2 * at + 1], format!("[{of}] [[DbValue::{wanted}]]"), "{kind}");
        assert_eq!(said[2 * at + 2], format!("[{of}] [[DbValue::DbNull]]"), "{kind}");
    }
    let script = format!(
        "\
        open {}
        query SELECT $1::timestamp
          datetime 2023 2 29 0 0 0 0
        query SELECT $1::uuid
          uuid nobody
        query SELECT 1/0
        query SELECT 7",
        server.url()
    );
    let said = run(&host, "/postgres", &script);
    assert!(said[1].contains("there is no such day"), "{said:?}");
    assert!(said[2].contains("BadParameter(\"parameter 1 is no UUID"), "{said:?}");
    // What the server said, in its parts.
    for part in ["DbError", "severity: \"ERROR\"", "code: \"22012\"", "division by zero"] {
        assert!(said[3].contains(part), "{said:?}");
    }
    assert_eq!(said[4], "[DbDataType::Int32] [[DbValue::Int32(7)]]");
}

#[test]
fn dates_are_dates_since_version_3() {
    let server = Server::postgres().unwrap();
    let host = host("spin5-sql", &egress(&server));
    let script = format!(
        "open {}\nquery SELECT '2024-02-29 01:02:03'::timestamp, '2024-02-29'::date, 1.5::numeric, '{{1}}'::int4[]",
        server.url()
    );
    for (path, wanted) in [
        (
            "/postgres2",
            "[DbValue::Str(\"2024-02-29 01:02:03\"), DbValue::Str(\"2024-02-29\"), DbValue::Str(\"1.5\"), DbValue::Unsupported]",
        ),
        (
            "/postgres3",
            "[DbValue::Datetime((2024, 2, 29, 1, 2, 3, 0)), DbValue::Date((2024, 2, 29)), DbValue::Str(\"1.5\"), DbValue::Unsupported]",
        ),
        (
            "/postgres4",
            "[DbValue::Datetime((2024, 2, 29, 1, 2, 3, 0)), DbValue::Date((2024, 2, 29)), DbValue::Decimal(\"1.5\"), DbValue::ArrayInt32([Some(1)])]",
        ),
    ] {
        let said = last(&host, path, &script);
        assert!(said.ends_with(&format!("[{wanted}]")), "{path}: {said}");
    }
    let parameters = format!(
        "\
        open {}
        query SELECT $1::date, $2::time, $3::timestamp, $4::timestamptz
          date 2024 2 29
          time 1 2 3 4000
          datetime 2024 2 29 1 2 3 4000
          timestamp 1000000000",
        server.url()
    );
    let said = last(&host, "/postgres3", &parameters);
    let wanted = "[[DbValue::Date((2024, 2, 29)), DbValue::Time((1, 2, 3, 4000)), \
                  DbValue::Datetime((2024, 2, 29, 1, 2, 3, 4000)), \
                  DbValue::Datetime((2001, 9, 9, 1, 46, 40, 0))]]";
    assert!(said.ends_with(wanted), "{said}");
}

#[test]
fn a_transaction_ends_with_its_guest_and_leaves_nothing_on_the_connection() {
    let server = Server::postgres().unwrap();
    let url = server.url();
    for (guest, path) in &VERSIONS[..4] {
        let host = host(guest, &egress(&server));
        let open = |rest: &str| format!("open {url}\n{rest}");
        run(&host, path, &open("execute DROP TABLE IF EXISTS t\nexecute CREATE TABLE t (a int4)"));
        let left = open(
            "query SELECT pg_backend_pid()\nexecute BEGIN\nexecute INSERT INTO t VALUES (1)\n\
             execute LOCK TABLE t",
        );
        let pid = run(&host, path, &left)[1].clone();
        // Nothing of it is there, and its lock is not either.
        let count = open("execute INSERT INTO t VALUES (2)\nquery SELECT a FROM t");
        assert!(last(&host, path, &count).ends_with(" [[DbValue::Int32(2)]]"), "{guest}{path}");
        trap(&host, path, &left);
        assert!(last(&host, path, &count).ends_with(" [[DbValue::Int32(2)], [DbValue::Int32(2)]]"));
        let changed = open(
            "query SELECT pg_backend_pid()\nexecute SET statement_timeout = 77\n\
             execute CREATE TEMP TABLE mine (a int4)",
        );
        run(&host, path, &changed);
        // A connection that was somebody's is as good as new.
        eventually("the same connection again", || {
            let said = run(
                &host,
                path,
                &open(
                    "query SELECT pg_backend_pid()\nquery SHOW statement_timeout\nquery SELECT to_regclass('mine')::text",
                ),
            );
            assert!(said[2].ends_with("[[DbValue::Str(\"0\")]]"), "{said:?}");
            assert!(said[3].ends_with("[[DbValue::DbNull]]"), "{said:?}");
            (said[1] == pid).then_some(())
        });
        let committed =
            "execute BEGIN\nexecute DELETE FROM t\nexecute COMMIT\nquery SELECT a FROM t";
        assert!(last(&host, path, &open(committed)).ends_with(" []"), "{guest}{path}");
    }
}

#[test]
fn rows_come_as_a_stream_and_what_is_too_large_is_refused() {
    let server = Server::postgres().unwrap();
    let script = format!(
        "\
        open {}
        query SELECT repeat('x', 1000) FROM generate_series(1, 20000)
        query SELECT repeat('x', 9000000)
        query SELECT 7",
        server.url()
    );
    for (guest, path) in &VERSIONS[1..] {
        let host = host(guest, &egress(&server));
        let said = run(&host, path, &script);
        assert!(
            said[1].contains("the result is") && said[1].contains("may be 8MiB"),
            "{}",
            said[1]
        );
        assert!(said[2].len() < 1000, "{guest}{path}");
        assert!(said[3].ends_with("[[DbValue::Int32(7)]]"), "{guest}{path}: {said:?}");
    }
    let host = host("spin-sql", &egress(&server));
    let said =
        run(&host, "/postgres", &script.replace("query SELECT repeat", "count SELECT repeat"));
    assert_eq!(said[1], "20000 rows Ok(())");
    assert!(said[2].len() < 1000 && !said[2].contains("Ok"), "{}", said[2]);
    assert!(said[3].ends_with("[[DbValue::Int32(7)]]"), "{said:?}");
}

#[test]
fn a_server_that_is_away_is_the_interfaces_error_until_it_is_back() {
    let mut server = Server::postgres().unwrap();
    for (guest, path) in VERSIONS {
        let host = host(guest, &egress(&server));
        let script = format!("open {}\nexecute CREATE TEMP TABLE t (a int4)", server.url());
        goes_and_comes_back(&host, &mut server, (path, &script), ("ConnectionFailed(", "0"));
        host.server.wait_for_log(&["shop/sql", &server.addr().to_string()]);
    }
}

#[test]
fn what_is_not_granted_is_refused_with_what_would_grant_it() {
    let server = Server::postgres().unwrap();
    for (guest, path) in VERSIONS {
        for granted in ["", "egress = ['127.0.0.1:1']"] {
            let host = host(guest, granted);
            // The first has no connections: statements are refused. The others are none to begin with.
            let statement = if *guest == "p2-sql" { "\nquery SELECT 1" } else { "" };
            let said = last(&host, path, &format!("open {}{statement}", server.url()));
            let line = format!("egress = [\"{}\"]", server.addr());
            assert!(said.contains("ConnectionFailed(") && said.contains("--egress"), "{said}");
            host.server.wait_for_log(&["may not connect", &line, "shop/sql"]);
        }
    }
}
