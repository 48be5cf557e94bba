//! MySQL (MariaDB) at an address that the guest names, by every version of Spin's interface.

use reef_servers::Server;

use super::{INJECTION, egress, eventually, goes_and_comes_back, host, last, run, trap};

/// Guests, and their paths for the versions that they use.
const VERSIONS: &[(&str, &str)] =
    &[("spin-sql", "/mysql"), ("spin5-sql", "/mysql2"), ("p2-sql", "/mysql")];

#[test]
fn every_version_binds_reads_and_refuses() {
    let server = Server::mariadb().unwrap();
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
        execute CREATE TABLE t (a bigint, b double, c varchar(50), d blob, e int)
        execute INSERT INTO t VALUES (?, ?, ?, ?, ?)
          int64 -9223372036854775808
          floating64 0.1
          str {INJECTION}
          binary 0 255
          null
        query SELECT * FROM t
        query SELECT a FROM t WHERE c = ?
          str {INJECTION}
        query SELECT ?, ?
          int32 1
        query SELEC 1
        execute INSERT INTO t VALUES (1)
        query SELECT 7"
            ),
        );
        let of = |at: usize| said[at].as_str();
        assert_eq!(of(3), "()", "{guest}");
        let row = format!(
            "[[DbValue::Int64(-9223372036854775808), DbValue::Floating64(0.1), \
             DbValue::Str({INJECTION:?}), DbValue::Binary([0, 255]), DbValue::DbNull]]"
        );
        assert!(of(4).ends_with(&row), "{guest}: {}", of(4));
        assert!(of(5).ends_with("[[DbValue::Int64(-9223372036854775808)]]"), "{guest}: {}", of(5));
        for (at, error, why) in [
            (6, "BadParameter(", "the statement has 2 parameters, and 1 were given"),
            (7, "QueryFailed(", "SELEC 1"),
            (8, "QueryFailed(", "Column count"),
        ] {
            assert!(of(at).contains(error) && of(at).contains(why), "{guest}: {}", of(at));
        }
        assert!(of(9).ends_with("7)]]"), "{guest}: {}", of(9));
    }
}

#[test]
fn all_types_go_there_and_come_back() {
    let server = Server::mariadb().unwrap();
    let cases = [
        ("tinyint", "int8 -1", "Int8(-1)"),
        ("boolean", "boolean true", "Int8(1)"),
        ("tinyint unsigned", "uint8 255", "Uint8(255)"),
        ("smallint", "int16 -32768", "Int16(-32768)"),
        ("smallint unsigned", "uint16 65535", "Uint16(65535)"),
        ("mediumint", "int32 -5", "Int32(-5)"),
        ("int", "int32 -5", "Int32(-5)"),
        ("int unsigned", "uint32 4294967295", "Uint32(4294967295)"),
        ("bigint", "int64 -5", "Int64(-5)"),
        ("bigint unsigned", "uint64 18446744073709551615", "Uint64(18446744073709551615)"),
        ("float", "floating32 0.5", "Floating32(0.5)"),
        ("double", "floating64 0.1", "Floating64(0.1)"),
        ("varchar(9) character set utf8mb4", "str é", "Str(\"é\")"),
        ("varbinary(9)", "binary 0 255", "Binary([0, 255])"),
        // What there is no type for is text.
        ("decimal(30,4)", "str -1234567890123456789.5", "Str(\"-1234567890123456789.5000\")"),
        ("date", "str 2024-02-29", "Str(\"2024-02-29\")"),
        ("datetime(6)", "str 2024-02-29 01:02:03.5", "Str(\"2024-02-29 01:02:03.500000\")"),
        ("enum('good','bad')", "str good", "Str(\"good\")"),
    ];
    for (guest, path) in &VERSIONS[..2] {
        let host = host(guest, &egress(&server));
        let mut script = format!("open {}\n", server.url());
        for (kind, parameter, _) in cases {
            script += &format!(
                "execute DROP TABLE IF EXISTS t\nexecute CREATE TABLE t (a {kind})\n\
                 execute INSERT INTO t VALUES (?), (NULL)\n  {parameter}\nquery SELECT a FROM t\n"
            );
        }
        let said = run(&host, path, &script);
        for (at, (kind, _, wanted)) in cases.into_iter().enumerate() {
            let of = &said[4 * at + 4];
            let wanted = format!("[[DbValue::{wanted}], [DbValue::DbNull]]");
            assert!(of.ends_with(&wanted), "{guest} {kind}: {:?} {of}", said[4 * at + 3]);
        }
    }
}

#[test]
fn a_transaction_ends_with_its_guest_and_leaves_nothing_on_the_connection() {
    let server = Server::mariadb().unwrap();
    let url = server.url();
    for (guest, path) in &VERSIONS[..2] {
        let host = host(guest, &egress(&server));
        let open = |rest: &str| format!("open {url}\n{rest}");
        let create = "execute DROP TABLE IF EXISTS t\nexecute CREATE TABLE t (a int) ENGINE=InnoDB";
        run(&host, path, &open(create));
        let left = open(
            "query SELECT CONNECTION_ID()\nexecute START TRANSACTION\n\
             execute INSERT INTO t VALUES (1)\nexecute SET @mine = 7\nexecute SET sql_mode = ''",
        );
        let id = run(&host, path, &left)[1].clone();
        let count = open("execute INSERT INTO t VALUES (2)\nquery SELECT a FROM t");
        assert!(last(&host, path, &count).ends_with(" [[DbValue::Int32(2)]]"), "{guest}");
        trap(&host, path, &left);
        let twice = " [[DbValue::Int32(2)], [DbValue::Int32(2)]]";
        assert!(last(&host, path, &count).ends_with(twice), "{guest}");
        eventually("the same connection again", || {
            let said = run(
                &host,
                path,
                &open(
                    "query SELECT CONNECTION_ID()\nquery SELECT @mine\nquery SELECT @@sql_mode = ''",
                ),
            );
            assert!(said[2].ends_with("[[DbValue::DbNull]]"), "{said:?}");
            assert!(said[3].ends_with("(0)]]"), "{said:?}");
            (said[1] == id).then_some(())
        });
        let committed = "execute START TRANSACTION\nexecute DELETE FROM t\nexecute COMMIT\nquery SELECT a FROM t";
        assert!(last(&host, path, &open(committed)).ends_with(" []"), "{guest}");
    }
}

#[test]
fn rows_come_as_a_stream_and_what_is_too_large_is_refused() {
    let server = Server::mariadb().unwrap();
    let script = format!(
        "\
        open {}
        query SELECT REPEAT('x', 1000) FROM seq_1_to_20000
        query SELECT REPEAT('x', 9000000)
        query SELECT 'seven'",
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
        assert!(said[2].contains("may be 8MiB"), "{guest}: {}", said[2]);
        assert!(said[3].ends_with("[[DbValue::Str(\"seven\")]]"), "{guest}: {said:?}");
    }
    let host = host("spin-sql", &egress(&server));
    let said = run(&host, "/mysql", &script.replace("query SELECT REPEAT", "count SELECT REPEAT"));
    assert_eq!(said[1], "20000 rows Ok(())");
    assert!(said[2].contains("may be 8MiB"), "{}", said[2]);
    assert!(said[3].ends_with("[[DbValue::Str(\"seven\")]]"), "{said:?}");
}

#[test]
fn a_server_that_is_away_is_the_interfaces_error_until_it_is_back() {
    let mut server = Server::mariadb().unwrap();
    for (guest, path) in VERSIONS {
        let host = host(guest, &egress(&server));
        let script = format!("open {}\nexecute DO 1", server.url());
        goes_and_comes_back(&host, &mut server, (path, &script), ("ConnectionFailed(", "()"));
        host.server.wait_for_log(&["shop/sql", &server.addr().to_string()]);
    }
}

#[test]
fn what_is_not_granted_is_refused_with_what_would_grant_it() {
    let server = Server::mariadb().unwrap();
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
