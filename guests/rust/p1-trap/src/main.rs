//! A trap under three named functions: the host's backtrace should name them, with this file and the
//! lines, because this guest keeps its line tables.

#[inline(never)]
fn outer_function(count: usize) -> usize {
    middle_function(count + 1) + 1
}

#[inline(never)]
fn middle_function(count: usize) -> usize {
    inner_function(count + 1) + 1
}

#[inline(never)]
fn inner_function(count: usize) -> usize {
    if std::hint::black_box(count) > 0 {
        core::arch::wasm32::unreachable();
    }
    count
}

fn main() {
    println!("about to trap");
    println!("{}", outer_function(std::env::args().count()));
}
