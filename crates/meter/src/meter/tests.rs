use std::thread;

use proptest::prelude::*;

use super::*;

#[derive(Debug, Clone)]
enum Event {
    Wait,
    Admit(u64),
    Refuse,
    RefuseAtOnce,
    Begin,
    Finish(Option<u16>, u64, u64),
    GuestCpu(u64),
    Trap,
    Deadline,
    Created,
    Reused,
}

fn event() -> impl Strategy<Value = Event> {
    let micros = 0_u64..100_000_000;
    prop_oneof![
        Just(Event::Wait),
        micros.clone().prop_map(Event::Admit),
        Just(Event::Refuse),
        Just(Event::RefuseAtOnce),
        Just(Event::Begin),
        (prop::option::of(0_u16..700), micros.clone(), micros.clone())
            .prop_map(|(status, latency, cpu)| Event::Finish(status, latency, cpu)),
        micros.prop_map(Event::GuestCpu),
        Just(Event::Trap),
        Just(Event::Deadline),
        Just(Event::Created),
        Just(Event::Reused),
    ]
}

/// Plain arithmetic; an event that cannot happen now (an admission from an empty queue) is left out.
#[derive(Default)]
struct Model {
    want: MeterSnapshot,
    queue: Vec<u64>,
    latency: Vec<u64>,
    failed: Vec<u64>,
}

impl Model {
    fn play(&mut self, event: &Event, meter: &Meter) {
        let want = &mut self.want;
        match *event {
            Event::Wait => {
                meter.wait();
                want.queued += 1;
            }
            Event::Admit(micros) if want.queued > 0 => {
                meter.admit(Duration::from_micros(micros));
                want.queued -= 1;
                want.requests += 1;
                want.in_flight += 1;
                self.queue.push(micros);
            }
            Event::Refuse if want.queued > 0 => {
                meter.refuse();
                want.queued -= 1;
                want.refused += 1;
            }
            Event::RefuseAtOnce => {
                meter.refuse_at_once();
                want.refused += 1;
            }
            Event::Begin => {
                meter.begin();
                want.requests += 1;
                want.in_flight += 1;
            }
            Event::Finish(status, latency, cpu) if want.in_flight > 0 => {
                meter.finish(&Finished {
                    status,
                    latency: Duration::from_micros(latency),
                    guest_cpu: Duration::from_micros(cpu),
                });
                want.in_flight -= 1;
                want.guest_cpu_nanos += cpu * 1_000;
                if let Some(status) = status {
                    if !(100..500).contains(&status) {
                        self.failed.push(latency);
                    }
                    let class = match status {
                        100..200 => 0,
                        200..300 => 1,
                        300..400 => 2,
                        400..500 => 3,
                        _ => 4,
                    };
                    want.responses[class] += 1;
                }
                self.latency.push(latency);
            }
            Event::GuestCpu(micros) => {
                meter.guest_cpu(Duration::from_micros(micros));
                want.guest_cpu_nanos += micros * 1_000;
            }
            Event::Trap => {
                meter.trap();
                want.traps += 1;
            }
            Event::Deadline => {
                meter.deadline_exceeded();
                want.deadlines_exceeded += 1;
            }
            Event::Created => {
                meter.instance_created();
                want.instances_created += 1;
            }
            Event::Reused => {
                meter.instance_reused();
                want.instances_reused += 1;
            }
            Event::Admit(_) | Event::Refuse | Event::Finish(..) => {}
        }
    }
}

proptest! {
    #[test]
    fn counts_what_happened(events in prop::collection::vec(event(), 0..300)) {
        let meter = Meter::new();
        let mut model = Model::default();
        for event in &events {
            model.play(event, &meter);
        }
        let got = meter.snapshot();
        prop_assert_eq!(got.queue.sum_nanos, model.queue.iter().sum::<u64>() * 1_000);
        prop_assert_eq!(got.queue.count(), model.queue.len() as u64);
        prop_assert_eq!(got.latency.sum_nanos, model.latency.iter().sum::<u64>() * 1_000);
        prop_assert_eq!(got.latency.count(), model.latency.len() as u64);
        model.want.queue = got.queue.clone();
        model.want.latency = got.latency.clone();
        prop_assert_eq!(got.failed.sum_nanos, model.failed.iter().sum::<u64>() * 1_000);
        prop_assert_eq!(got.failed.count(), model.failed.len() as u64);
        model.want.failed = got.failed.clone();
        prop_assert_eq!(got, model.want);
    }
}

#[test]
fn requests_that_change_threads_leave_the_gauges_at_zero() {
    let meter = Meter::new();
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| (0..1_000).for_each(|_| meter.wait()));
        }
    });
    assert_eq!(meter.snapshot().queued, 8_000);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..2_000).for_each(|_| meter.admit(Duration::from_micros(1))));
        }
    });
    assert_eq!(meter.snapshot().queued, 0);
    assert_eq!(meter.snapshot().in_flight, 8_000);
    thread::spawn({
        let finished = Finished { status: Some(200), ..Finished::default() };
        move || {
            (0..8_000).for_each(|_| meter.finish(&finished));
            let end = meter.snapshot();
            assert_eq!((end.in_flight, end.requests, end.responses[1]), (0, 8_000, 8_000));
        }
    })
    .join()
    .unwrap();
}

#[test]
fn memory_remembers_its_peaks() {
    let meter = Meter::new();
    meter.memory_grew(100, 100);
    meter.memory_grew(50, 150);
    meter.memory_grew(70, 70);
    meter.memory_freed(150);
    meter.memory_grew(10, 80);
    let snapshot = meter.snapshot();
    assert_eq!(snapshot.memory, 80);
    assert_eq!(snapshot.memory_peak, 220);
    assert_eq!(snapshot.instance_memory_peak, 150);
}
