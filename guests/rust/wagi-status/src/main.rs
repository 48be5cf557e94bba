//! A WAGI handler that answers as its query string says: `status=418` sets the status line,
//! `location=/elsewhere` redirects, `header=name:value` adds a header, `exit=N` ends with that exit
//! status after the answer, `raw=TEXT` prints TEXT (with `~` for a line break) in place of everything
//! else, and `silent` prints nothing at all.

fn main() {
    let query = std::env::var("QUERY_STRING").unwrap_or_default();
    let mut status = None;
    let mut headers = Vec::new();
    let mut exit = 0;
    for pair in query.split('&') {
        match pair.split_once('=').unwrap_or((pair, "")) {
            ("status", code) => status = Some(code.to_owned()),
            ("location", place) => headers.push(format!("location: {place}")),
            ("header", line) => headers.push(line.replacen(':', ": ", 1)),
            ("exit", code) => exit = code.parse().unwrap_or(1),
            ("raw", text) => {
                print!("{}", text.replace('~', "\n"));
                return;
            }
            ("silent", _) => return,
            _ => {}
        }
    }
    if let Some(status) = &status {
        println!("status: {status}");
    }
    let redirects = headers.iter().any(|line| line.starts_with("location:"));
    if !redirects {
        println!("content-type: text/plain");
    }
    for line in headers {
        println!("{line}");
    }
    println!();
    println!("answered {}", status.as_deref().unwrap_or("200"));
    std::process::exit(exit);
}
