//! Imports satisfied by exports.

use reef_compose::{ComposeError, Plug, plug};

use crate::guests::{MATH, component, link, part, seen, text, wasi};

fn handler() -> Vec<u8> {
    let world = "import acme:math/add@1.2.0; export run: func();";
    component(world, MATH)
}

fn library() -> Vec<u8> {
    component("export acme:math/add@1.2.0;", MATH)
}

fn of_version(version: &str) -> String {
    MATH.replace("acme:math@1.2.0", &format!("acme:math@{version}"))
}

#[test]
fn an_import_is_satisfied_by_name_by_version_and_by_package() {
    let (handler, library) = (handler(), library());
    for import in ["acme:math/add", "acme:math/add@1.2.0", "acme:math/add@1.0.0", "acme:math"] {
        let made = plug(part("h", &handler), &[link(import, "l", &library)]).unwrap();
        let (imports, exports) = seen(&made);
        // What is left describes a record.
        assert_eq!(
            (imports, exports),
            (vec!["acme:math/numbers@1.2.0".into()], vec!["run".into()])
        );
    }
}

#[test]
fn a_package_satisfies_each_of_its_interfaces() {
    let handler = component(
        "import acme:math/add@1.2.0; import acme:math/sub@1.2.0; import acme:log/log@0.1.0;
         export run: func();",
        MATH,
    );
    let library = component("export acme:math/add@1.2.0; export acme:math/sub@1.2.0;", MATH);
    let made = plug(part("h", &handler), &[link("acme:math", "l", &library)]).unwrap();
    assert_eq!(seen(&made).0, ["acme:log/log@0.1.0", "acme:math/numbers@1.2.0"]);
}

#[test]
fn a_function_of_the_world_is_linked_by_its_name() {
    let handler = component("import greet: func(who: string) -> string; export run: func();", "");
    let library = component("export greet: func(who: string) -> string;", "");
    let made = plug(part("h", &handler), &[link("greet", "l", &library)]).unwrap();
    assert_eq!(seen(&made), (vec![], vec!["run".to_owned()]));
    let other = component("export hello: func(who: string) -> string;", "");
    let link = Plug { export: Some("hello"), ..link("greet", "l", &other) };
    assert_eq!(seen(&plug(part("h", &handler), &[link]).unwrap()).0, Vec::<String>::new());
}

#[test]
fn an_export_may_have_another_name() {
    let packages = format!("{MATH}{}", MATH.replace("acme:", "other:"));
    let library = component("export other:math/add@1.2.0;", &packages);
    for export in ["other:math/add", "other:math/add@1.2.0", "other:math"] {
        let link = Plug { export: Some(export), ..link("acme:math/add", "l", &library) };
        let made = plug(part("h", &handler()), &[link]).unwrap();
        assert!(!seen(&made).0.iter().any(|name| name.contains("/add")), "{export}");
    }
}

#[test]
fn compatible_versions_stand_in_for_each_other_and_others_do_not() {
    let handler = handler();
    for (version, fits) in [("1.2.6", true), ("1.1.0", true), ("2.0.0", false), ("0.9.0", false)] {
        let library = component(&format!("export acme:math/add@{version};"), &of_version(version));
        let made = plug(part("h", &handler), &[link("acme:math/add", "lib", &library)]);
        match made {
            Ok(made) => {
                assert!(fits, "{version}");
                assert!(!seen(&made).0.iter().any(|name| name.contains("/add")), "{version}");
            }
            Err(error) => {
                assert!(!fits, "{version}: {error}");
                assert_eq!(
                    text(error),
                    format!(
                        "`h` imports `acme:math/add@1.2.0`, and `lib`, to which that is linked, \
                         exports `acme:math/add@{version}`: these versions are not compatible\n  \
                         build one of the two against the other's version"
                    )
                );
            }
        }
    }
}

#[test]
fn what_is_shared_is_imported_once_at_the_newest_version() {
    let old = format!("{MATH}{}", wasi("0.2.3"));
    let new = format!("{MATH}{}", wasi("0.2.6"));
    let handler = component(
        "import acme:math/sub@1.2.0; import wasi:filesystem/types@0.2.3; export run: func();",
        &old,
    );
    let library = component(
        "export acme:math/sub@1.2.0; import wasi:cli/stdin@0.2.6; import wasi:cli/exit@0.2.6;",
        &new,
    );
    let made = plug(part("h", &handler), &[link("acme:math/sub", "l", &library)]).unwrap();
    let imports = [
        "wasi:cli/exit@0.2.6",
        "wasi:cli/stdin@0.2.6",
        "wasi:filesystem/types@0.2.3",
        "wasi:io/streams@0.2.6",
    ];
    assert_eq!(seen(&made).0, imports);
}

#[test]
fn plugs_stand_on_each_other_and_one_component_is_there_once() {
    let handler = component("import acme:math/sub@1.2.0; export run: func();", MATH);
    let sub = component("import acme:log/log@0.1.0; export acme:math/sub@1.2.0;", MATH);
    let log = component("export acme:log/log@0.1.0;", MATH);
    let plugs = [link("acme:log", "log", &log), link("acme:math", "sub", &sub)];
    assert_eq!(seen(&plug(part("h", &handler), &plugs).unwrap()).0, Vec::<String>::new());

    let two = component(
        "import acme:math/sub@1.2.0; import acme:log/log@0.1.0; export run: func();",
        MATH,
    );
    let both = component("export acme:math/sub@1.2.0; export acme:log/log@0.1.0;", MATH);
    let plugs = [link("acme:log", "a", &both), link("acme:math", "b", &both)];
    let made = plug(part("h", &two), &plugs).unwrap();
    assert!(made.len() < two.len() + both.len() * 3 / 2, "the component is there twice");
}

#[test]
fn components_that_need_each_other_are_named() {
    let handler = component("import acme:math/sub@1.2.0; export run: func();", MATH);
    let sub = component("import acme:log/log@0.1.0; export acme:math/sub@1.2.0;", MATH);
    let log = component("import acme:math/sub@1.2.0; export acme:log/log@0.1.0;", MATH);
    let plugs = [link("acme:log", "log", &log), link("acme:math", "sub", &sub)];
    let error = plug(part("h", &handler), &plugs).unwrap_err();
    assert!(text(error).contains("`sub` → `log` → `sub`"));
}

#[test]
fn what_is_not_there_is_named_with_what_is() {
    let (handler, library) = (handler(), library());
    let failed = |plugs: &[Plug<'_>]| text(plug(part("h", &handler), plugs).unwrap_err());

    let message = failed(&[link("acme:math/ad", "l", &library)]);
    assert!(message.contains("`h` does not import `acme:math/ad`"), "{message}");
    assert!(message.contains("did you mean `acme:math/add@1.2.0`?"), "{message}");

    let other = component("export acme:math/sub@1.2.0;", MATH);
    let message = failed(&[link("acme:math/add", "l", &other)]);
    assert!(message.contains("`l`, to which that is linked, does not export"), "{message}");
    assert!(message.contains("it exports `acme:math/sub@1.2.0`"), "{message}");

    let misspelt = Plug { export: Some("acme:math/ad"), ..link("acme:math/add", "l", &library) };
    let message = failed(&[misspelt]);
    assert!(message.contains("did you mean `acme:math/add@1.2.0`?"), "{message}");

    let twice = [link("acme:math/add", "a", &library), link("acme:math", "b", &handler)];
    let error = plug(part("h", &handler), &twice).unwrap_err();
    assert!(matches!(error, ComposeError::NoExport { .. }), "{error}");
    let copy = component("export acme:math/add@1.2.0; export more: func();", MATH);
    let twice = [link("acme:math/add", "a", &library), link("acme:math", "b", &copy)];
    let message = failed(&twice);
    assert!(message.contains("is linked to `a` and to `b`"), "{message}");
}

#[test]
fn an_older_export_is_enough_unless_something_is_missing() {
    let more = of_version("1.3.0").replace("sub: func(", "negate: func(a: s64) -> s64; sub: func(");
    let handler = component("import acme:math/sub@1.3.0; export run: func();", &more);
    let library = component("export acme:math/sub@1.2.0;", MATH);
    let error = plug(part("h", &handler), &[link("acme:math", "l", &library)]).unwrap_err();
    assert!(matches!(error, ComposeError::Incomplete { .. }));
    assert!(text(error).contains("exports `acme:math/sub@1.2.0` without `negate`"));
}

#[test]
fn types_that_do_not_fit_are_found() {
    let handler = component("import acme:math/sub@1.2.0; export run: func();", MATH);
    let library =
        component("export acme:math/sub@1.2.0;", &MATH.replace("s64) -> s64", "s64) -> u8"));
    let error = plug(part("h", &handler), &[link("acme:math", "l", &library)]).unwrap_err();
    assert!(matches!(error, ComposeError::Mismatch { .. }), "{error}");
    assert!(text(error).starts_with("`h`, `l` do not fit together: "));
}

#[test]
fn resources_of_a_library_pass_to_the_handler() {
    let packages = "package acme:db@1.0.0 {
        interface types { resource row { text: func() -> string; } }
        interface db { use types.{row}; query: func(sql: string) -> result<list<row>, string>; }
    }";
    let handler = component("import acme:db/db@1.0.0; export run: func();", packages);
    let library = component("export acme:db/types@1.0.0; export acme:db/db@1.0.0;", packages);
    let made = plug(part("h", &handler), &[link("acme:db", "l", &library)]).unwrap();
    assert_eq!(seen(&made).0, Vec::<String>::new());
}

#[test]
fn the_same_input_gives_the_same_output() {
    let (handler, library) = (handler(), library());
    let make = || plug(part("h", &handler), &[link("acme:math", "l", &library)]).unwrap();
    assert_eq!(make(), make());
}
