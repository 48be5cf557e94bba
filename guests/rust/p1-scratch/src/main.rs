//! A WAGI handler that does to files what its query says.

mod steps;

fn main() {
    let query = std::env::var("QUERY_STRING").unwrap_or_default();
    println!("content-type: text/plain\n\n{}", steps::all(&query));
}
