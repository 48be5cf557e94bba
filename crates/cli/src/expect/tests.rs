#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener},
    thread,
};

use proptest::prelude::*;

use super::*;
use crate::manage::block_on;

/// Each message with what it points at and its help.
fn wrong(text: &str) -> Vec<(String, String, String)> {
    let source = Source::new("t.toml", text);
    let mut found = Diagnostics::default();
    let read = parse(&source, &mut found);
    assert_eq!(read.is_some(), !found.has_errors());
    let said = found.iter().map(|one| {
        let at = one.span().and_then(|span| text.get(span)).unwrap_or_default();
        (one.message().to_owned(), at.to_owned(), one.help_text().unwrap_or_default().to_owned())
    });
    said.collect()
}

#[test]
fn mistakes_are_shown_at_their_place() {
    for (text, message, place, help) in [
        ("", "this file has no [[request]]", "", ""),
        (
            "[[request]]\npath = '/'\nexpects = {}",
            "`expects` is not a known field",
            "expects",
            "did you mean `expect`?",
        ),
        (
            "[[request]]\npath = '/'\n[request.expect]\nheader = {}",
            "`header` is not a known field",
            "header",
            "did you mean `headers`?",
        ),
        ("[[request]]\nmethod = 'GET'", "`path`", "", ""),
        ("[[request]]\npath = 'x'", "`x` is not a path", "'x'", "begin it with `/`"),
        ("[[request]]\npath = ''", "`` is not a path", "''", "begin it with `/`"),
        ("[[request]]\npath = '/'\nmethod = 'A B'", "`A B` is not a method", "'A B'", "GET"),
        (
            "[[request]]\npath = '/'\nheaders = { 'a b' = 'x' }",
            "`a b` is not the name of a header",
            "'a b'",
            "letters",
        ),
        (
            "[[request]]\npath = '/'\nbody = ''\njson = 1",
            "there is a `body` already",
            "1",
            "leave one",
        ),
        ("[[request]]\npath = '/'\nexpect.status = 99", "99 is not a status", "99", "100 to 599"),
        ("[[request]]\npath = '/'\nexpect.status = [200, 'x']", "", "'x'", ""),
        (
            "[[request]]\npath = '/'\nexpect.body-matches = '('",
            "is not a regular expression: unclosed group",
            "'('",
            "`\\`",
        ),
        (
            "[[request]]\npath = '/'\nexpect.json = { 'a.b' = 1 }",
            "`a.b` is not a place in JSON",
            "'a.b'",
            "`/a/b`",
        ),
        ("[[request]]\npath = '/'\nwithin = 'soon'", "", "'soon'", ""),
        ("[[request]]\npath = '/'\ncapture.id = { jsn = '/id' }", "jsn", "", ""),
        (
            "[[request]]\npath = '/'\ncapture.id = { body = '[' }",
            "is not a regular expression",
            "{ body = '[' }",
            "",
        ),
        (
            "[[request]]\npath = '/{{ id }}'",
            "no request before this one captures `id`",
            "'/{{ id }}'",
            "capture it",
        ),
        (
            "[[request]]\npath = '/'\n[request.capture]\nid = { json = '/id' }\n[[request]]\npath = '/{{ ix }}'",
            "captures `ix`",
            "'/{{ ix }}'",
            "there is `id`",
        ),
        (
            "[[request]]\npath = '/'\nexpect.json = { '/a' = ['{{ id }}'] }",
            "captures `id`",
            "['{{ id }}']",
            "",
        ),
        ("[[request]]\npath = '/{{ '", "has no `}}`", "'/{{ '", ""),
        ("[[request]\n", "", "", ""),
    ] {
        let said = wrong(text);
        let [(found, at, advice)] = &said[..] else { panic!("{text}: {said:?}") };
        assert!(found.contains(message), "{text}: {said:?}");
        assert!(place.is_empty() || at == place, "{text}: {said:?}");
        assert!(advice.contains(help), "{text}: {said:?}");
    }
}

/// Answers connections in turn with these bytes; returns the requests.
fn server(answers: Vec<&'static str>) -> (SocketAddr, thread::JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let serving = thread::spawn(move || {
        let mut requests = Vec::new();
        for answer in answers {
            let (mut stream, _) = listener.accept().unwrap();
            let mut bytes = vec![0; 1 << 16];
            let read = stream.read(&mut bytes).unwrap();
            requests.push(String::from_utf8_lossy(&bytes[..read]).into_owned());
            stream.write_all(answer.as_bytes()).unwrap();
        }
        requests
    });
    (addr, serving)
}

/// What is wrong with each request of a file, and what was sent.
fn ask_all(text: &str, answers: Vec<&'static str>) -> (Vec<Vec<String>>, Vec<String>) {
    let mut found = Diagnostics::default();
    let all = parse(&Source::new("t", text), &mut found);
    let all = all.unwrap_or_else(|| panic!("{found:?}"));
    let (addr, serving) = server(answers);
    let wrong = block_on(async {
        let mut captured = Captured::default();
        let mut wrong = Vec::new();
        for one in &all {
            wrong.push(ask(addr, one, &mut captured).await);
        }
        Ok(wrong)
    });
    (wrong.unwrap(), serving.join().unwrap())
}

const JSON: &str = "HTTP/1.1 201 Created\r\ncontent-type: application/json\r\nlocation: /books/7\r\n\
                    connection: close\r\n\r\n{\"id\": 7, \"tags\": [\"sea\", 1.0], \"none\": null}";
const TEXT: &str =
    "HTTP/1.1 404 Not Found\r\ncontent-length: 9\r\nx-a: 1\r\nx-a: 2\r\n\r\none\ntwo\nx";

#[test]
fn what_is_as_expected_passes_and_captures() {
    let text = r#"
        [[request]]
        method = "POST"
        path = "/books?x=1"
        headers = { Authorization = "Bearer x", host = "books.test" }
        json = { title = "Reefs", of = ["a", 1] }
        [request.expect]
        status = [200, 201]
        headers = { location = "/books/7" }
        headers-contain = { content-type = "json" }
        headers-absent = ["server", "x-powered-by"]
        body-contains = ["\"id\": 7"]
        body-matches = '"tags": \[.*\]'
        json = { "/id" = 7, "/tags/0" = "sea", "/tags" = ["sea", 1] }
        [request.capture]
        id = { json = "/id" }
        where = { header = "location" }
        tag = { body = '\["(\w+)"' }
        [[request]]
        path = "{{ where }}"
        method = "PUT"
        body = "{{ tag }} {{{{ }} {{ id }}"
        [request.expect]
        status = 404
        headers.x-a = "2"
        body = "one\ntwo\nx"
        [[request]]
        path = "/"
        expect.json = { "/id" = "{{ id }}", "/tags/0" = "{{ tag }}" }
    "#;
    let (wrong, sent) = ask_all(text, vec![JSON, TEXT, JSON]);
    assert_eq!(wrong, [[""; 0]; 3]);
    for part in [
        "POST /books?x=1 HTTP/1.1\r\n",
        "host: books.test\r\n",
        "content-type: application/json\r\n",
        "authorization: Bearer x\r\n",
    ] {
        assert!(sent[0].contains(part), "{part:?} is not in {}", sent[0]);
    }
    assert!(sent[1].starts_with("PUT /books/7 HTTP/1.1\r\n"), "{}", sent[1]);
}

#[test]
fn what_is_not_is_said_with_what_came() {
    for (expect, answer, said) in [
        ("", TEXT, "status: expected 200 to 299, got 404, with the body \"one\\ntwo\\nx\""),
        ("status = [200, 204]", TEXT, "status: expected 200 or 204, got 404, with the body"),
        ("headers = { x-a = '3' }", TEXT, "header x-a: expected \"3\", got \"1\", \"2\""),
        (
            "headers-contain = { x-b = '3' }",
            TEXT,
            "header x-b: expected something with \"3\", got none",
        ),
        ("headers-absent = 'x-a'", TEXT, "header x-a: expected none, got \"1\""),
        ("body = 'one'", TEXT, "body, line 1: expected \"one\", got \"one\\n\""),
        ("body = \"one\\ntwo\\n\"", TEXT, "body, line 3: expected its end, got \"x\""),
        ("body = '{}'", JSON, "body: expected \"{}\", got \"{\\\"id\\\""),
        ("body-contains = 'three'", TEXT, "body: expected something with \"three\", got \"one"),
        ("body-matches = '^x'", TEXT, "body: expected what `^x` matches, got \"one"),
        ("json = { '/a' = 1 }", TEXT, "body: expected JSON, got \"one"),
        ("json = { '/id' = '7' }", JSON, "json /id: expected \"7\", got 7"),
        ("json = { '/tags' = ['sea'] }", JSON, "json /tags: expected [\"sea\"], got [\"sea\",1.0]"),
        ("json = { '/no' = 1 }", JSON, "json /no: expected 1, got nothing there in {\"id\":7"),
    ] {
        let status = if answer == TEXT && !expect.contains("status") && !expect.is_empty() {
            "status = 404"
        } else {
            ""
        };
        let text = format!("[[request]]\npath = '/'\n[request.expect]\n{status}\n{expect}\n");
        let (wrong, _) = ask_all(&text, vec![answer]);
        assert_eq!(wrong[0].len(), 1, "{expect}: {wrong:?}");
        assert!(wrong[0][0].starts_with(said), "{expect}: {wrong:?}");
    }
}

#[test]
fn a_value_that_was_not_captured_fails_whoever_needs_it() {
    let text = "
        [[request]]
        path = '/'
        [request.expect]
        status = 404
        [request.capture]
        id = { json = '/id' }
        [[request]]
        path = '/{{ id }}'
    ";
    let (wrong, sent) = ask_all(text, vec![TEXT]);
    assert!(wrong[0][0].starts_with("`id` cannot be captured: the body is not JSON"), "{wrong:?}");
    assert!(wrong[1][0].starts_with("`id` is not known"), "{wrong:?}");
    assert_eq!(sent.len(), 1);
}

#[test]
fn an_answer_that_does_not_come_whole_is_no_answer() {
    let request = "[[request]]\npath = '/'\nwithin = '200ms'";
    let (wrong, _) = ask_all(request, vec!["HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\none"]);
    assert!(wrong[0][0].contains("broke off"), "{wrong:?}");
    let mut found = Diagnostics::default();
    let all = parse(&Source::new("t", request), &mut found).unwrap();
    // Takes connections, and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = silent.local_addr().unwrap();
    let wrong = block_on(async { Ok(ask(addr, &all[0], &mut Captured::default()).await) });
    assert_eq!(wrong.unwrap(), ["there was no whole answer within 200 ms"]);
}

proptest! {
    #[test]
    fn nothing_that_is_read_panics(
        fields in prop::collection::vec(
            prop_oneof![
                "(path|method|name|body|within|json|expect\\.(status|body|body-matches)|capture\\.a) = .{0,20}",
                "(path|body|expect\\.body|capture\\.a\\.json|expect\\.body-matches) = '[/a{}\\[(*+?~ ]{0,12}'",
                "expect\\.json = \\{ '[/~a.]{0,5}' = ('[{} a]{0,6}'|1|true|\\[\\]) \\}",
            ],
            0..6,
        ),
    ) {
        let text = format!("[[request]]\n{}\n", fields.join("\n"));
        let mut found = Diagnostics::default();
        let read = parse(&Source::new("t", &*text), &mut found);
        prop_assert_eq!(read.is_none(), found.has_errors(), "{}", text);
        prop_assert!(found.iter().all(|one| !one.message().is_empty()));
    }
}
