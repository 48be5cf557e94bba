//! A memory bomb for WASI 0.1: takes and touches memory, one MiB at a time, until it is refused or
//! has the number of MiB its first argument asks for, then says how much it got.

const MIB: usize = 1 << 20;

fn main() {
    let wanted = std::env::args().nth(1).and_then(|n| n.parse().ok()).unwrap_or(usize::MAX);
    let mut blocks: Vec<Vec<u8>> = Vec::new();
    while blocks.len() < wanted {
        let mut block = Vec::new();
        if block.try_reserve_exact(MIB).is_err() {
            println!("refused after {} MiB", blocks.len());
            return;
        }
        block.resize(MIB, 1);
        blocks.push(std::hint::black_box(block));
    }
    println!("got {} MiB", blocks.len());
}
