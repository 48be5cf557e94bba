//! The embedded database, by every version of Spin's interface.

use super::{Host, INJECTION, host, last, manifest, run, trap};

/// Guests, and their paths for the versions that they use.
const VERSIONS: &[(&str, &str)] = &[
    ("spin-sql", "/sqlite"),
    ("spin5-sql", "/sqlite3"),
    ("spin5-sql", "/sqlite2"),
    ("p2-sql", "/sqlite"),
];

fn linked(config: &str) -> String {
    let link = |import: &str| {
        format!("{{ import = '{import}', capability = 'sql', config = {{ {config} }} }}")
    };
    format!("link = [{}, {}]", link("spin:sqlite"), link("fermyon:spin"))
}

#[test]
fn every_version_binds_reads_and_refuses() {
    for (guest, path) in VERSIONS {
        let host = host(guest, &linked(""));
        let said = run(
            &host,
            path,
            &format!(
                "\
        open default
        query CREATE TABLE t (a INTEGER, b REAL, c TEXT, d BLOB, e)
        query INSERT INTO t VALUES (?, ?, ?, ?, ?)
          integer -9223372036854775808
          real 0.1
          text {INJECTION}
          blob 0 255
          null
        query SELECT * FROM t
        query SELECT a FROM t WHERE c = ?
          text {INJECTION}
        query SELECT ?, ?
          integer 1
        query SELECT 1
          integer 1
        query SELEC 1
        query SELECT * FROM nowhere
        query ATTACH '/etc/passwd' AS other
        query SELECT 7
        open other"
            ),
        );
        let of = |at: usize| said[at].as_str();
        assert_eq!(of(2), "[] []", "{guest}");
        let row = format!(
            "[[Value::Integer(-9223372036854775808), Value::Real(0.1), Value::Text({INJECTION:?}), \
             Value::Blob([0, 255]), Value::Null]]"
        );
        assert_eq!(of(3), format!("[\"a\", \"b\", \"c\", \"d\", \"e\"] {row}"), "{guest}");
        assert_eq!(of(4), "[\"a\"] [[Value::Integer(-9223372036854775808)]]", "{guest}");
        for (at, why) in [
            (5, "the statement has 2 parameters, and 1 were given"),
            (6, "the statement has 0 parameters, and 1 were given"),
            (7, "syntax error"),
            (8, "no such table: nowhere"),
            (9, "ATTACH"),
        ] {
            assert!(
                of(at).starts_with("Error::Io(") && of(at).contains(why),
                "{guest}: {}",
                of(at)
            );
        }
        assert_eq!(of(10), "[\"7\"] [[Value::Integer(7)]]", "{guest}");
        assert_eq!(of(11), "Error::AccessDenied", "{guest}");
        let package =
            if *path == "/sqlite2" || *guest == "p2-sql" { "fermyon:spin" } else { "spin:sqlite" };
        let line = format!(
            "add link = [{{ import = \"{package}\", name = \"other\", capability = \"sql\" }}]"
        );
        host.server.wait_for_log(&[&line]);
    }
}

#[test]
fn what_was_changed_is_told() {
    for (guest, path) in &VERSIONS[..2] {
        let host = host(guest, &linked(""));
        let said = run(
            &host,
            path,
            "\
        open default
        changes
        inserted
        query CREATE TABLE t (id INTEGER PRIMARY KEY, a)
        query INSERT INTO t (a) VALUES (1), (2), (3)
        changes
        inserted
        query UPDATE t SET a = 0 WHERE id > 1
        changes
        inserted",
        );
        assert_eq!(said[1..3], ["0", "0"], "{guest}");
        assert_eq!(said[5..7], ["3", "3"], "{guest}");
        assert_eq!(said[8..10], ["2", "3"], "{guest}");
    }
}

/// So many rows, one number each.
fn rows(count: u64) -> String {
    format!(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT {count}) SELECT i FROM n"
    )
}

#[test]
fn results_are_limited_and_need_not_be_read_to_their_end() {
    let limits = linked("max-rows = '1000', max-size = '10KiB'");
    for (guest, path) in VERSIONS {
        let host = host(guest, &limits);
        let many = format!("open default\nquery {}", rows(1001));
        let said = last(&host, path, &many);
        assert!(said.contains("more than 1000 rows") || said.contains("10KiB"), "{guest}: {said}");
        let large = last(&host, path, "open default\nquery SELECT zeroblob(20000)");
        assert!(large.starts_with("Error::Io("), "{guest}: {large}");
        let long = format!("open default\nquery SELECT '{}'", "x".repeat(20_000));
        let long = last(&host, path, &long);
        assert!(long.contains("may be 10KiB"), "{guest}: {long}");
    }
    // As a stream, it ends with the error after what there is.
    let host = host("spin-sql", &limits);
    let script = |what: &str| format!("open default\n{what}\nquery SELECT 7");
    let said = run(&host, "/sqlite", &script(&format!("count {}", rows(1000))));
    assert_eq!(said[1], "1000 rows Ok(())");
    let said = run(&host, "/sqlite", &script(&format!("count {}", rows(1_000_000))));
    assert!(
        said[1].contains("rows Err(Error::Io(\"the result has more than 1000 rows"),
        "{said:?}"
    );
    assert_eq!(said[2], "[\"7\"] [[Value::Integer(7)]]");
    // What nobody reads is given up, and the connection does something else.
    let said = run(&host, "/sqlite", &script(&format!("some 3 {}", rows(900))));
    assert_eq!(said[1..], ["3 rows", "[\"7\"] [[Value::Integer(7)]]"]);
}

#[test]
fn a_transaction_ends_with_its_guest() {
    for (guest, path) in VERSIONS {
        let host = host(guest, &linked(""));
        last(&host, path, "open default\nquery CREATE TABLE t (a)");
        let left = "open default\nquery BEGIN IMMEDIATE\nquery INSERT INTO t VALUES (1)";
        run(&host, path, left);
        let count = "open default\nquery INSERT INTO t VALUES (2)\nquery SELECT a FROM t";
        assert_eq!(last(&host, path, count), "[\"a\"] [[Value::Integer(2)]]", "{guest}");
        if *guest != "p2-sql" {
            trap(&host, path, left);
            let said =
                last(&host, path, "open default\nquery BEGIN IMMEDIATE\nquery SELECT a FROM t");
            assert_eq!(said, "[\"a\"] [[Value::Integer(2)]]", "{guest}");
        }
        let said = run(
            &host,
            path,
            "\
        open default
        query BEGIN
        query INSERT INTO t VALUES (3)
        query COMMIT
        query CREATE TEMP TABLE mine (a)",
        );
        assert_eq!(said[3], "[] []", "{guest}");
        assert_eq!(
            last(&host, path, "open default\nquery SELECT count(*) AS n FROM t"),
            "[\"n\"] [[Value::Integer(2)]]",
            "{guest}"
        );
        let mine = last(&host, path, "open default\nquery SELECT * FROM mine");
        assert!(mine.contains("no such table: mine"), "{guest}: {mine}");
    }
}

#[test]
fn a_connection_of_spin_1_is_a_number_that_may_be_wrong() {
    let host = host("p2-sql", &linked(""));
    let said = run(
        &host,
        "/sqlite",
        "\
        query SELECT 1
        open default
        close
        close
        query SELECT 1
        open default
        query SELECT 1",
    );
    assert_eq!(said[0], "Error::InvalidConnection");
    assert_eq!(said[4], "Error::InvalidConnection");
    assert_eq!(said[6], "[\"1\"] [[Value::Integer(1)]]");
}

#[test]
fn what_was_acknowledged_is_there_after_a_crash() {
    let mut host = host("spin-sql", &linked(""));
    last(&host, "/sqlite", "open default\nquery CREATE TABLE t (a)");
    for round in 1..=3 {
        let insert = format!("open default\nquery INSERT INTO t VALUES ({round})");
        assert_eq!(last(&host, "/sqlite", &insert), "[] []");
        host.server.signal("KILL");
        host.server.ended();
        host = Host::start(host.dir);
        let sum = last(&host, "/sqlite", "open default\nquery SELECT count(*), sum(a) FROM t");
        let sum = sum.split_once("] ").unwrap().1.to_owned();
        let (count, total) = (round, round * (round + 1) / 2);
        assert_eq!(sum, format!("[[Value::Integer({count}), Value::Integer({total})]]"));
    }
    // And after an orderly end; another application has a database of its own.
    host.server.signal("TERM");
    host.server.ended();
    let mut host = Host::start(host.dir);
    let count = "open default\nquery SELECT count(*) AS n FROM t";
    assert_eq!(last(&host, "/sqlite", count), "[\"n\"] [[Value::Integer(3)]]");
    host.server.signal("TERM");
    host.server.ended();
    host.write("reef.toml", &manifest(&linked("")).replace("'shop'", "'other'"));
    let host = Host::start(host.dir);
    assert!(last(&host, "/sqlite", count).contains("no such table: t"));
}
