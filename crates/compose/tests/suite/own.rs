//! Parts whose imports stay their own.

use reef_compose::{ComposeError, Own, Plug, check_no_own, own_import, plug};

use crate::guests::{MATH, component, link, part, seen, wasi};

fn packages() -> String {
    format!("{MATH}{}", wasi("0.2.6"))
}

fn own<'a>(part: u32, imports: &'a [String], name: &'a str, bytes: &'a [u8]) -> Plug<'a> {
    let own = Some(Own { part, imports });
    Plug { inherit: false, own, ..link("acme:math", name, bytes) }
}

fn library() -> Vec<u8> {
    component(
        "export acme:math/sub@1.2.0; import acme:math/sub@1.2.0;
         import wasi:filesystem/preopens@0.2.6; import wasi:cli/environment@0.2.6;",
        &packages(),
    )
}

fn handler() -> Vec<u8> {
    component(
        "import acme:math/sub@1.2.0; import wasi:filesystem/preopens@0.2.6; export serve: func();",
        &packages(),
    )
}

#[test]
fn an_import_of_a_part_stays_beside_that_of_the_handler() {
    let imports = ["wasi:filesystem".to_owned(), "acme:math".to_owned()];
    let (handler, library) = (handler(), library());
    let made = plug(part("h", &handler), &[own(7, &imports, "l", &library)]).unwrap();
    let named = seen(&made).0;
    for name in [
        "wasi:filesystem/preopens@0.2.6",
        "reef-part7-wasi:filesystem/preopens@0.2.6",
        // What it exports and imports: the handler has the one, the host the other.
        "reef-part7-acme:math/sub@1.2.0",
    ] {
        assert!(named.contains(&name.to_owned()), "{name}: {named:?}");
    }
    // What is not its own is refused as ever.
    assert!(!named.iter().any(|name| name.contains("environment")), "{named:?}");
    // Composed once more, they are left as they are.
    let outer = component("import serve: func(); export again: func();", "");
    let inner = Plug { inherit: false, ..link("serve", "i", &made) };
    let named = seen(&plug(part("o", &outer), &[inner]).unwrap()).0;
    assert!(named.contains(&"reef-part7-acme:math/sub@1.2.0".to_owned()), "{named:?}");
}

#[test]
fn another_part_does_not_reach_through_it_what_it_was_not_granted() {
    let imports = ["wasi:filesystem".to_owned()];
    let base = component(
        "export acme:math/sub@1.2.0; import wasi:filesystem/preopens@0.2.6;",
        &packages(),
    );
    let other = component("export acme:log/log@0.1.0; import acme:math/sub@1.2.0;", &packages());
    let handler = component(
        "import acme:math/sub@1.2.0; import acme:log/log@0.1.0; export serve: func();",
        &packages(),
    );
    let log = Plug { inherit: false, ..link("acme:log", "log", &other) };
    let error = plug(part("h", &handler), &[own(1, &imports, "b", &base), log]).unwrap_err();
    assert!(matches!(error, ComposeError::Unlinked { .. }), "{error}");
}

#[test]
fn names_of_parts_are_read_and_refused_where_nobody_composed() {
    let name = "reef-part12-wasi:keyvalue/store@0.2.0-draft2";
    assert_eq!(own_import(name), Some((12, "wasi:keyvalue/store@0.2.0-draft2")));
    for other in ["wasi:keyvalue/store", "reef-part-x", "reef-partx-wasi:io/poll", "reef-part9"] {
        assert_eq!(own_import(other), None, "{other}");
    }
    check_no_own("guest", ["wasi:io/poll@0.2.6".to_owned()]).unwrap();
    let error = check_no_own("guest", [name.to_owned()]).unwrap_err();
    assert!(error.to_string().contains(name), "{error}");
}
