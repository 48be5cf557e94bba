//! Stands between a handler and the library that it is linked to: it has the same interfaces on both sides, and whatever is
//! added comes out twice as large.

wit_bindgen::generate!({ world: "middle", path: "wit" });

use acme::math::{add as inner, reach as behind};
use exports::acme::math::{add, reach};

struct Middle;

export!(Middle);

fn inner_sum(a: i64, b: i64) -> Result<i64, String> {
    let number = |value| inner::Number { value };
    inner::add(number(a), number(b)).map(|sum| sum.value)
}

impl add::Guest for Middle {
    fn add(a: add::Number, b: add::Number) -> Result<add::Number, String> {
        let once = inner_sum(a.value, b.value)?;
        Ok(add::Number { value: inner_sum(once, once)? })
    }

    fn negate(a: add::Number) -> add::Number {
        add::Number { value: inner::negate(inner::Number { value: a.value }).value }
    }
}

impl reach::Guest for Middle {
    fn variable(name: String) -> Option<String> {
        behind::variable(&name)
    }

    fn read(path: String) -> Result<String, String> {
        behind::read(&path)
    }

    fn connect(address: String) -> Result<String, String> {
        behind::connect(&address)
    }
}
