#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde::{Deserialize, Serialize};

use super::*;

#[derive(Debug, Deserialize, PartialEq)]
#[serde(rename_all = "kebab-case")]
struct Shop {
    name: At<String>,
    #[serde(default)]
    open: bool,
    #[serde(default)]
    shelves: Vec<Shelf>,
    #[serde(default)]
    owner: Many<String>,
    kind: Option<Kind>,
    #[serde(default)]
    labels: BTreeMap<String, At<String>>,
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(rename_all = "kebab-case")]
struct Shelf {
    length: u8,
    max_weight: Option<f64>,
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(rename_all = "kebab-case")]
enum Kind {
    Corner,
    Chain { branches: u32 },
}

fn read(text: &str, syntax: Syntax) -> (Option<Shop>, Vec<String>) {
    let source = Source::new("shop", text);
    let mut found = Diagnostics::default();
    let shop = match parse(&source, syntax) {
        Ok(node) => decode(&node, &mut found),
        Err(wrong) => {
            found.extend(wrong);
            None
        }
    };
    found.settle(&source);
    let said = found.iter().map(|diagnostic| {
        let (line, column) = diagnostic.line_and_column().unwrap_or_default();
        let help = diagnostic.help_text().map(|help| format!(" ({help})")).unwrap_or_default();
        format!("{line}:{column}: {diagnostic}{help}")
    });
    (shop, said.collect())
}

#[test]
fn the_same_document_in_each_syntax_is_the_same_value() {
    let toml = "name = 'Reef'\nopen = true\nowner = 'A'\nlabels.city = 'Oslo'\n\
        [kind.chain]\nbranches = 3\n[[shelves]]\nlength = 2\nmax-weight = 7\n";
    let yaml = "name: Reef\nopen: true\nowner: [A]\nlabels: {city: Oslo}\n\
        kind:\n  chain: {branches: 3}\nshelves:\n- length: 0x2\n  max-weight: 7.0\n";
    let json = r#"{"name": "Reef", "open": true, "owner": "A", "labels": {"city": "Oslo"},
        "kind": {"chain": {"branches": 3}}, "shelves": [{"length": 2, "max-weight": 7}]}"#;
    let (expected, said) = read(toml, Syntax::Toml);
    assert_eq!(said, Vec::<String>::new());
    let shop = expected.as_ref().unwrap();
    assert_eq!((shop.shelves[0].max_weight, &shop.owner[0][..]), (Some(7.0), "A"));
    for text in [yaml, json] {
        let (shop, said) = read(text, Syntax::Yaml);
        assert_eq!((&shop, said), (&expected, Vec::new()), "{text}");
    }
}

#[test]
fn places_are_those_of_the_text_also_after_letters_of_several_bytes() {
    for (text, syntax) in [
        ("# Fjærland\nlabels = { 'blåbær' = 'søt' }\nname = 'Ærø'\n", Syntax::Toml),
        ("# Fjærland\nlabels: { blåbær: 'søt' }\nname: 'Ærø'\n", Syntax::Yaml),
    ] {
        let shop = read(text, syntax).0.unwrap();
        assert_eq!(&text[shop.name.span().unwrap()], "'Ærø'");
        assert_eq!(&text[shop.labels["blåbær"].span().unwrap()], "'søt'");
    }
}

#[test]
fn every_unknown_field_is_named_with_the_nearest_known_one() {
    let text = "nam = 'a'\nname = 'b'\nShelves = []\nxyzzy = 1\n\
        [[shelves]]\nlength = 1\nmax_weigth = 2\n";
    let all = "`kind`, `labels`, `name`, `open`, `owner`, `shelves`";
    let (shop, said) = read(text, Syntax::Toml);
    assert_eq!(shop.unwrap().shelves.len(), 1, "the rest is read all the same");
    assert_eq!(
        said,
        [
            "1:1: `nam` is not a known field (did you mean `name`?)".to_owned(),
            "3:1: `Shelves` is not a known field (did you mean `shelves`?)".to_owned(),
            format!("4:1: `xyzzy` is not a known field (there is {all})"),
            "7:1: `max_weigth` is not a known field (did you mean `max-weight`?)".to_owned(),
        ]
    );
}

#[test]
fn everything_that_does_not_fit_is_found_at_once() {
    let text =
        "name = 1\nopen = 'yes'\nowner = [1, 'a', 2]\n[[shelves]]\nlength = 'x'\nlenght = 1\n";
    let (shop, said) = read(text, Syntax::Toml);
    assert_eq!(shop, None);
    assert_eq!(
        said,
        [
            "1:8: text is expected here, not the number 1",
            "2:8: true or false is expected here, not text",
            "3:10: text is expected here, not the number 1",
            "3:18: text is expected here, not the number 2",
            "5:10: a whole number is expected here, not text",
            "6:1: `lenght` is not a known field (did you mean `length`?)",
        ]
    );
    // What has to be there and does not fit hides nothing that comes after it.
    let text = "name = 1\n[[shelves]]\nlength = 'x'\n[[shelves]]\n[[shelves]]\nlength = 'y'\n";
    let (shop, said) = read(text, Syntax::Toml);
    assert_eq!(shop, None);
    assert_eq!(
        said,
        [
            "1:8: text is expected here, not the number 1",
            "3:10: a whole number is expected here, not text",
            "4:1: `length` is missing (add `length` here)",
            "6:10: a whole number is expected here, not text",
        ]
    );
}

#[test]
fn what_does_not_fit_is_said_at_its_place() {
    for (text, said) in [
        ("name = 3", "1:8: text is expected here, not the number 3"),
        ("name = 'a'\nshelves = [{ length = 300 }]", "2:23: 300 is too small or too large here"),
        ("name = 'a'\nshelves = 1", "2:11: a list is expected here, not the number 1"),
        ("name = 'a'\nshelves = [1]", "2:12: a table is expected here, not a whole number"),
        ("open = true", "1:1: `name` is missing (add `name` here)"),
        ("name = 'a'\nkind = 'cornor'", "2:8: `cornor` is not known here (did you mean `corner`?)"),
        ("name = 'a'\nkind.corner = 1", "2:15: this takes no value"),
        ("name = 'a'\nowner = [1]", "2:10: text is expected here, not the number 1"),
        ("name = 'a'\nname = 'b'", "2:1: duplicate key"),
        ("name = \n", "1:8: string values must be quoted, expected literal string"),
        ("name = 99999999999999999999", "1:8: this number is too large"),
    ] {
        let (_, found) = read(text, Syntax::Toml);
        assert_eq!(found.first().map(String::as_str), Some(said), "{text}");
    }
    for (text, said) in [
        ("name: [", "this is not YAML"),
        ("name: a\nname: b", "2:1: `name` is there twice"),
        ("name: a\n---\nname: b", "there is a second document in this file"),
        ("name: *nobody", "unknown anchor"),
        ("name: &a [*a]", "alias"),
        ("{[1]: 2}", "a name must be text"),
    ] {
        let (_, found) = read(text, Syntax::Yaml);
        assert!(found.first().is_some_and(|first| first.contains(said)), "{text}: {found:?}");
    }
}

#[test]
fn documents_are_bounded() {
    // A billion values of a few hundred bytes.
    let mut bomb = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n".to_owned();
    for n in 1..10 {
        let alias = format!("*a{}", n - 1);
        bomb += &format!("a{n}: &a{n} [{}]\n", vec![alias; 10].join(","));
    }
    let deep = |open: &str, close: &str| format!("{}{}", open.repeat(10_000), close.repeat(10_000));
    for (text, syntax, said) in [
        (bomb, Syntax::Yaml, "more than 200000 values"),
        (deep("[", "]"), Syntax::Yaml, "recursion limit"),
        (format!("{}x", "- ".repeat(100)), Syntax::Yaml, "nested deeper"),
        (format!("a = {}", deep("[", "]")), Syntax::Toml, ""),
        (" ".repeat(LARGEST + 1), Syntax::Toml, "a manifest has at most"),
        (" ".repeat(LARGEST + 1), Syntax::Yaml, "a manifest has at most"),
        (format!("a = [{}]", "1,".repeat(MOST_VALUES + 1)), Syntax::Toml, "more than 200000"),
    ] {
        let (shop, found) = read(&text, syntax);
        assert_eq!(shop, None);
        assert!(found[0].contains(said), "{found:?}");
    }
}

#[test]
fn a_profile_lies_over_what_is_there() {
    let node = |text: &str| parse(&Source::new("t", text), Syntax::Toml).unwrap();
    let mut base = node(
        "name = 'a'\ntags = ['x', 'y']\n[limits]\nmemory = 1\ncpu = 2\n\
         [[workload]]\nname = 'one'\nport = 1\n[[workload]]\nname = 'two'\nport = 2\n",
    );
    base.overlay(node(
        "tags = ['z']\nlimits.cpu = 3\n\
         [[workload]]\nname = 'two'\nport = 4\n[[workload]]\nname = 'three'\nport = 5\n",
    ));
    let text = |node: Option<&Node>| node.and_then(Node::as_str).map(str::to_owned);
    assert_eq!(text(base.get("name")), Some("a".to_owned()));
    let Value::Array(tags) = &base.get("tags").unwrap().value else { panic!("a list") };
    assert_eq!(tags.len(), 1);
    let limits = base.get("limits").unwrap();
    assert_eq!(limits.get("memory").unwrap().value, Value::Integer(1));
    assert_eq!(limits.get("cpu").unwrap().value, Value::Integer(3));
    let Value::Array(workloads) = &base.get("workload").unwrap().value else { panic!("a list") };
    let ports: Vec<_> = workloads
        .iter()
        .map(|w| (text(w.get("name")).unwrap(), w.get("port").unwrap().value.clone()))
        .collect();
    let expected = [("one", 1), ("two", 4), ("three", 5)]
        .map(|(name, port)| (name.to_owned(), Value::Integer(port)));
    assert_eq!(ports, expected);
}

/// What every syntax can say.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
enum Any {
    Bool(bool),
    Integer(i64),
    Text(String),
    Array(Vec<Any>),
    Table(BTreeMap<String, Any>),
}

impl Any {
    fn of(node: &Node) -> Self {
        match &node.value {
            Value::Bool(value) => Self::Bool(*value),
            Value::Integer(number) => Self::Integer(*number),
            Value::Text(text) => Self::Text(text.clone()),
            Value::Array(elements) => Self::Array(elements.iter().map(Self::of).collect()),
            Value::Table(entries) => Self::Table(
                entries.iter().map(|entry| (entry.key.clone(), Self::of(&entry.value))).collect(),
            ),
            other => panic!("{other:?} was not written"),
        }
    }
}

fn value() -> impl Strategy<Value = Any> {
    let leaf = prop_oneof![
        any::<bool>().prop_map(Any::Bool),
        any::<i64>().prop_map(Any::Integer),
        "\\PC{0,12}".prop_map(Any::Text),
        // What looks like something else.
        prop_oneof!["true", "~", "1e3", "0x1", "- a", "a: b", "'", "#", ""].prop_map(Any::Text),
    ];
    leaf.prop_recursive(4, 24, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Any::Array),
            prop::collection::btree_map("[a-zæ:#-]{1,6}", inner, 0..5).prop_map(Any::Table),
        ]
    })
}

proptest! {
    #[test]
    fn what_was_written_is_read(values in prop::collection::btree_map("[a-zæ:#-]{1,6}", value(), 0..6)) {
        let toml = ::toml::to_string(&values).unwrap();
        let json = serde_json::to_string_pretty(&values).unwrap();
        for (text, syntax) in [(toml, Syntax::Toml), (json, Syntax::Yaml)] {
            let node = parse(&Source::new("t", text.clone()), syntax);
            let node = node.map_err(|wrong| TestCaseError::fail(format!("{wrong:?}: {text}")))?;
            prop_assert_eq!(Any::of(&node), Any::Table(values.clone()), "{}", text);
        }
    }

    #[test]
    fn nothing_that_is_read_panics(text in "[a-z0-9 \\n\\t\\[\\]{}:#&*!|>'\"=.,æ-]{0,80}") {
        for syntax in [Syntax::Toml, Syntax::Yaml] {
            let (_, said) = read(&text, syntax);
            prop_assert!(said.iter().all(|said| !said.is_empty()));
        }
    }
}

#[test]
fn a_table_of_very_many_names_is_read_in_a_moment() {
    let names = 90_000;
    let text: String = (0..names).map(|name| format!("name{name}: 1\n")).collect();
    let source = Source::new("many.yaml", text);
    let Ok(Node { value: Value::Table(entries), .. }) = parse(&source, Syntax::Yaml) else {
        unreachable!("it is a table")
    };
    assert_eq!(entries.len(), names);
}
