use proptest::prelude::*;

use super::*;

fn key() -> WorkloadKey {
    WorkloadKey::new("default", "shop", "web")
}

fn scale(min: u32, max: u32, target: AutoscaleTarget, to_zero: Option<u64>) -> Autoscale {
    Autoscale { min, max, target, to_zero: to_zero.map(Duration::from_secs), down: None }
}

/// A second of each load, one after the other; how many instances there are after each.
fn follow(scale: &Autoscale, first: u32, loads: impl IntoIterator<Item = Load>) -> Vec<u32> {
    let mut scaler = Autoscaler::default();
    let loads = loads.into_iter().enumerate();
    let step = |(at, load): (usize, Load)| {
        scaler.look(&key(), scale, load, first, Time(1_000_000 + at as u64 * 1000));
        scaler.instances(&key(), scale, first)
    };
    loads.map(step).collect()
}

fn busy(running: u64, seconds: usize) -> impl Iterator<Item = Load> {
    std::iter::repeat_n(Load { running, ..Load::default() }, seconds)
}

#[test]
fn more_load_has_more_instances_at_once() {
    let scale = scale(1, 20, AutoscaleTarget::Concurrency(5.0), None);
    let instances = follow(&scale, 1, busy(40, 12));
    assert!(instances[1] >= 4, "{instances:?}");
    assert_eq!(instances.last(), Some(&8));
}

#[test]
fn less_load_has_fewer_instances_after_a_while_only() {
    let scale = scale(1, 20, AutoscaleTarget::Concurrency(5.0), None);
    let instances = follow(&scale, 1, busy(40, 70).chain(busy(5, 120)));
    assert_eq!((instances[69], instances[100]), (8, 8));
    assert_eq!(instances.last(), Some(&1));
}

#[test]
fn load_that_comes_and_goes_does_not_take_instances_with_it() {
    let scale = scale(1, 20, AutoscaleTarget::Concurrency(5.0), None);
    let waves = (0..20).flat_map(|_| busy(40, 15).chain(busy(5, 15)));
    let instances = follow(&scale, 1, waves);
    let changes = instances[60..].windows(2).filter(|two| two[0] != two[1]).count();
    assert_eq!(changes, 0, "{instances:?}");
}

#[test]
fn without_work_there_is_none_until_somebody_asks() {
    let scale = scale(2, 20, AutoscaleTarget::Concurrency(5.0), Some(30));
    let mut scaler = Autoscaler::default();
    let look = |scaler: &mut Autoscaler, at: u64, running| {
        let load = Load { running, ..Load::default() };
        scaler.look(&key(), &scale, load, 2, Time(at * 1000));
        scaler.instances(&key(), &scale, 2)
    };
    assert_eq!(look(&mut scaler, 1, 3), 2);
    assert_eq!(look(&mut scaler, 30, 0), 2);
    assert_eq!(look(&mut scaler, 32, 0), 0);
    assert_eq!(look(&mut scaler, 40, 0), 0);
    assert!(scaler.demand(&key(), &scale, Time(41_000)));
    assert_eq!(scaler.instances(&key(), &scale, 2), 2);
    assert_eq!(look(&mut scaler, 42, 1), 2);
}

#[test]
fn waiting_that_takes_too_long_has_more_instances() {
    let target = AutoscaleTarget::QueueTime(Duration::from_millis(50));
    let scale = scale(1, 50, target, None);
    // 100 requests a second, of which 20 wait at any time: 200 ms each.
    let loads = (0..10).map(|at| Load { running: 10, waiting: 20, ended: at * 100, metric: 0.0 });
    let instances = follow(&scale, 4, loads);
    assert!(instances.windows(2).all(|two| two[1] <= two[0] + two[0] / 2 + 1), "{instances:?}");
    assert!(*instances.last().unwrap() > 10, "{instances:?}");
}

#[test]
fn a_metric_is_shared_out() {
    let target = AutoscaleTarget::Metric("orders".into(), 10.0);
    let scale = scale(1, 50, target, None);
    let loads = std::iter::repeat_n(Load { metric: 95.0, ..Load::default() }, 5);
    assert_eq!(follow(&scale, 1, loads).last(), Some(&10));
}

proptest! {
    #[test]
    fn it_stays_within_its_bounds(
        min in 0u32..5,
        more in 0u32..10,
        zero in any::<bool>(),
        which in 0usize..3,
        each in prop_oneof![Just(0.0), Just(f64::NAN), 0.1f64..100.0],
        loads in prop::collection::vec((0u64..1000, 0u64..1000, 0u64..100_000, -5.0f64..1e9), 1..90),
    ) {
        let target = match which {
            0 => AutoscaleTarget::Concurrency(each),
            1 => AutoscaleTarget::QueueTime(Duration::from_millis(each.max(0.0) as u64)),
            _ => AutoscaleTarget::Metric("it".into(), each),
        };
        let scale = scale(min, min + more, target, zero.then_some(5));
        let loads = loads.into_iter().map(|(running, waiting, ended, metric)| Load { running, waiting, ended, metric });
        for instances in follow(&scale, 3, loads) {
            prop_assert!(instances <= scale.max);
            prop_assert!(instances >= scale.min || (zero && instances == 0));
        }
    }
}
