//! A WASI 0.1 command that never ends: only a deadline stops it.

fn main() {
    println!("spinning");
    let mut turns = 0u64;
    loop {
        turns = std::hint::black_box(turns.wrapping_add(1));
    }
}
