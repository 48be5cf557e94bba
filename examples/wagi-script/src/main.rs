//! A CGI program for WebAssembly (WAGI): the server hands the request over in environment variables
//! and standard input, and takes headers, an empty line and a body from standard output.

use std::env;
use std::io::{self, Read};

/// Form data longer than this is cut off.
const MOST_INPUT: u64 = 64 << 10;

fn main() -> io::Result<()> {
    let method = env::var("REQUEST_METHOD").unwrap_or_default();
    let query = env::var("QUERY_STRING").unwrap_or_default();
    let mut form = String::new();
    io::stdin().take(MOST_INPUT).read_to_string(&mut form)?;

    let name = field(&form, "name").or_else(|| field(&query, "name"));
    println!("content-type: text/html; charset=utf-8");
    println!("status: 200");
    println!();
    println!("<!doctype html><title>Guest book</title>");
    match name {
        Some(name) => println!("<h1>Welcome, {}</h1>", escape(name)),
        None => println!("<h1>Who are you?</h1>"),
    }
    println!("<form method=post><input name=name><button>Sign</button></form>");
    println!("<p>You came by {}.</p>", escape(&method));
    Ok(())
}

/// The value of one field of a form such as `name=Ada&city=London`.
fn field<'a>(form: &'a str, key: &str) -> Option<&'a str> {
    let pairs = form.trim().split('&').filter_map(|pair| pair.split_once('='));
    pairs.filter(|(name, value)| *name == key && !value.is_empty()).map(|(_, value)| value).next()
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('+', " ")
}
