#![allow(clippy::unwrap_used, reason = "tests")]

use proptest::prelude::*;

use super::{Call, Source};

fn read(text: &str) -> Call {
    text.parse().unwrap()
}

fn arguments(call: &Call) -> Vec<&str> {
    call.arguments().iter().map(|argument| call.text(argument)).collect()
}

#[test]
fn names_and_arguments_are_told_apart() {
    for (text, name, expected) in [
        ("crash", "crash", vec![]),
        (" crash ( ) ", "crash", vec![]),
        ("add(1, 2)", "add", vec!["1", "2"]),
        ("add(1,2,)", "add", vec!["1", "2"]),
        ("docs:adder/add@0.1.0#add(-1, 0x2)", "docs:adder/add@0.1.0#add", vec!["-1", "0x2"]),
        (
            r#"f({name: "a, (b", tags: ["]", '"']}, "\"),", ',')"#,
            "f",
            vec![r#"{name: "a, (b", tags: ["]", '"']}"#, r#""\"),""#, "','"],
        ),
        ("f(\"\"\"\na, \"b\"\n\"\"\", 1)", "f", vec!["\"\"\"\na, \"b\"\n\"\"\"", "1"]),
        ("f(1 // one, two\n, 2)", "f", vec!["1 // one, two", "2"]),
    ] {
        let call = read(text);
        assert_eq!(call.name(), name, "{text}");
        assert_eq!(arguments(&call), expected, "{text}");
    }
}

#[test]
fn sources_are_read() {
    let sources = |text: &str| {
        read(text).arguments().iter().map(|argument| argument.source.clone()).collect::<Vec<_>>()
    };
    assert_eq!(sources("f(@photo (1).jpg)"), [Some(Source::File("photo (1).jpg".into()))]);
    assert_eq!(sources("f( @- , 1)"), [Some(Source::Stdin), None]);
    assert_eq!(
        sources(r#"f(@"a, \"b\".jpg" , @c)"#),
        [Some(Source::File("a, \"b\".jpg".into())), Some(Source::File("c".into())),]
    );
    assert_eq!(
        sources("f(@https://example.com/a?b=(c)//d)"),
        [Some(Source::Url("https://example.com/a?b=(c)//d".into()))]
    );
    assert_eq!(sources("f(\"@photo.jpg\")"), [None]);
}

#[test]
fn what_is_wrong_is_pointed_at() {
    for (text, expected) in [
        ("", "a call begins with the name of a function, such as 'add(1, 2)'"),
        ("(1)", "a call begins with the name of a function, such as 'add(1, 2)'"),
        ("add(1", "a call ends with `)`\n  add(1\n       ^"),
        ("add(1) 2", "a call ends with `)`\n  add(1) 2\n          ^"),
        ("f([1, 2)", "`[` has no partner\n  f([1, 2)\n    ^"),
        ("f(1])", "`]` has no partner\n  f(1])\n     ^"),
        ("f(\"a)", "`\"` has no partner\n  f(\"a)\n    ^"),
        ("f(1,,2)", "an argument is missing\n  f(1,,2)\n      ^"),
        (
            "f(@)",
            "not a source; write @path, @\"a quoted path\", @- for standard input or @https://…\n  \
             f(@)\n    ^",
        ),
    ] {
        assert_eq!(text.parse::<Call>().unwrap_err().to_string(), expected, "{text}");
    }
}

fn wave() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        "-?[0-9]{1,5}",
        "[a-z]{1,6}",
        r#""([^\\"\n]|\\["nt]){0,8}""#,
        r"'([^\\'\n]|\\[nt'])'",
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(|v| format!("[{}]", v.join(","))),
            prop::collection::vec(inner.clone(), 1..4).prop_map(|v| format!("({})", v.join(", "))),
            ("[a-z]{1,4}", inner.clone()).prop_map(|(k, v)| format!("{{{k}: {v}}}")),
            ("[a-z]{1,4}", inner).prop_map(|(k, v)| format!("{k}({v})")),
        ]
    })
}

proptest! {
    #[test]
    fn arguments_come_back_as_they_were(
        name in "[a-z:/@.#-]{1,20}",
        given in prop::collection::vec(wave(), 0..5),
        gap in " {0,2}",
    ) {
        let call = read(&format!("{name}({gap}{}{gap})", given.join(&format!("{gap},{gap}"))));
        prop_assert_eq!(call.name(), name);
        prop_assert_eq!(arguments(&call), given);
    }

    #[test]
    fn no_text_panics(text in r#"[a-z(){}\[\]"'\\/@,\n é]{0,24}"#) {
        if let Err(error) = text.parse::<Call>() {
            let _ = error.to_string();
        }
    }

    #[test]
    fn no_text_whatsoever_panics(text: String) {
        if let Err(error) = text.parse::<Call>() {
            let _ = error.to_string();
        }
    }
}
