//! Prints the report of a file: `cargo run -p reef-artifact --example inspect -- x.wasm`.
//! A second argument of `json`, `wit` or `wat` prints that instead; `time` times the quick reading.

use std::io::{self, Write};

use reef_artifact::{Artifact, report};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().ok_or("name a .wasm or .wat file")?;
    let bytes = std::fs::read(&path)?;
    let out = &mut io::BufWriter::new(io::stdout().lock());
    let start = std::time::Instant::now();
    let artifact = Artifact::read(&path, bytes)?;
    let quick = start.elapsed();
    match arguments.next().as_deref() {
        None => report::human(out, &artifact.inspect()?)?,
        Some("json") => report::json(out, &artifact.inspect()?, None)?,
        Some("wit") => out.write_all(artifact.wit()?.as_bytes())?,
        Some("wat") => artifact.write_wat(out)?,
        Some("time") => {
            let start = std::time::Instant::now();
            artifact.inspect()?;
            writeln!(out, "read {quick:?}, inspect {:?}", start.elapsed())?;
        }
        Some(other) => return Err(format!("{other} is none of json, wit, wat, time").into()),
    }
    Ok(out.flush()?)
}
