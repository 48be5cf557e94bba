//! What a hostile or broken guest does to its host.

use std::time::{Duration, Instant};

/// Never returns: only a deadline ends it.
pub fn spin() -> ! {
    let mut turns = 0u64;
    loop {
        turns = std::hint::black_box(turns.wrapping_add(1));
    }
}

/// Uses the processor for this many milliseconds of real time.
pub fn burn(milliseconds: u64) {
    let started = Instant::now();
    while started.elapsed() < Duration::from_millis(milliseconds) {
        for turn in 0..10_000u32 {
            std::hint::black_box(turn);
        }
    }
}

/// Takes and touches memory one MiB at a time; returns how many it got, when refused or done.
pub fn take_memory(mebibytes: u64) -> u64 {
    let mut blocks: Vec<Vec<u8>> = Vec::new();
    while (blocks.len() as u64) < mebibytes {
        let mut block = Vec::new();
        if block.try_reserve_exact(1 << 20).is_err() {
            break;
        }
        block.resize(1 << 20, 1);
        blocks.push(std::hint::black_box(block));
    }
    blocks.len() as u64
}

/// Recursion without an end.
#[expect(unconditional_recursion, reason = "that is what this is for")]
#[inline(never)]
pub fn descend(depth: u64) -> u64 {
    // Used after the call, so that it cannot become a loop.
    let local = std::hint::black_box([depth; 8]);
    descend(depth + 1) + local[(depth % 8) as usize]
}
