#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;

/// An invoice as the specification writes one.
fn invoice(more: &str) -> String {
    let (page, first, second) = ("aa".repeat(32), "bb".repeat(32), "cc".repeat(32));
    format!(
        r#"
        bindleVersion = "1.0.0"
        {more}
        [bindle]
        name = "example.com/shop"
        version = "0.1.0"
        authors = ["Somebody <somebody@example.com>"]
        [annotations]
        engine = "any"
        [[group]]
        name = "server"
        satisfiedBy = "allOf"
        [[parcel]]
        label.sha256 = "{page}"
        label.mediaType = "text/html"
        label.name = "index.html"
        label.size = 3
        [[parcel]]
        label.sha256 = "{first}"
        label.mediaType = "application/wasm"
        label.name = "server.wasm"
        label.size = 4
        conditions.memberOf = ["server"]
        [[parcel]]
        label.sha256 = "{second}"
        label.mediaType = "application/wasm"
        label.name = "shop.wasm"
        label.size = 5
        [parcel.label.feature.wagi]
        route = "/"
        "#
    )
}

#[test]
fn the_first_wasm_without_a_condition_is_taken() {
    let invoice = Invoice::parse(invoice("").as_bytes()).unwrap();
    let parcel = invoice.wasm().unwrap();
    assert_eq!((&*parcel.name, parcel.size), ("shop.wasm", 5));
    assert_eq!(invoice.id.to_string(), "example.com/shop/0.1.0");
    let path = crate::parcel_path(&invoice.id, parcel);
    assert_eq!(path, format!("/_i/example.com/shop/0.1.0@{}", "cc".repeat(32)));
}

#[test]
fn what_was_yanked_is_refused() {
    let text = invoice("yanked = true\nyanked_reason = 'it leaks'");
    let refused = Invoice::parse(text.as_bytes()).unwrap().wasm().unwrap_err();
    assert_eq!(refused, ParcelError::Yanked(Some("it leaks".to_owned())));
    assert!(refused.to_string().contains("it leaks"));
    // A terminal does as it is told: not by somebody else's invoice.
    let hostile = invoice("yanked = true\nyanked_reason = \"\\u001b]0;owned\\u0007\"");
    let said = Invoice::parse(hostile.as_bytes()).unwrap().wasm().unwrap_err().to_string();
    assert!(said.contains("owned") && !said.contains(char::is_control), "{said:?}");
}

#[test]
fn what_is_not_wasm_is_named() {
    let text = invoice("").replace("application/wasm", "application/x-wat");
    let refused = Invoice::parse(text.as_bytes()).unwrap().wasm().unwrap_err().to_string();
    assert!(refused.contains("index.html (text/html)"), "{refused}");
    assert!(refused.contains("server.wasm (application/x-wat, with a condition)"), "{refused}");
}

#[test]
fn what_is_no_invoice_is_refused() {
    for (text, part) in [
        (String::new(), "bindleVersion"),
        ("<html>".to_owned(), "not an invoice"),
        (invoice("").replace("1.0.0", "9.0.0"), "version `9.0.0`"),
        (invoice("").replace("0.1.0", "0.1"), "not a whole version"),
        (invoice("").replace(&"aa".repeat(32), "e1706ab0"), "`index.html` has `e1706ab0`"),
        (invoice("").replace("label.size = 3", "label.size = -1"), "not an invoice"),
    ] {
        let error = Invoice::parse(text.as_bytes()).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }
    assert_eq!(Invoice::parse(&vec![b'#'; LARGEST + 1]), Err(InvoiceError::Large));
}
