//! A script for the web (WAGI): it reads the request from environment variables and standard input, and
//! prints headers, an empty line and a body. It runs once for each request.

use std::{env, io};

fn main() -> io::Result<()> {
    let variable = |name: &str| env::var(name).unwrap_or_default();
    println!("Content-Type: text/plain; charset=utf-8");
    match (&*variable("REQUEST_METHOD"), &*variable("PATH_INFO")) {
        ("GET", "" | "/") => {
            println!();
            let query = variable("QUERY_STRING");
            println!("Hello, {}!", query.strip_prefix("name=").unwrap_or("world"));
        }
        ("POST", "/count") => {
            println!();
            println!("{} lines", io::stdin().lines().count());
        }
        _ => {
            println!("Status: 404 Not Found\n");
            println!("There is nothing here.");
        }
    }
    Ok(())
}
