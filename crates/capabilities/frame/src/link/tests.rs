use super::*;
use crate::policy::Policy;

fn links(all: &[(&str, Option<&str>)]) -> Links<()> {
    let links = all.iter().map(|(name, place)| {
        let gate =
            Gate::new("app/w".into(), (*name).into(), ("key-value", "x"), Policy::default(), &[]);
        Arc::new(Link { place: place.map(Arc::from), gate, backend: Arc::new(()) })
    });
    Links::new("app/w".into(), "key-value", links.collect())
}

fn found(links: &Links<()>, selected: Option<&str>, name: &str) -> Option<(String, String)> {
    let found = links.find("wasi:keyvalue/store@0.2.0-draft", selected, name).ok();
    found.map(|(link, place)| (link.name().to_owned(), place.to_string()))
}

#[test]
fn a_name_is_a_link_first_and_then_a_place_in_one() {
    let some = links(&[("default", None), ("cache", Some("c1")), ("other", None)]);
    let is = |link: &str, place: &str| Some((link.to_owned(), place.to_owned()));
    assert_eq!(found(&some, None, "cache"), is("cache", "c1"));
    assert_eq!(found(&some, None, "orders"), is("default", "orders"));
    assert_eq!(found(&some, None, ""), is("default", ""));
    assert_eq!(found(&some, Some("other"), "cache"), is("other", "cache"));
    assert_eq!(found(&some, Some("cache"), "c1"), is("cache", "c1"));
    assert_eq!(found(&some, Some("cache"), "c2"), None, "the manifest says c1");
    assert_eq!(found(&some, Some("none"), "c2"), None);
}

#[test]
fn without_a_link_nothing_is_found_and_the_line_to_add_is_said() {
    let none = links(&[("default", Some("default"))]);
    let refused = none.find("wasi:keyvalue/store@0.2.0-draft", None, "orders").unwrap_err();
    assert_eq!(
        refused.to_string(),
        "app/w may not use `orders` of wasi:keyvalue: no link of it is called so; \
         add link = [{ import = \"wasi:keyvalue\", name = \"orders\", capability = \"key-value\" }]"
    );
}
