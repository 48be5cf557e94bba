//! No invoice and no name of a bindle panics, and a name stays in its place in a path.
#![no_main]

use libfuzzer_sys::fuzz_target;
use reef_bindle::{Id, Invoice, invoice_path, parcel_path};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(invoice) = Invoice::parse(bytes)
        && let Ok(parcel) = invoice.wasm()
    {
        let path = parcel_path(&invoice.id, parcel);
        assert!(path.starts_with("/_i/") && path.is_ascii());
    }
    let Ok(text) = str::from_utf8(bytes) else { return };
    let Ok(id) = text.parse::<Id>() else { return };
    assert_eq!(id.to_string().parse::<Id>(), Ok(id.clone()));
    let path = invoice_path(&id);
    assert!(path.is_ascii());
    assert!(path.split('/').skip(1).all(|part| !matches!(part, "" | "." | "..")), "{path}");
    assert!(!path.contains(['?', '#', '@', ' ', '\\']));
});
