#![allow(clippy::unwrap_used, reason = "tests")]

use std::sync::Arc;

use proptest::prelude::*;
use reef_meter::Meter;
use wasmtime::ResourceLimiter as _;

use super::{ByteSize, Limiter, Limits};

proptest! {
    /// Against the obvious model: memory granted so far never passes the limit, a growth is refused
    /// exactly when it would, and all of it is given back.
    #[test]
    fn memory_never_passes_its_limit(limit in 0u64..1000, growths in prop::collection::vec((0usize..3, 0usize..400), 0..40)) {
        let meter = Arc::new(Meter::new());
        let limits = Limits { memory: ByteSize(limit), ..Limits::default() };
        let mut limiter = Limiter::new(&limits, meter.clone());
        let mut memories = [0usize; 3];
        for (memory, more) in growths {
            let fits = memories.iter().sum::<usize>() + more <= limit as usize;
            let desired = memories[memory] + more;
            prop_assert_eq!(limiter.memory_growing(memories[memory], desired, None).unwrap(), fits);
            if fits {
                memories[memory] = desired;
            }
            prop_assert_eq!(limiter.used(), memories.iter().sum::<usize>() as u64);
        }
        prop_assert_eq!(meter.snapshot().memory, limiter.used());
        drop(limiter);
        prop_assert_eq!(meter.snapshot().memory, 0);
    }
}

#[test]
fn tables_count_as_memory() {
    let meter = Arc::new(Meter::new());
    let limits = Limits { memory: ByteSize(1000), table_elements: 200, ..Limits::default() };
    let mut limiter = Limiter::new(&limits, meter);
    assert!(limiter.table_growing(0, 100, None).unwrap());
    assert!(limiter.memory_growing(0, 150, None).unwrap());
    assert_eq!(limiter.used(), 950);
    // Another ten elements are 80 bytes.
    assert!(!limiter.table_growing(0, 10, None).unwrap());
    assert_eq!((limiter.refused(), limiter.refused_table()), (Some(1030), None));
    assert!(!limiter.table_growing(0, 201, None).unwrap());
    assert_eq!(limiter.refused_table(), Some((201, 200)));
}
