//! Recursion without an end: the host's guest stack limit must stop it with a trap.

#[expect(unconditional_recursion, reason = "that is what this is for")]
#[inline(never)]
fn descend(depth: u64) -> u64 {
    // Used after the call, so that it cannot become a loop.
    let local = std::hint::black_box([depth; 8]);
    descend(depth + 1) + local[(depth % 8) as usize]
}

fn main() {
    println!("descending");
    println!("{}", descend(std::env::args().count() as u64));
}
