use std::sync::{Arc, Mutex};

use proptest::prelude::*;
use serde_json::Value;
use tracing::{Level, debug, error, info, info_span, warn};

use super::*;

fn lines(config: &LogConfig, log: impl FnOnce()) -> Vec<String> {
    let written: Arc<Mutex<Vec<String>>> = Arc::default();
    let sink = {
        let written = Arc::clone(&written);
        move |line: &[u8]| written.lock().unwrap().push(String::from_utf8(line.to_vec()).unwrap())
    };
    tracing::subscriber::with_default(subscriber(config, sink).unwrap(), log);
    let written = written.lock().unwrap();
    written.clone()
}

fn json(filter: &str) -> LogConfig {
    LogConfig {
        color: Color::Never,
        ..LogConfig::from_env(LogFormat::Json, Some(filter.to_owned()), "")
    }
}

fn human() -> LogConfig {
    LogConfig {
        color: Color::Never,
        ..LogConfig::from_env(LogFormat::Human, Some("info".to_owned()), "")
    }
}

fn parse(line: &str) -> Value {
    assert_eq!(line.matches('\n').count(), 1, "one line each: {line:?}");
    serde_json::from_str(line).unwrap()
}

#[test]
fn json_has_the_fields_of_the_event_and_its_spans_at_top_level() {
    let lines = lines(&json("info"), || {
        let outer =
            info_span!("request", trace_id = "abc", attempt = 1, late = tracing::field::Empty);
        let _outer = outer.enter();
        outer.record("late", true);
        let _inner = info_span!("guest", attempt = 2_u64).entered();
        info!(target: "reef_http", bytes = 12_u64, share = 0.5, nan = f64::NAN, level = "mine", "sent \"it\"\n");
    });
    let line = parse(&lines[0]);
    let timestamp = line["timestamp"].as_str().unwrap();
    assert!(timestamp.starts_with("20") && timestamp.ends_with('Z'), "{timestamp}");
    assert_eq!(line["level"], "INFO");
    assert_eq!(line["target"], "reef_http");
    assert_eq!(line["message"], "sent \"it\"\n");
    assert_eq!(line["bytes"], 12);
    assert_eq!(line["share"], 0.5);
    assert_eq!(line["nan"], "NaN");
    assert_eq!(line["field_level"], "mine");
    assert_eq!(line["trace_id"], "abc");
    assert_eq!(line["late"], true);
    assert_eq!(line["attempt"], 2, "the inner span hides the outer");
    assert_eq!(lines[0].matches("\"attempt\"").count(), 1);
}

#[test]
fn spans_of_libraries_are_left_out() {
    let lines = lines(&json("trace"), || {
        let _own = info_span!("request", trace_id = "abc").entered();
        let library = tracing::trace_span!(target: "wiggle", "fd_write", fd = 2, late = tracing::field::Empty);
        let _library = library.enter();
        library.record("late", true);
        info!(target: "guest", "said");
    });
    let line = parse(&lines[0]);
    assert_eq!(line["trace_id"], "abc");
    assert!(line.get("fd").is_none() && line.get("late").is_none(), "{line}");
}

#[test]
fn an_error_is_written_with_its_causes() {
    #[derive(Debug, thiserror::Error)]
    #[error("cannot export")]
    struct Outer(#[source] std::num::ParseIntError);
    let cause = "x".parse::<u8>().unwrap_err();
    let lines = lines(&json("info"), || {
        let failed = Outer(cause);
        warn!(error = &failed as &dyn std::error::Error, "failed");
    });
    assert_eq!(parse(&lines[0])["error"], "cannot export: invalid digit found in string");
}

#[test]
fn the_filter_chooses_by_level_and_target() {
    let lines = lines(&json("warn,chatty=debug"), || {
        info!(target: "quiet", "no");
        warn!(target: "quiet", "yes");
        debug!(target: "chatty::part", "yes");
        tracing::trace!(target: "chatty", "no");
    });
    assert_eq!(lines.len(), 2);
    assert!(lines.iter().all(|line| parse(line)["message"] == "yes"));
}

#[test]
fn a_wrong_filter_is_refused_with_what_to_write() {
    let error = subscriber(&json("reef=loud"), |_| ()).err().unwrap();
    assert!(error.to_string().contains("`reef=loud`"), "{error}");
    assert!(error.to_string().contains("info,reef_http=debug"), "{error}");
}

#[test]
fn human_lines_are_short_and_in_utc() {
    let lines =
        lines(&human(), || info!(target: "reef", addr = "[::1]:80", why = "a b", "listening"));
    let (time, rest) = lines[0].split_once(' ').unwrap();
    assert_eq!(time.len(), "2026-01-01T00:00:00.000Z".len());
    assert!(time.ends_with('Z'));
    assert_eq!(rest, " INFO reef: listening addr=[::1]:80 why=\"a b\"\n");
}

#[test]
fn color_marks_the_level_only() {
    let config = LogConfig { color: Color::Always, ..human() };
    let lines = lines(&config, || error!(target: "reef", "no"));
    assert!(lines[0].contains(" \x1b[31mERROR\x1b[0m reef: no\n"), "{:?}", lines[0]);
}

#[test]
fn every_level_has_a_name_of_its_own() {
    let config = json("trace");
    let lines = lines(&config, || {
        error!("");
        warn!("");
        info!("");
        debug!("");
        tracing::trace!("");
    });
    let names: Vec<_> = lines.iter().map(|line| parse(line)["level"].clone()).collect();
    let want = [Level::ERROR, Level::WARN, Level::INFO, Level::DEBUG, Level::TRACE];
    assert_eq!(names, want.map(|level| Value::from(level.as_str())));
}

proptest! {
    #[test]
    fn json_gives_back_any_text(message in any::<String>(), value in any::<String>()) {
        let lines = lines(&json("info"), || info!(value, "{message}"));
        let line = parse(&lines[0]);
        prop_assert_eq!(line["message"].as_str(), Some(message.as_str()));
        prop_assert_eq!(line["value"].as_str(), Some(value.as_str()));
    }

    #[test]
    fn text_cannot_forge_a_human_line_or_drive_a_terminal(text in any::<String>()) {
        let lines = lines(&human(), || info!(value = text, "{text}"));
        let line = lines[0].strip_suffix('\n').unwrap();
        prop_assert!(line.split('\n').skip(1).all(|next| next.starts_with("    ")));
        prop_assert!(!line.chars().any(|c| c.is_control() && c != '\n' && c != '\t'));
    }
}

#[test]
fn a_journal_keeps_the_last_lines_and_tells_the_next() {
    let journal = Journal::new(3, 10_000);
    let config = LogConfig { journal: Some(journal.clone()), ..human() };
    let subscriber = subscriber(&config, |_: &[u8]| {}).unwrap();
    tracing::subscriber::with_default(subscriber, || {
        for number in 0..5 {
            tracing::info!(workload = "shop/front", number, "Said.");
        }
        tracing::info!("Nobody's.");
        let (last, mut news) = journal.follow(10, |entry| entry.workload.is_some());
        // Three are kept, and one of them is nobody's.
        let numbers: Vec<_> =
            last.iter().map(|entry| entry.line.contains("\"number\":3")).collect();
        assert_eq!(numbers, [true, false]);
        assert!(serde_json::from_str::<serde_json::Value>(&last[1].line).is_ok());
        tracing::info!(workload = "shop/front", "Later.");
        let next = news.try_recv().unwrap();
        assert_eq!(next.workload.as_deref(), Some("shop/front"));
        assert!(next.line.contains("Later."));
    });
}

#[test]
fn a_journal_is_bounded_in_bytes() {
    let journal = Journal::new(1000, 2000);
    let config = LogConfig { journal: Some(journal.clone()), ..human() };
    let subscriber = subscriber(&config, |_: &[u8]| {}).unwrap();
    tracing::subscriber::with_default(subscriber, || {
        for _ in 0..100 {
            tracing::info!("{}", "x".repeat(500));
        }
    });
    let (last, _) = journal.follow(1000, |_| true);
    assert!(!last.is_empty() && last.iter().map(|entry| entry.line.len()).sum::<usize>() <= 2000);
}
