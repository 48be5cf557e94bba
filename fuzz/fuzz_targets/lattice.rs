//! No address of a lattice and no key panics; what is shown of an address is one again, and shows no password; what is
//! written of a key is that key.
#![no_main]

use libfuzzer_sys::fuzz_target;
use reef_lattice::{Address, Key};

fuzz_target!(|text: &str| {
    if let Ok(address) = text.parse::<Address>() {
        let shown = address.to_string();
        assert!(!shown.contains(['@', '?']), "{shown}");
        let again: Address = shown.parse().expect("what is shown is read");
        assert_eq!(again.to_string(), shown);
        assert_eq!(again.name(), address.name());
    }
    if let Ok(key) = Key::parse(text) {
        assert_eq!(Key::parse(key.as_str()).expect("what was written is read"), key);
        let tokens: Vec<_> = key.tokens().map(|token| token.into_owned()).collect();
        let tokens: Vec<_> = tokens.iter().map(String::as_str).collect();
        assert_eq!(Key::new(&tokens).expect("its tokens are tokens"), key);
    }
});
