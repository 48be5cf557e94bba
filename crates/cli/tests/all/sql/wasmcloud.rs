//! wasmCloud's PostgreSQL, where the host knows the database, by both of its versions.

use reef_servers::Server;

use super::{INJECTION, eventually, goes_and_comes_back, host, last, manifest, run};

/// Guests, and their paths.
const VERSIONS: &[(&str, &str)] = &[("p2-sql", "/wasmcloud"), ("p3-sql", "/")];

fn link(server: &Server, more: &str) -> String {
    format!(
        "{{ import = 'wasmcloud:postgres', capability = 'sql', \
         config = {{ backend = 'postgres', url = '{}' }}{more} }},",
        server.url()
    )
}

fn linked(server: &Server) -> String {
    format!("link = [{}]", link(server, ""))
}

#[test]
fn both_versions_query_prepare_and_run_batches() {
    let server = Server::postgres().unwrap();
    for (guest, path) in VERSIONS {
        let host = host(guest, &linked(&server));
        let said = run(&host, path, &format!("\
        batch DROP TABLE IF EXISTS t; CREATE TABLE t (a int8, c text); INSERT INTO t VALUES (1, 'one')
        prepare INSERT INTO t VALUES ($1, $2)
        exec
          int8 2
          text {INJECTION}
        exec
          int8 3
          null
        query SELECT * FROM t WHERE a > $1 ORDER BY a
          int8 1
        query SELECT count(*) FROM t WHERE c = $1
          text {INJECTION}
        exec
          int8 3
        query SELECT $1::int4
        query SELECT $1::int4
          bit 1
        query SELEC 1
        prepare SELEC 1
        batch SELECT 1; SELECT 1/0
        forge SELECT 1
        exec"));
        let of = |at: usize| said[at].as_str();
        assert_eq!([of(0), of(1), of(2), of(3)], ["()", "prepared", "1", "1"], "{guest}");
        let injected = format!("PgValue::Text({INJECTION:?})");
        for part in
            ["\"a\"", "\"c\"", "PgValue::Int8(2)", &injected, "PgValue::Int8(3)", "PgValue::Null"]
        {
            assert!(of(4).contains(part), "{guest}: {}", of(4));
        }
        assert!(
            !of(4).contains("Int8(1)") && of(5).contains("PgValue::Int8(1)"),
            "{guest}: {said:?}"
        );
        for (at, error, why) in [
            (6, "InvalidParams(", "the statement has 2 parameters, and 1 were given"),
            (7, "InvalidParams(", "the statement has 1 parameter, and 0 were given"),
            (8, "InvalidParams(", "parameter 1 is a string of bits"),
            (9, "", "syntax error"),
            (10, "", "syntax error"),
            (11, "", "division by zero"),
            (13, "UnknownPrepared", ""),
        ] {
            assert!(of(at).contains(error) && of(at).contains(why), "{guest}: {}", of(at));
        }
    }
}

#[test]
fn types_go_there_and_come_back() {
    let server = Server::postgres().unwrap();
    let cases = [
        ("bool", "bool true", "Bool(true)"),
        ("int2", "int2 -7", "Int2(-7)"),
        ("int4", "int4 -7", "Int4(-7)"),
        ("float8", "float8 0.1", "Float8((7205759403792794, -56, 1))"),
        ("float8", "float8 -0", "Float8((0, -1075, -1))"),
        ("float4", "float4 -0.5", "Float4((8388608, -24, -1))"),
        ("numeric", "numeric -12.50", "Numeric(\"-12.50\")"),
        ("varchar", "varchar abc", "Varchar((Some(3), [97, 98, 99]))"),
        ("bytea", "bytea 0 255", "Bytea([0, 255])"),
        ("date", "date 2024 2 29", "Date(Date::Ymd((2024, 2, 29)))"),
        ("time", "time 1 2 3 4", "Time(Time { hour: 1, min: 2, sec: 3, micro: 4 })"),
        (
            "timestamp",
            "timestamp 2024 2 29 1 2 3 4",
            "Timestamp(Timestamp { date: Date::Ymd((2024, 2, 29)), \
             time: Time { hour: 1, min: 2, sec: 3, micro: 4 } })",
        ),
        (
            "timestamptz",
            "timestamptz 2024 3 1 0 0 0 4",
            "TimestampTz(TimestampTz { timestamp: Timestamp { date: Date::Ymd((2024, 2, 29)), \
             time: Time { hour: 23, min: 30, sec: 0, micro: 4 } }, \
             offset: Offset::EasternHemisphereSecs(0) })",
        ),
        (
            "uuid",
            "uuid 6fa459ea-ee8a-3ca4-894e-db77e160355e",
            "Uuid(\"6fa459ea-ee8a-3ca4-894e-db77e160355e\")",
        ),
        ("json", "json [1]", "Json(\"[1]\")"),
        ("jsonb", "jsonb [1]", "Jsonb(\"[1]\")"),
        ("inet", "inet 10.0.0.1", "Inet(\"10.0.0.1\")"),
        ("int4[]", "int4[] 1,2", "Int4Array([1, 2])"),
        ("text[]", "text[] a\"b,{}", "TextArray([\"a\\\"b\", \"{}\"])"),
    ];
    let script: String = cases
        .map(|(kind, parameter, _)| {
            format!("query SELECT $1::{kind} AS v\n  {parameter}\nquery SELECT $1::{kind} AS v\n  null\n")
        })
        .concat();
    for (guest, path) in VERSIONS {
        let host = host(guest, &linked(&server));
        let said = run(&host, path, &script);
        for (at, (kind, _, wanted)) in cases.into_iter().enumerate() {
            let (value, null) = (&said[2 * at], &said[2 * at + 1]);
            assert!(value.contains(&format!("PgValue::{wanted}")), "{guest} {kind}: {value}");
            assert!(null.contains("PgValue::Null"), "{guest} {kind}: {null}");
        }
    }
}

#[test]
fn each_statement_is_a_session_of_its_own() {
    let server = Server::postgres().unwrap();
    for (guest, path) in VERSIONS {
        let host = host(guest, &linked(&server));
        let said = run(
            &host,
            path,
            "\
        batch DROP TABLE IF EXISTS t; CREATE TABLE t (a int8)
        batch BEGIN; INSERT INTO t VALUES (1); SET statement_timeout = 77
        query SELECT count(*) FROM t
        batch BEGIN; INSERT INTO t VALUES (2); COMMIT
        query SELECT count(*) FROM t",
        );
        assert!(said[2].contains("Int8(0)"), "{guest}: {said:?}");
        assert!(said[4].contains("Int8(1)"), "{guest}: {said:?}");
        assert!(last(&host, path, "query SHOW statement_timeout").contains("Text(\"0\")"));
    }
}

#[test]
fn rows_come_as_a_stream_that_is_limited() {
    let server = Server::postgres().unwrap();
    let host = host("p3-sql", &linked(&server).replace("url", "max-rows = '1000', url"));
    let script = "count SELECT generate_series(1, 1000)\ncount SELECT generate_series(1, 1001)";
    let said = run(&host, "/", script);
    assert_eq!(said[0], "1000 rows Ok(())");
    assert!(said[1].contains("the result has more than 1000 rows"), "{said:?}");
}

#[test]
fn a_server_that_is_away_is_the_interfaces_error_until_it_is_back() {
    let mut server = Server::postgres().unwrap();
    for ((guest, path), error) in VERSIONS.iter().zip(["Unexpected(", "ConnectionFailed("]) {
        let host = host(guest, &linked(&server));
        goes_and_comes_back(&host, &mut server, (path, "batch SELECT 1"), (error, "()"));
        host.server.wait_for_log(&["shop/sql", "default"]);
        server.freeze();
        let said = last(&host, path, "batch SELECT 1");
        assert!(said.contains("imeout") || said.contains("did not answer"), "{guest}: {said}");
        server.thaw();
        eventually("it to be used again", || {
            (last(&host, path, "batch SELECT 1") == "()").then_some(())
        });
    }
}

#[test]
fn what_is_not_linked_is_refused_with_the_line_to_add() {
    let server = Server::postgres().unwrap();
    for ((guest, path), error) in VERSIONS.iter().zip(["Unexpected(", "AccessDenied"]) {
        let host = host(guest, "");
        for step in ["query SELECT 1", "batch SELECT 1", "prepare SELECT 1"] {
            let said = last(&host, path, step);
            assert!(said.contains(error), "{guest}: {said}");
        }
        let line = "add link = [{ import = \"wasmcloud:postgres\", capability = \"sql\" }]";
        host.server.wait_for_log(&[line]);
        // Written there (with where the database is), it counts.
        host.write("reef.toml", &manifest(&linked(&server)));
        host.told(&["apply"]);
        assert_eq!(last(&host, path, "batch SELECT 1"), "()", "{guest}");
    }
}

#[test]
fn components_choose_between_links_and_the_only_one_needs_no_choice() {
    let (first, second) = (Server::postgres().unwrap(), Server::postgres().unwrap());
    let only = format!("link = [{}]", link(&first, ", name = 'orders'"));
    for (guest, path) in VERSIONS {
        let host = host(guest, &only);
        assert_eq!(last(&host, path, "batch CREATE TABLE IF NOT EXISTS here (a int8)"), "()");
    }
    let both = format!("link = [{}{}]", link(&first, ", name = 'orders'"), link(&second, ""));
    let host = host("p2-sql", &both);
    let said = run(
        &host,
        "/wasmcloud",
        "\
        query SELECT to_regclass('here')::text AS v
        link orders
        query SELECT to_regclass('here')::text AS v
        prepare INSERT INTO here VALUES (1)
        exec
        link nobody
        link default
        prepare INSERT INTO here VALUES (1)",
    );
    assert!(said[0].contains("PgValue::Null"), "{said:?}");
    assert!(said[2].contains("Text(\"here\")"), "{said:?}");
    assert_eq!(said[3..5], ["prepared", "1"]);
    assert!(said[5].contains("no link is called `nobody`"), "{said:?}");
    assert!(said[7].contains("does not exist"), "{said:?}");
}

/// A provider of wadm is this host's own backend, with the settings that the provider has.
#[test]
fn a_wadm_application_has_the_database_that_it_names() {
    let server = Server::postgres().unwrap();
    let manifest = r#"
apiVersion: core.oam.dev/v1beta1
kind: Application
metadata:
  name: shop
  annotations: { version: v1 }
spec:
  components:
    - name: sql
      type: component
      properties: { image: file://./sql.wasm }
      traits:
        - type: link
          properties:
            target:
              name: database
              config:
                - name: where
                  properties:
                    POSTGRES_HOST: 127.0.0.1
                    POSTGRES_PORT: "PORT"
                    POSTGRES_USERNAME: reef
                    POSTGRES_PASSWORD: reef
                    POSTGRES_DATABASE: reef
                    POSTGRES_TLS_REQUIRED: "false"
            namespace: wasmcloud
            package: postgres
            interfaces: [query, prepared]
    - name: database
      type: capability
      properties: { image: ghcr.io/wasmcloud/sqldb-postgres:0.13.0 }
    - name: server
      type: capability
      properties: { image: ghcr.io/wasmcloud/http-server:0.27.0 }
      traits:
        - type: link
          properties:
            target: { name: sql }
            namespace: wasi
            package: http
            interfaces: [incoming-handler]
            source:
              config: [{ name: address, properties: { address: 127.0.0.1:8080 } }]
"#;
    let manifest = manifest.replace("PORT\"", &format!("{}\"", server.addr().port()));
    let dir = crate::host::folder(&[("sql.wasm", "p2-sql")], "");
    std::fs::remove_file(dir.path().join("reef.toml")).unwrap();
    std::fs::write(dir.path().join("wadm.yaml"), manifest).unwrap();
    let host = crate::host::Host::with(dir, &["wadm.yaml"]);
    let said = last(&host, "/wasmcloud", "query SELECT current_user::text");
    assert!(said.contains("Text(\"reef\")"), "{said}");
}
