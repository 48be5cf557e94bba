//! What recording one request costs, alone and with every core at it. Prints, asserts nothing.

use std::fs;
use std::hint::black_box;
use std::thread;
use std::time::Duration;

use reef_meter::{Finished, Meter};

const REQUESTS: u32 = 5_000_000;

fn request(meter: &Meter, i: u32) {
    let spent = Duration::from_nanos(u64::from(i & 0xf_ffff) * 64);
    meter.wait();
    meter.admit(spent);
    meter.instance_reused();
    meter.finish(&Finished { status: Some(200), latency: spent, guest_cpu: spent });
}

/// Nanoseconds this thread spent on a CPU (proc(5), `schedstat`): others may be busy too.
fn on_cpu() -> f64 {
    let stat = fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    stat.split(' ').next().and_then(|nanos| nanos.parse().ok()).unwrap_or(f64::NAN)
}

fn time(meter: &Meter) -> f64 {
    let start = on_cpu();
    for i in 0..REQUESTS {
        request(black_box(meter), black_box(i));
    }
    (on_cpu() - start) / f64::from(REQUESTS)
}

fn main() {
    let meter = Meter::new();
    time(&meter);
    println!("1 thread: {:.1} ns a request", time(&meter));
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let slowest = thread::scope(|scope| {
        let running: Vec<_> = (0..threads).map(|_| scope.spawn(|| time(&meter))).collect();
        running.into_iter().filter_map(|thread| thread.join().ok()).fold(0.0, f64::max)
    });
    println!("{threads} threads: {slowest:.1} ns a request on the slowest");
    println!("{} requests recorded", meter.snapshot().requests);
}
