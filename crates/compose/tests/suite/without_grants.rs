//! Parts that do not inherit.

use reef_compose::{ComposeError, Layer, Plug, in_front, plug};

use crate::guests::{MATH, component, link, part, seen, text, wasi};

fn packages() -> String {
    format!("{MATH}{}", wasi("0.2.6"))
}

fn handler() -> Vec<u8> {
    component(
        "import acme:math/sub@1.2.0; import wasi:cli/environment@0.2.6; export serve: func();",
        &packages(),
    )
}

fn denied<'a>(import: &'a str, name: &'a str, bytes: &'a [u8]) -> Plug<'a> {
    Plug { inherit: false, ..link(import, name, bytes) }
}

#[test]
fn a_part_without_the_grants_leaves_no_import_that_reaches_them() {
    let library = component(
        "export acme:math/sub@1.2.0;
         import wasi:filesystem/preopens@0.2.6;
         import wasi:sockets/instance-network@0.2.6;
         import wasi:http/outgoing-handler@0.2.6;
         import wasi:cli/environment@0.2.6;
         import wasi:cli/exit@0.2.6;",
        &packages(),
    );
    let inherits = plug(part("h", &handler()), &[link("acme:math", "l", &library)]).unwrap();
    assert!(seen(&inherits).0.contains(&"wasi:filesystem/preopens@0.2.6".to_owned()));
    let made = plug(part("h", &handler()), &[denied("acme:math", "l", &library)]).unwrap();
    assert_eq!(
        seen(&made).0,
        // The environment is the handler's.
        ["wasi:cli/environment@0.2.6", "wasi:http/types@0.2.6", "wasi:io/streams@0.2.6"]
    );
}

#[test]
fn a_command_keeps_its_standard_input() {
    let library =
        component("export acme:math/sub@1.2.0; import wasi:cli/stdin@0.2.6;", &packages());
    let imports = |handler: &[u8]| {
        let made = plug(part("h", handler), &[denied("acme:math", "l", &library)]).unwrap();
        seen(&made).0
    };
    assert!(imports(&handler()).contains(&"wasi:cli/stdin@0.2.6".to_owned()));
    let command = component("import acme:math/sub@1.2.0; export wasi:cli/run@0.2.6;", &packages());
    assert!(!imports(&command).contains(&"wasi:cli/stdin@0.2.6".to_owned()));
}

#[test]
fn a_library_that_nobody_linked_is_not_replaced_by_a_refusal() {
    let library = component("export acme:math/sub@1.2.0; import acme:log/log@0.1.0;", &packages());
    let handler = handler();
    let error = plug(part("h", &handler), &[denied("acme:math", "l", &library)]).unwrap_err();
    assert!(matches!(error, ComposeError::Unlinked { .. }));
    assert_eq!(
        text(error),
        "`l` imports `acme:log/log@0.1.0`, which no link satisfies, and it does not inherit the \
         grants\n  link them, or set `inherit = true` to let it have what its workload has"
    );
    // Linked it is, unless what is linked would lend it grants.
    let log = component("export acme:log/log@0.1.0;", MATH);
    let sub = denied("acme:math", "l", &library);
    assert!(plug(part("h", &handler), &[sub, denied("acme:log", "log", &log)]).is_ok());
    let error = plug(part("h", &handler), &[sub, link("acme:log", "log", &log)]).unwrap_err();
    assert!(matches!(error, ComposeError::NoImport { .. }), "{error}");
}

#[test]
fn middleware_without_the_grants_is_cut_off_too() {
    let world = "import wasi:filesystem/preopens@0.2.6; import wasi:http/incoming-handler@0.2.6;
                 export wasi:http/incoming-handler@0.2.6;";
    let front = component(world, &wasi("0.2.6"));
    let handler = component("export wasi:http/incoming-handler@0.2.6;", &wasi("0.2.6"));
    let layer = |bytes| Layer { component: part("l", bytes), inherit: false };
    let made = in_front(&[layer(&front)], layer(&handler)).unwrap();
    assert_eq!(seen(&made).0, ["wasi:http/types@0.2.6", "wasi:io/streams@0.2.6"]);
}
