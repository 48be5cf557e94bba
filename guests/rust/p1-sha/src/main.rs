//! A compute loop for benchmarks: hashes a block again and again, as many rounds as its first
//! argument says (100,000 without one), and prints the last digest, which depends on every round.

use sha2::{Digest, Sha256};

fn main() {
    let rounds: u32 = std::env::args().nth(1).and_then(|n| n.parse().ok()).unwrap_or(100_000);
    let mut digest = [0u8; 32];
    for _ in 0..rounds {
        digest = Sha256::digest(digest).into();
    }
    let text: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    println!("{rounds} rounds: {text}");
}
