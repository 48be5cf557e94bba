#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use super::*;
use proptest::prelude::*;

/// Head, and what of `output` is body.
fn parse(output: &[u8]) -> Result<(ResponseHead, Vec<u8>), Error> {
    parse_in_pieces(&[output])
}

fn parse_in_pieces(pieces: &[&[u8]]) -> Result<(ResponseHead, Vec<u8>), Error> {
    let mut parser = ResponseParser::new();
    for (index, piece) in pieces.iter().enumerate() {
        if let Progress::Head { head, body_start } = parser.feed(piece)? {
            parser.finish()?;
            let mut body = piece[body_start..].to_vec();
            body.extend(pieces[index + 1..].concat());
            return Ok((head, body));
        }
    }
    Err(parser.finish().unwrap_err())
}

fn head(output: &str) -> ResponseHead {
    parse(output.as_bytes()).unwrap().0
}

/// Line number and fault of an output with one bad line.
fn fault(output: &[u8]) -> (usize, LineFault) {
    match parse(output) {
        Err(Error::Line { line, fault, .. }) => (line, fault),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_smallest_response() {
    let (head, body) = parse(b"Content-Type: text/plain\n\nhello world\n").unwrap();
    assert_eq!(head.status, StatusCode::OK);
    assert_eq!(head.headers[header::CONTENT_TYPE], "text/plain");
    assert_eq!(body, b"hello world\n");
}

#[test]
fn line_ends_may_be_mixed_and_the_body_is_left_alone() {
    let (head, body) =
        parse(b"content-type:text/plain\r\nx-a:  1 \t\n\r\n\r\n\r\nbody\r\n").unwrap();
    assert_eq!(head.headers["x-a"], "1");
    assert_eq!(body, b"\r\n\r\nbody\r\n");
}

#[test]
fn one_leading_blank_line_is_skipped() {
    assert_eq!(head("\nContent-Type: a/b\n\n").headers.len(), 1);
    assert_eq!(parse(b"\n\nContent-Type: a/b\n\n"), Err(Error::Insufficient));
}

#[test]
fn status_sets_the_status_and_is_not_sent() {
    let response = head("Status: 404 Not Found\n\n");
    assert_eq!(response.status, StatusCode::NOT_FOUND);
    assert!(response.headers.is_empty());
    assert_eq!(head("STATUS:418\n\n").status, StatusCode::IM_A_TEAPOT);
}

#[test]
fn a_location_redirects_unless_a_status_says_otherwise() {
    assert_eq!(head("Location: /there\n\n").status, StatusCode::FOUND);
    assert_eq!(head("Location: /there\n\n").headers[header::LOCATION], "/there");
    assert_eq!(head("Status: 201\nLocation: /new\n\n").status, StatusCode::CREATED);
    assert_eq!(head("Location: /new\nStatus: 201\n\n").status, StatusCode::CREATED);
}

#[test]
fn a_block_without_type_status_or_location_is_an_internal_error() {
    let error = parse(b"X-Powered-By: wasm\n\nbody").unwrap_err();
    assert_eq!(error, Error::Insufficient);
    assert_eq!(error.status(), StatusCode::INTERNAL_SERVER_ERROR);
    assert!(error.to_string().contains("`Content-Type: text/plain`"), "{error}");
}

#[test]
fn a_bad_status_is_a_bad_gateway() {
    for status in ["", "OK", "20", "2000", "200OK", "099", "101 Switching Protocols", "600", "+20"]
    {
        let output = format!("Content-Type: a/b\nStatus: {status}\n\n");
        let error = parse(output.as_bytes()).unwrap_err();
        assert!(matches!(error, Error::Line { line: 2, fault: LineFault::Status, .. }), "{error}");
        assert_eq!(error.status(), StatusCode::BAD_GATEWAY);
    }
}

#[test]
fn a_malformed_line_is_named_with_its_reason() {
    assert_eq!(fault(b"Content-Type: a/b\nhello world\n\n"), (2, LineFault::NoColon));
    assert_eq!(fault(b"HTTP/1.1 200 OK\n\n"), (1, LineFault::StatusLine));
    assert_eq!(fault(b"X-A: 1\n folded\n\n"), (2, LineFault::Folded));
    assert_eq!(fault(b"X-A : 1\n\n"), (1, LineFault::Name));
    assert_eq!(fault(b": 1\n\n"), (1, LineFault::Name));
    assert_eq!(fault(b"X-\xc3\xa9: 1\n\n"), (1, LineFault::Name));
    assert_eq!(fault(b"X-A: a\0b\n\n"), (1, LineFault::Value));
    assert_eq!(fault(b"Content-Length: 1 2\n\n"), (1, LineFault::ContentLength));
    assert_eq!(fault(b"Content-Length: -1\n\n"), (1, LineFault::ContentLength));
    assert_eq!(fault(b"Content-Length: 99999999999999999999\n\n"), (1, LineFault::ContentLength));

    let error = parse(b"Content-Type: a/b\n<html>\x1b[31m\n\n").unwrap_err();
    let message = error.to_string();
    assert!(message.contains("line 2") && message.contains("<html>\\x1b[31m"), "{message}");
}

#[test]
fn a_value_cannot_hold_another_header() {
    assert_eq!(fault(b"X-A: 1\rSet-Cookie: evil=1\n\n"), (1, LineFault::Value));
    assert_eq!(fault(b"X-A: 1\r\r\n\n"), (1, LineFault::Value));
}

#[test]
fn contradictions_are_refused_and_lists_are_kept() {
    for (line, name) in [
        ("Status: 200", "status"),
        ("Content-Type: a/b", "content-type"),
        ("Content-Length: 1", "content-length"),
        ("Location: /", "location"),
    ] {
        let output = format!("{line}\n{}\n\n", line.to_uppercase());
        let expected = LineFault::Repeated(HeaderName::from_static(name));
        assert_eq!(fault(output.as_bytes()), (2, expected));
    }
    let response = head("Content-Type: a/b\nSet-Cookie: a=1\nset-cookie: b=2\n\n");
    let cookies: Vec<_> = response.headers.get_all(header::SET_COOKIE).iter().collect();
    assert_eq!(cookies, ["a=1", "b=2"]);
}

#[test]
fn headers_about_the_connection_are_dropped() {
    let response = head(
        "Content-Type: a/b\nConnection: close, X-Hop\nTransfer-Encoding: chunked\nKeep-Alive: 5\n\
         Upgrade: websocket\nTrailer: X-T\nX-Hop: 1\nX-Kept: 1\n\n",
    );
    let kept: Vec<_> = response.headers.keys().map(HeaderName::as_str).collect();
    assert_eq!(kept, ["content-type", "x-kept"]);
    assert_eq!(response.dropped.len(), 6);
}

#[test]
fn a_guest_that_ends_early_is_told_from_a_silent_one() {
    assert_eq!(parse(b""), Err(Error::Empty));
    assert_eq!(parse(b"Content-Type: a/b"), Err(Error::Truncated { headers: 0 }));
    assert_eq!(parse(b"Content-Type: a/b\n"), Err(Error::Truncated { headers: 1 }));
}

#[test]
fn limits_hold_to_the_byte() {
    let padding = |block: usize| {
        let fixed = "Content-Type: a/b\nX: \n\n".len();
        format!("Content-Type: a/b\nX: {}\n\n", "v".repeat(block - fixed))
    };
    let (_, body) = parse(format!("{}body", padding(MAX_HEADER_BLOCK)).as_bytes()).unwrap();
    assert_eq!(body, b"body");
    assert_eq!(parse(padding(MAX_HEADER_BLOCK + 1).as_bytes()), Err(Error::TooLarge));
    assert_eq!(parse(&vec![b'x'; 10 << 20]), Err(Error::TooLarge));

    let lines = |count: usize| format!("Content-Type: a/b\n{}\n", "X: 1\n".repeat(count - 1));
    assert!(parse(lines(MAX_HEADERS).as_bytes()).is_ok());
    assert_eq!(parse(lines(MAX_HEADERS + 1).as_bytes()), Err(Error::TooMany));
}

#[test]
fn an_error_is_final_and_so_is_success() {
    let mut parser = ResponseParser::new();
    let error = parser.feed(b"nonsense\n").unwrap_err();
    assert_eq!(parser.feed(b"Content-Type: a/b\n\n"), Err(error.clone()));
    assert_eq!(parser.finish(), Err(error));

    let mut parser = ResponseParser::new();
    assert!(matches!(parser.feed(b"Status: 204\n\n"), Ok(Progress::Head { body_start: 13, .. })));
    assert_eq!(parser.feed(b"more"), Err(Error::Finished));
    assert_eq!(parser.finish(), Ok(()));
}

/// Status, headers sorted by name, body.
type Parts = (u16, Vec<(String, Vec<u8>)>, Vec<u8>);

/// The same rules, on the whole output at once: find the blank line, then read line by line.
fn model(output: &[u8]) -> Option<Parts> {
    let mut rest = output;
    let mut lines = Vec::new();
    loop {
        let end = rest.iter().position(|byte| *byte == b'\n')?;
        let line = rest[..end].strip_suffix(b"\r").unwrap_or(&rest[..end]);
        rest = &rest[end + 1..];
        if line.is_empty() && !(lines.is_empty() && output.len() - rest.len() <= 2) {
            break;
        }
        lines.push(line);
    }
    let mut fields = Vec::new();
    for line in lines.into_iter().filter(|line| !line.is_empty()) {
        let (name, value) = std::str::from_utf8(line).ok()?.split_once(':')?;
        let token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
        let value = value.trim_matches([' ', '\t']);
        if name.is_empty() || !name.chars().all(token) {
            return None;
        }
        if value.chars().any(|c| c.is_ascii_control() && c != '\t') {
            return None;
        }
        fields.push((name.to_ascii_lowercase(), value.to_owned()));
    }
    let all = |name: &str| fields.iter().filter(|field| field.0 == name).collect::<Vec<_>>();
    for name in ["status", "content-type", "location", "content-length"] {
        if all(name).len() > 1 {
            return None;
        }
    }
    if let [length] = all("content-length")[..] {
        if length.1.starts_with('+') {
            return None;
        }
        length.1.parse::<u64>().ok()?;
    }
    let status = match all("status")[..] {
        [status] => status.1.split([' ', '\t']).next()?.parse().ok()?,
        _ if !all("location").is_empty() => 302,
        _ if !all("content-type").is_empty() => 200,
        _ => return None,
    };
    if !(200..600).contains(&status) {
        return None;
    }
    let mut dropped: Vec<String> = HOP_BY_HOP.iter().map(ToString::to_string).collect();
    dropped.extend(
        all("connection")
            .iter()
            .flat_map(|field| field.1.split(','))
            .map(|option| option.trim_matches([' ', '\t']).to_ascii_lowercase()),
    );
    dropped.push("status".to_owned());
    fields.retain(|field| !dropped.contains(&field.0));
    let mut fields: Vec<_> =
        fields.into_iter().map(|(name, value)| (name, value.into_bytes())).collect();
    fields.sort_by(|a, b| a.0.cmp(&b.0));
    Some((status, fields, rest.to_vec()))
}

/// Outputs made of the pieces that matter, so that many are nearly right.
fn output() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just("Content-Type: text/plain"),
        Just("content-type:a/b"),
        Just("Status: 404 Not Found"),
        Just("Status: 20"),
        Just("Location: /x"),
        Just("Content-Length: 12"),
        Just("Connection: x-a, close"),
        Just("X-A: 1"),
        Just("X-B:\t2 "),
        Just("Set-Cookie: é=1"),
        Just(" "),
        Just(":"),
        Just("\r"),
        Just("\0"),
        Just("text"),
    ];
    let end = prop_oneof![6 => Just("\n"), 3 => Just("\r\n"), 1 => Just("")];
    let line = (piece, end.clone());
    (
        prop::option::of(Just("\n")),
        prop::collection::vec(line, 0..6),
        prop::option::weighted(0.9, end),
        prop::collection::vec(any::<u8>(), 0..20),
    )
        .prop_map(|(first, lines, blank, body)| {
            let text: String = first
                .into_iter()
                .chain(lines.into_iter().flat_map(|(line, end)| [line, end]))
                .chain(blank)
                .collect();
            [text.into_bytes(), body].concat()
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn agrees_with_the_model(output in output()) {
        let parsed = parse(&output).ok().map(|(head, body)| {
            let mut fields: Vec<_> = head
                .headers
                .iter()
                .map(|(name, value)| (name.to_string(), value.as_bytes().to_vec()))
                .collect();
            fields.sort_by(|a, b| a.0.cmp(&b.0));
            (head.status.as_u16(), fields, body)
        });
        prop_assert_eq!(parsed, model(&output));
    }

    #[test]
    fn pieces_do_not_matter(output in output(), cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8)) {
        let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(output.len() + 1)).collect();
        cuts.extend([0, output.len()]);
        cuts.sort_unstable();
        let pieces: Vec<_> = cuts.windows(2).map(|cut| &output[cut[0]..cut[1]]).collect();
        prop_assert_eq!(parse_in_pieces(&pieces), parse(&output));

        let bytes: Vec<_> = output.chunks(1).collect();
        prop_assert_eq!(parse_in_pieces(&bytes), parse(&output));
    }
}
