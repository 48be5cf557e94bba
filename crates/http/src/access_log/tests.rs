#![allow(clippy::unwrap_used, reason = "tests")]

use std::time::{Instant, UNIX_EPOCH};

use http::header::HeaderValue;
use http::{Method, StatusCode, Version};
use proptest::prelude::*;

use super::{line::Asked, *};

const WAIT: Duration = Duration::from_secs(20);

fn line() -> Line {
    Line {
        since: Instant::now(),
        time: UNIX_EPOCH + Duration::from_millis(784_111_777_250),
        remote: "192.0.2.7:4711".parse().unwrap(),
        asked: Some(asked()),
        id: Some("id-1".parse().unwrap()),
        served_by: Some(ServedBy { workload: "shop".into(), route: "/a/...".into() }),
        status: Some(StatusCode::OK),
        bytes: 12,
    }
}

fn asked() -> Asked {
    Asked {
        method: Method::GET,
        uri: "/a\"b\"?c".parse().unwrap(),
        version: Version::HTTP_11,
        host: Some("example.org".parse().unwrap()),
        referer: Some("http://x/\"\\".parse().unwrap()),
        user_agent: Some(HeaderValue::from_bytes(b"\xc3\xa4\xff\tb").unwrap()),
    }
}

fn text(line: &Line, format: LogFormat, end: End) -> String {
    let mut text = Vec::new();
    line.write(format, end, &mut text);
    String::from_utf8(text).unwrap()
}

#[test]
fn lines_have_the_known_forms() {
    let common =
        "192.0.2.7 - - [06/Nov/1994:08:49:37 +0000] \"GET /a\\x22b\\x22?c HTTP/1.1\" 200 12";
    assert_eq!(text(&line(), LogFormat::Common, End::Whole), format!("{common}\n"));
    assert_eq!(
        text(&line(), LogFormat::Combined, End::Whole),
        format!("{common} \"http://x/\\x22\\x5C\" \"\\xC3\\xA4\\xFF\\x09b\"\n")
    );
    let asked = Some(Asked { referer: None, user_agent: None, ..asked() });
    let bare = Line { asked, status: None, bytes: 0, ..line() };
    assert!(text(&bare, LogFormat::Combined, End::GivenUp).ends_with("\" 499 - \"-\" \"-\"\n"));

    let json = text(&line(), LogFormat::Json, End::Cut);
    let (before, after) = json.split_once("\"duration\":").unwrap();
    assert_eq!(
        before,
        "{\"time\":\"1994-11-06T08:49:37.250Z\",\"remote\":\"192.0.2.7:4711\",\
         \"status\":200,\"bytes\":12,"
    );
    let (duration, after) = after.split_once(',').unwrap();
    assert!(duration.parse::<f64>().unwrap() >= 0.0);
    assert_eq!(
        after,
        "\"end\":\"cut\",\"version\":\"HTTP/1.1\",\"method\":\"GET\",\"target\":\"/a\\\"b\\\"?c\",\"host\":\"example.org\",\"id\":\"id-1\",\
         \"workload\":\"shop\",\"route\":\"/a/...\",\"referer\":\"http://x/\\\"\\\\\",\
         \"user_agent\":\"\\u00e4\\ufffd\\u0009b\"}\n"
    );
    assert!(text(&bare, LogFormat::Json, End::GivenUp).contains("\"status\":null,"));

    let unread = Line::unread("192.0.2.7:4711".parse().unwrap(), StatusCode::BAD_REQUEST, 30);
    let common = text(&unread, LogFormat::Combined, End::Whole);
    assert!(common.ends_with("] \"-\" 400 30 \"-\" \"-\"\n"), "{common}");
    let json = text(&unread, LogFormat::Json, End::Whole);
    assert!(json.contains("\"status\":400,") && !json.contains("method"), "{json}");
}

proptest! {
    /// A line is a line, of printable ASCII, whatever a client sends.
    #[test]
    fn nothing_gets_through(bytes: Vec<u8>, name in "\\PC*", method in "[!#$%&'*+.^_`|~0-9A-Za-z-]{1,20}") {
        let value = HeaderValue::from_bytes(&bytes).ok();
        let line = Line {
            asked: Some(Asked {
                method: Method::from_bytes(method.as_bytes()).unwrap(),
                user_agent: value.clone(),
                referer: value.clone(),
                ..asked()
            }),
            id: value,
            served_by: Some(ServedBy { workload: name.into(), route: "\u{1b}[31m\n\u{9b}".into() }),
            ..line()
        };
        for format in [LogFormat::Common, LogFormat::Combined, LogFormat::Json] {
            let text = text(&line, format, End::Whole);
            prop_assert_eq!(text.find('\n'), Some(text.len() - 1));
            prop_assert!(text[..text.len() - 1].bytes().all(|byte| matches!(byte, b' '..=b'~')));
        }
    }
}

#[test]
fn a_file_is_appended_to_and_opened_again() {
    let dir = tempfile::tempdir().unwrap();
    let (path, moved) = (dir.path().join("access.log"), dir.path().join("access.log.1"));
    std::fs::write(&path, "before\n").unwrap();
    let log = AccessLog::open(LogTarget::File(path.clone()), LogFormat::Common).unwrap();
    log.write(&line(), End::Whole);
    assert!(log.flush(WAIT));
    let written = std::fs::read_to_string(&path).unwrap();
    assert!(written.starts_with("before\n192.0.2.7 ") && written.lines().count() == 2);

    std::fs::rename(&path, &moved).unwrap();
    log.write(&line(), End::Whole);
    assert!(log.flush(WAIT));
    assert_eq!(std::fs::read_to_string(&moved).unwrap().lines().count(), 3, "still the old one");
    log.reopen();
    assert!(log.flush(WAIT));
    log.write(&line(), End::Whole);
    assert!(log.flush(WAIT));
    assert_eq!(std::fs::read_to_string(&path).unwrap().lines().count(), 1);
    assert_eq!(std::fs::read_to_string(&moved).unwrap().lines().count(), 3);
    assert_eq!(log.dropped(), 0);

    let error = AccessLog::open(LogTarget::File(dir.path().join("no/log")), LogFormat::Json);
    assert!(error.unwrap_err().to_string().contains("no/log"));
}

/// A target that takes nothing: a pipe that nobody reads, filled.
#[test]
fn a_target_that_stands_still_costs_lines_not_time() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
    // Opened for both, so that neither side waits for the other.
    let pipe = std::fs::File::options().read(true).write(true).open(&path).unwrap();
    let log = AccessLog::open(LogTarget::File(path), LogFormat::Json).unwrap();
    let began = Instant::now();
    let mut sent = 0u64;
    while log.dropped() < 100 {
        log.write(&line(), End::Whole);
        sent += 1;
        assert!(began.elapsed() < WAIT);
    }
    assert!(!log.flush(Duration::from_millis(10)));
    // Read on, it writes on.
    let reader = std::thread::spawn(move || {
        let mut reader = std::io::BufReader::new(pipe);
        let mut line = String::new();
        let mut lines = 0u64;
        while std::io::BufRead::read_line(&mut reader, &mut line).unwrap() > 0
            && !line.contains("last")
        {
            lines += 1;
            line.clear();
        }
        lines
    });
    assert!(log.flush(WAIT));
    let last = Asked { uri: "/last".parse().unwrap(), ..asked() };
    let last = Line { asked: Some(last), ..line() };
    log.write(&last, End::Whole);
    assert_eq!(reader.join().unwrap() + log.dropped(), sent);
}

#[test]
fn long_lines_do_not_fill_the_memory() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
    let _pipe = std::fs::File::options().read(true).write(true).open(&path).unwrap();
    let log = AccessLog::open(LogTarget::File(path), LogFormat::Combined).unwrap();
    let long = HeaderValue::from_bytes(&[0xff; 60_000]).unwrap();
    let asked = Asked { user_agent: Some(long.clone()), referer: Some(long), ..asked() };
    let line = Line { asked: Some(asked), ..line() };
    // Of two fields of 4 KiB, each byte as four.
    let most = QUEUE_BYTES / (2 * 4 * 4096) + 64;
    for _ in 0..2 * most {
        log.write(&line, End::Whole);
    }
    assert!(log.dropped() as usize >= most - 64, "{}", log.dropped());
    assert!(log.shared.waiting.load(Ordering::Relaxed) < QUEUE_BYTES + 2 * 4 * 4096 + 1024);
}

#[test]
fn a_target_that_refuses_is_counted() {
    let log = AccessLog::open(LogTarget::File("/dev/full".into()), LogFormat::Common).unwrap();
    for _ in 0..3 {
        log.write(&line(), End::Whole);
    }
    assert!(log.flush(WAIT));
    assert_eq!(log.dropped(), 3);
}
