//! The clock that interrupts guests.

use std::{
    fmt, io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

/// How often a computing guest is interrupted and lets others run. Short enough that nobody notices
/// a neighbour's slice. A tick, which wakes a thread, takes some 30 microseconds of a processor: twice as
/// many show in the throughput of a busy server.
pub const TICK: Duration = Duration::from_millis(2);

/// Ticks without any guest before the clock stops.
const IDLE_TICKS: u32 = 25;

/// Advances the epoch of engines while guests run, and sleeps while none does: an idle host uses no
/// processor time.
pub struct Ticker {
    shared: Arc<Shared>,
    thread: thread::Thread,
}

#[derive(Default)]
struct Shared {
    /// A guest was entered since the last tick.
    busy: AtomicBool,
    parked: AtomicBool,
    stopped: AtomicBool,
}

// === impl Ticker ===

impl Ticker {
    /// Starts the clock's thread.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(engines: Vec<wasmtime::Engine>) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let handle =
            thread::Builder::new().name("reef-clock".into()).stack_size(64 << 10).spawn({
                let shared = shared.clone();
                move || run(&shared, &engines)
            })?;
        Ok(Self { shared, thread: handle.thread().clone() })
    }

    /// To be called whenever a guest is entered. One relaxed load while guests are running.
    pub fn touch(&self) {
        if !self.shared.busy.load(Ordering::Relaxed) {
            // Sequentially consistent with `run`: either it sees this guest, or we see it parked.
            self.shared.busy.store(true, Ordering::SeqCst);
            if self.shared.parked.load(Ordering::SeqCst) {
                self.thread.unpark();
            }
        }
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::SeqCst);
        self.thread.unpark();
    }
}

impl fmt::Debug for Ticker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ticker").finish_non_exhaustive()
    }
}

fn run(shared: &Shared, engines: &[wasmtime::Engine]) {
    let mut idle = 0;
    while !shared.stopped.load(Ordering::SeqCst) {
        if shared.busy.swap(false, Ordering::SeqCst) {
            idle = 0;
        } else {
            idle += 1;
        }
        if idle >= IDLE_TICKS {
            shared.parked.store(true, Ordering::SeqCst);
            while !shared.busy.load(Ordering::SeqCst) && !shared.stopped.load(Ordering::SeqCst) {
                thread::park();
            }
            shared.parked.store(false, Ordering::SeqCst);
            idle = 0;
        }
        thread::sleep(TICK);
        for engine in engines {
            engine.increment_epoch();
        }
    }
}
