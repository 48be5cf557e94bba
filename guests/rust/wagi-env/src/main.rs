//! A WAGI (CGI over WASI 0.1) handler that answers with everything it was given: the environment,
//! the arguments and the request body.

use std::io::Read;

fn main() -> std::io::Result<()> {
    println!("content-type: text/plain");
    println!();
    let mut variables: Vec<_> = std::env::vars().collect();
    variables.sort();
    for (key, value) in variables {
        println!("env {key}={value}");
    }
    for (index, argument) in std::env::args().enumerate() {
        println!("arg {index}: {argument}");
    }
    let mut body = Vec::new();
    std::io::stdin().read_to_end(&mut body)?;
    println!("body: {} bytes: {}", body.len(), String::from_utf8_lossy(&body));
    Ok(())
}
