//! Logs of a real process on a real standard error.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::{env, fs};

use reef_telemetry::{Color, LogConfig, LogFormat};

/// Set in the child: the file that it writes after it has logged.
const CHILD: &str = "REEF_TEST_LOGGING_CHILD";

fn log(format: LogFormat, done: &str) {
    let config = LogConfig { color: Color::Auto, ..LogConfig::from_env(format, None, "warn") };
    reef_telemetry::init(&config).unwrap();
    let again = reef_telemetry::init(&config).unwrap_err();
    assert!(again.to_string().contains("already"), "{again}");
    for i in 0..1_000 {
        tracing::info!(i, "{}", "x".repeat(200));
    }
    fs::write(done, "logged").unwrap();
}

fn child(test: &str, done: &str, filter: &str) -> Command {
    let mut command = Command::new(env::current_exe().unwrap());
    command.args(["--exact", test, "--nocapture"]).env(CHILD, done).env("REEF_LOG", filter);
    command.stdout(Stdio::null());
    command
}

#[test]
fn a_reader_that_is_gone_neither_stops_nor_kills_the_process() {
    if let Ok(done) = env::var(CHILD) {
        return log(LogFormat::Human, &done);
    }
    let done = tempfile::NamedTempFile::new().unwrap();
    let name = "a_reader_that_is_gone_neither_stops_nor_kills_the_process";
    let mut child =
        child(name, done.path().to_str().unwrap(), "info").stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stderr.take());
    assert!(child.wait().unwrap().success());
    assert_eq!(fs::read_to_string(done.path()).unwrap(), "logged");
}

#[test]
fn reef_log_chooses_and_a_pipe_gets_no_color() {
    if let Ok(done) = env::var(CHILD) {
        return log(LogFormat::Human, &done);
    }
    for (filter, lines) in [("info", 1_000), ("error", 0), ("", 0)] {
        let name = "reef_log_chooses_and_a_pipe_gets_no_color";
        let mut child = child(name, "/dev/null", filter).stderr(Stdio::piped()).spawn().unwrap();
        let read: Vec<_> =
            BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap).collect();
        assert!(child.wait().unwrap().success());
        assert_eq!(read.len(), lines, "{filter}");
        assert!(
            read.iter().all(|line| !line.contains('\x1b') && line.contains(" INFO stderr: xxx"))
        );
    }
}
