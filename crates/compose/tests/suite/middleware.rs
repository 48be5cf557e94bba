//! Middleware in front of a handler.

use reef_compose::{ComposeError, Layer, in_front};

use crate::guests::{component, part, seen, text, wasi};

fn layer<'a>(name: &'a str, bytes: &'a [u8]) -> Layer<'a> {
    Layer { component: part(name, bytes), inherit: true }
}

fn middleware(version: &str) -> Vec<u8> {
    let world = format!(
        "import wasi:cli/environment@{version}; import wasi:http/incoming-handler@{version};
         export wasi:http/incoming-handler@{version};"
    );
    component(&world, &wasi(version))
}

fn handler(version: &str) -> Vec<u8> {
    let world = format!(
        "import wasi:http/outgoing-handler@{version}; export wasi:http/incoming-handler@{version};
         export health: func();"
    );
    component(&world, &wasi(version))
}

#[test]
fn the_types_of_requests_are_shared_and_the_first_one_is_exported() {
    let (first, handler) = (middleware("0.2.3"), handler("0.2.6"));
    let made = in_front(&[layer("auth", &first)], layer("app", &handler)).unwrap();
    let (imports, exports) = seen(&made);
    assert_eq!(
        imports,
        [
            "wasi:cli/environment@0.2.3",
            "wasi:http/outgoing-handler@0.2.6",
            "wasi:http/types@0.2.6",
            "wasi:io/streams@0.2.6"
        ]
    );
    assert_eq!(exports, ["wasi:http/incoming-handler@0.2.3"]);
}

#[test]
fn middleware_stands_in_a_row_and_the_same_may_stand_there_twice() {
    let (first, handler) = (middleware("0.2.6"), handler("0.2.6"));
    let chain = [layer("a", &first), layer("b", &first), layer("c", &first)];
    let made = in_front(&chain, layer("app", &handler)).unwrap();
    assert!(!seen(&made).0.iter().any(|name| name.contains("incoming-handler")));
    // And before what is composed already.
    let again = in_front(&chain, layer("chain", &made)).unwrap();
    assert!(!seen(&again).0.iter().any(|name| name.contains("incoming-handler")));
}

#[test]
fn middleware_of_0_3_works_alike() {
    let http = "package wasi:http@0.3.2 {
        interface types { resource request; resource response; variant error-code { other } }
        interface handler {
            use types.{request, response, error-code};
            handle: async func(request: request) -> result<response, error-code>;
        }
    }";
    let front = component("import wasi:http/handler@0.3.2; export wasi:http/handler@0.3.2;", http);
    let handler = component("export wasi:http/handler@0.3.2;", http);
    let made = in_front(&[layer("m", &front)], layer("app", &handler)).unwrap();
    let (imports, exports) = seen(&made);
    assert_eq!(imports, ["wasi:http/types@0.3.2"]);
    assert_eq!(exports, ["wasi:http/handler@0.3.2"]);
}

#[test]
fn without_middleware_nothing_changes() {
    let handler = handler("0.2.6");
    assert_eq!(in_front(&[], layer("app", &handler)).unwrap(), handler);
}

#[test]
fn what_is_no_middleware_is_refused() {
    let (front, handler) = (middleware("0.2.6"), handler("0.2.6"));
    let error = in_front(&[layer("app", &handler)], layer("app", &handler)).unwrap_err();
    assert!(text(error).starts_with("`app` is no middleware: it does not import"));
    let library = component("export run: func();", "");
    let error = in_front(&[layer("lib", &library)], layer("app", &handler)).unwrap_err();
    assert!(matches!(error, ComposeError::NotMiddleware { lacks: "export", .. }));
    let error = in_front(&[layer("m", &front)], layer("lib", &library)).unwrap_err();
    assert!(matches!(error, ComposeError::NoExport { .. }), "{error}");
    let error = in_front(&[], layer("lib", &library)).unwrap_err();
    assert!(text(error).contains("it exports `run`"));
}
