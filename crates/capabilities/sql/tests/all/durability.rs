//! What was acknowledged is there after the process was killed at whatever moment.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    process::{Command, Stdio},
    time::Duration,
};

use reef_sql::Value;

use crate::{Setup, Uses as _, connect, open};

const FOLDER: &str = "REEF_SQL_TEST_FOLDER";

/// The process that is killed: writes for ever, and says what was acknowledged.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "started by the test below"]
async fn writer() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let mut setup = Setup::embedded();
    let backend = open("embedded", &[], Some(folder.as_ref()));
    setup.policy.timeout = Duration::from_secs(30);
    let database = setup.link(backend);
    connect(&database).await.run("create table if not exists t (writer, n)", vec![]).await.unwrap();
    let writers = (0..3).map(|writer: i64| {
        let database = database.clone();
        tokio::spawn(async move {
            let one = connect(&database).await;
            let insert = "insert into t values (?, ?)";
            let last = one.rows(
                "select coalesce(max(n), -1) from t where writer = ?",
                vec![Value::I64(writer)],
            );
            let last = last.await.unwrap().rows[0][0].integer().unwrap();
            for n in (i64::try_from(last).unwrap() + 1).. {
                if one.run(insert, vec![Value::I64(writer), Value::I64(n)]).await.is_ok() {
                    let line = format!("ack {writer} {n}\n");
                    std::io::stdout().lock().write_all(line.as_bytes()).unwrap();
                }
            }
        })
    });
    for task in writers.collect::<Vec<_>>() {
        task.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn acknowledged_rows_survive_sigkill() {
    let setup = Setup::embedded();
    let mut acknowledged: Vec<(i64, i64)> = Vec::new();
    for round in 0..8_usize {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "durability::writer", "--ignored", "--nocapture"])
            .env(FOLDER, setup.folder.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        // A moment that nothing in the writer knows of.
        let (mut some, wanted) = (0, 20 + round * 37);
        while let Some(Ok(line)) = lines.next() {
            note(&line, &mut acknowledged);
            some += 1;
            if some == wanted {
                child.kill().unwrap();
            }
        }
        child.wait().unwrap();
        assert!(some >= wanted, "the writer wrote {some} lines and ended");

        let one = connect(&setup.database()).await;
        let table = one.rows("select writer, n from t", vec![]).await.unwrap();
        let there: std::collections::HashSet<_> =
            table.rows.iter().map(|row| (row[0].integer(), row[1].integer())).collect();
        for (writer, n) in &acknowledged {
            let row = (Some(i128::from(*writer)), Some(i128::from(*n)));
            assert!(there.contains(&row), "round {round}: {writer} {n} is lost");
        }
        assert_eq!(
            one.rows("pragma integrity_check", vec![]).await.unwrap().rows[0],
            [crate::text("ok")]
        );
    }
    assert!(acknowledged.len() > 500, "{}", acknowledged.len());
}

fn note(line: &str, acknowledged: &mut Vec<(i64, i64)>) {
    // What the test harness prints may stand before it.
    let Some((_, rest)) = line.split_once("ack ") else { return };
    if let Some((writer, n)) = rest.split_once(' ') {
        acknowledged.push((writer.parse().unwrap(), n.parse().unwrap()));
    }
}
