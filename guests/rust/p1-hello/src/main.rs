//! A WASI 0.1 command that shows what it was granted: arguments, environment, standard input and
//! one directory. Its first argument chooses how it ends: a number is the exit status, `panic` panics.

use std::io::Read;

fn main() {
    println!("hello from rust");
    for (index, argument) in std::env::args().enumerate() {
        println!("arg {index}: {argument}");
    }
    let mut variables: Vec<_> = std::env::vars().collect();
    variables.sort();
    for (key, value) in variables {
        println!("env {key}={value}");
    }
    let mut input = String::new();
    match std::io::stdin().read_to_string(&mut input) {
        Ok(_) => println!("stdin: {} bytes: {}", input.len(), input.trim_end()),
        Err(error) => println!("stdin: {error}"),
    }
    match write_and_read("/data/out.txt") {
        Ok(text) => println!("file: {}", text.trim_end()),
        Err(error) => println!("file: refused: {error}"),
    }
    eprintln!("hello on standard error");

    match std::env::args().nth(1).as_deref() {
        Some("panic") => panic!("asked to panic"),
        Some(status) => std::process::exit(status.parse().unwrap_or(0)),
        None => {}
    }
}

fn write_and_read(path: &str) -> std::io::Result<String> {
    std::fs::write(path, "written by the guest\n")?;
    std::fs::read_to_string(path)
}
