//! A WAGI handler that streams the request body back with the content type it came with.

use std::io::Write;

fn main() -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    let kind = std::env::var("CONTENT_TYPE").ok().filter(|kind| !kind.is_empty());
    write!(out, "content-type: {}\n\n", kind.as_deref().unwrap_or("application/octet-stream"))?;
    std::io::copy(&mut std::io::stdin().lock(), &mut out)?;
    out.flush()
}
