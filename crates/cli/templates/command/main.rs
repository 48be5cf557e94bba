//! A command on a stream: reads lines from standard input and writes each back, numbered. It ends when
//! its input does.

use std::io::{self, Write};

fn main() -> io::Result<()> {
    let mut out = io::stdout().lock();
    for (number, line) in io::stdin().lines().enumerate() {
        writeln!(out, "{}: {}", number + 1, line?)?;
        // Whoever waits for an answer has it now.
        out.flush()?;
    }
    Ok(())
}
