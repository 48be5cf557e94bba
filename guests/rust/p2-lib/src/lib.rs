//! A component that exports plain functions: what `reef run --invoke` calls with WAVE values.

wit_bindgen::generate!({ world: "library", path: "wit" });

struct Library;

export!(Library);

impl Guest for Library {
    fn add(a: i32, b: i32) -> i32 {
        a.wrapping_add(b)
    }

    fn greet(who: String) -> String {
        format!("hello, {who}")
    }

    fn divide(dividend: f64, divisor: f64) -> Result<f64, String> {
        if divisor == 0.0 { Err("division by zero".to_owned()) } else { Ok(dividend / divisor) }
    }

    fn total(numbers: Vec<u32>) -> u64 {
        numbers.into_iter().map(u64::from).sum()
    }

    fn first(words: Vec<String>) -> Option<String> {
        words.into_iter().next()
    }

    fn birthday(mut who: Person) -> Person {
        who.age += 1;
        who
    }

    fn area(of: Shape) -> f64 {
        match of {
            Shape::Circle(radius) => std::f64::consts::PI * radius * radius,
            Shape::Rectangle((width, height)) => width * height,
            Shape::Point => 0.0,
        }
    }

    fn crash() {
        core::arch::wasm32::unreachable()
    }
}
