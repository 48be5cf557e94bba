//! Sleeps for the number of milliseconds its first argument gives (a thousand without one).

use std::time::Duration;

fn main() {
    let milliseconds = std::env::args().nth(1).and_then(|n| n.parse().ok()).unwrap_or(1000);
    println!("sleeping {milliseconds} ms");
    std::thread::sleep(Duration::from_millis(milliseconds));
    println!("awake");
}
