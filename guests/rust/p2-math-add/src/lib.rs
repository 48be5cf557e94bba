//! A library component: an interface of its own, called by a handler that it is composed with, and
//! another that tells what the library can reach.

wit_bindgen::generate!({ world: "library", path: "wit" });

use exports::acme::math::{add, reach};

struct Library;

export!(Library);

impl add::Guest for Library {
    fn add(a: add::Number, b: add::Number) -> Result<add::Number, String> {
        let value = a.value.checked_add(b.value).ok_or("the sum is too large")?;
        Ok(add::Number { value })
    }

    fn negate(a: add::Number) -> add::Number {
        add::Number { value: a.value.wrapping_neg() }
    }
}

impl reach::Guest for Library {
    fn variable(name: String) -> Option<String> {
        std::env::var(name).ok()
    }

    fn read(path: String) -> Result<String, String> {
        std::fs::read_to_string(path).map_err(|error| error.to_string())
    }

    fn connect(address: String) -> Result<String, String> {
        let stream = std::net::TcpStream::connect(address).map_err(|error| error.to_string())?;
        stream.peer_addr().map(|peer| peer.to_string()).map_err(|error| error.to_string())
    }
}
