//! Two files of any content are composed to something valid, or refused with the name of one of them.
//! Their boundary is the length in the first four bytes.
#![no_main]

use std::borrow::Cow;

use libfuzzer_sys::fuzz_target;
use reef_compose::{ComposeError, Layer, Own, Part, Plug, componentize, in_front, plug, uncarried};

fn check(made: Result<Vec<u8>, ComposeError>) {
    match made {
        // What is made can be read again.
        Ok(bytes) => {
            let layer = Layer { component: Part { name: "made", bytes: &bytes }, inherit: true };
            if let Err(error) = in_front(&[], layer) {
                let named = error.to_string().contains("`made`");
                assert!(matches!(error, ComposeError::NoHandler { .. }) && named, "{error}");
            }
        }
        Err(error) => {
            let text = error.to_string();
            assert!(["`first", "`second"].iter().any(|name| text.contains(name)), "{text}");
        }
    }
}

fuzz_target!(|input: &[u8]| {
    let Some((length, bytes)) = input.split_first_chunk() else { return };
    let length = u32::from_le_bytes(*length) as usize % (bytes.len() + 1);
    let (first, second) = bytes.split_at(length);
    let first = Part { name: "first", bytes: first };
    let second = Part { name: "second", bytes: second };
    match componentize(first) {
        // A component comes back unread.
        Ok(Cow::Borrowed(_)) => {}
        made => check(made.map(Cow::into_owned)),
    }
    if let Err(error) = uncarried(first) {
        assert!(error.to_string().contains("`first"), "{error}");
    }
    let imports = ["acme:math".to_owned(), "wasi:cli".to_owned()];
    for inherit in [true, false] {
        for import in ["acme:math", "f", "wasi:cli/environment"] {
            let link = Plug { component: second, import, export: None, inherit, own: None };
            check(plug(first, &[link]));
            let own = Some(Own { part: 3, imports: &imports });
            check(plug(first, &[Plug { own, ..link }]));
        }
        let layer = |component| Layer { component, inherit };
        check(in_front(&[layer(first)], layer(second)));
    }
});
