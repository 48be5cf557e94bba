//! A lattice in memory, by seed: hosts, controllers, a store and a bus, and what goes wrong with each of them. The cores
//! are the real ones; time is a number.
//!
//! `REEF_SEEDS=100000` looks at more seeds than a test run does (from `REEF_FIRST_SEED` on, where that is set),
//! `REEF_SEED=17` at one, whose trace it prints. `cargo xtask soak` looks at ever new ones.

mod check;
mod host;
mod scenario;
mod store;
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use reef_lattice::{Change, record::Heartbeat};
use reef_planner::{Policy, Time, WorkloadKey};

use self::{
    host::{Host, Slot},
    scenario::{Op, Scenario},
    store::{Store, Watcher},
};
use crate::core::{Core, Name, Outcome, Settings, Write};

/// How long all has to be well until it is settled, at most, in milliseconds.
const SETTLE: u64 = 60_000;
/// How long nothing is written then.
const QUIET: u64 = 8_000;

/// Something that happens.
#[derive(Clone, Debug)]
enum Event {
    Op(usize),
    Heal(usize),
    Turn(usize, u64),
    Pulse(usize, u64),
    Beat(usize),
    Heard(usize, u64, Box<Heartbeat>),
    Arrive(usize, u64, Box<Write>),
    Answer(usize, u64, Name, Outcome),
    Watch(Watcher),
    Ready(usize, u64, Slot),
    Stopped(usize, u64, Slot),
    Start(Watcher),
}

/// A controller.
struct Controller {
    core: Option<Core>,
    /// Counts its starts: what is for an earlier one is for nobody.
    start: u64,
    /// What its clock is ahead.
    ahead: u64,
    turn_at: Option<u64>,
    last_turn: u64,
    stalled: u64,
    bus_in: u32,
    link: Link,
}

/// A way to the store.
#[derive(Clone, Copy, Debug, Default)]
struct Link {
    /// How many faults cut it now.
    outward: u32,
    inward: u32,
}

struct World {
    scenario: Scenario,
    random: fastrand::Rng,
    now: u64,
    count: u64,
    events: BTreeMap<(u64, u64), Event>,
    store: Store,
    controllers: Vec<Controller>,
    hosts: Vec<Host>,
    /// When something last went wrong, or ceased to.
    fault: u64,
    /// When that is over which last kept controllers from acting.
    hindered: u64,
    /// What was acknowledged: the wanted revision of each application.
    acknowledged: BTreeMap<String, Option<u64>>,
    leaders: BTreeSet<u64>,
    /// At which step each rollout is (revision, step, whether it serves), and when that was written first.
    steps: BTreeMap<WorkloadKey, ((u64, u32, bool), u64)>,
    written: u64,
    trace: Vec<String>,
    tells: bool,
}

type Checked = Result<(), String>;

impl World {
    fn new(scenario: Scenario, tells: bool) -> Self {
        let random = fastrand::Rng::with_seed(scenario.seed);
        let mut world = Self {
            random,
            now: 0,
            count: 0,
            events: BTreeMap::new(),
            store: Store::default(),
            controllers: Vec::new(),
            hosts: Vec::new(),
            fault: 0,
            hindered: 0,
            acknowledged: BTreeMap::new(),
            leaders: BTreeSet::new(),
            steps: BTreeMap::new(),
            written: 0,
            trace: Vec::new(),
            tells,
            scenario,
        };
        for at in 0..world.scenario.hosts.len() {
            let (zone, size) = world.scenario.hosts[at];
            world.hosts.push(Host::new(at, zone, size));
            world.at(at as u64 * 7, Event::Start(Watcher::Host(at)));
        }
        for at in 0..world.scenario.controllers {
            world.controllers.push(Controller {
                core: None,
                start: 0,
                ahead: 1_000_000 + world.random.u64(..20_000),
                turn_at: None,
                last_turn: 0,
                stalled: 0,
                bus_in: 0,
                link: Link::default(),
            });
            world.at(at as u64 * 13, Event::Start(Watcher::Controller(at)));
        }
        for (at, (when, _)) in world.scenario.ops.clone().into_iter().enumerate() {
            world.at(when, Event::Op(at));
        }
        world
    }

    fn say(&mut self, text: impl FnOnce() -> String) {
        if self.tells {
            let line = format!("{:>7} {}", self.now, text());
            self.trace.push(line);
        }
    }

    fn at(&mut self, when: u64, event: Event) {
        self.count += 1;
        self.events.insert((when.max(self.now), self.count), event);
    }

    fn delay(&mut self) -> u64 {
        let most = self.scenario.delay;
        1 + if self.random.u32(..20) == 0 {
            self.random.u64(..=most * 10)
        } else {
            self.random.u64(..=most)
        }
    }

    /// Lets everything of the scenario happen, and then time pass until all is as it is wanted, and nothing is written.
    fn run(&mut self) -> Checked {
        let end = self.scenario.end();
        while self.next_before(end)? {}
        self.now = end;
        self.say(|| "--- all is well from here on".to_owned());
        let mut since = None;
        loop {
            if !self.next_before(end + SETTLE + QUIET)? {
                return Err(format!(
                    "not settled {SETTLE} ms after all was well: {}",
                    self.unsettled()
                ));
            }
            match (self.is_settled(), since) {
                (false, _) => since = None,
                (true, None) => since = Some((self.now, self.written)),
                (true, Some((at, written))) => {
                    if written != self.written {
                        since = Some((self.now, self.written));
                    } else if self.now >= at + QUIET {
                        return self.check_settled();
                    }
                }
            }
            if since.is_none() && self.now > end + SETTLE {
                return Err(format!(
                    "not settled {SETTLE} ms after all was well: {}",
                    self.unsettled()
                ));
            }
        }
    }

    fn next_before(&mut self, end: u64) -> Result<bool, String> {
        match self.events.first_key_value() {
            Some(((at, _), _)) if *at <= end => {}
            _ => return Ok(false),
        }
        let Some(((at, _), event)) = self.events.pop_first() else { return Ok(false) };
        self.now = at;
        self.happen(event)?;
        Ok(true)
    }

    fn happen(&mut self, event: Event) -> Checked {
        match event {
            Event::Op(at) => self.operate(at),
            Event::Heal(at) => self.heal(at),
            Event::Start(Watcher::Controller(at)) => self.start(at),
            Event::Start(Watcher::Host(at)) => self.start_host(at),
            Event::Turn(at, start) => return self.turn(at, start),
            Event::Pulse(at, start) => {
                self.pulse(at, start);
                return self.check_routed();
            }
            Event::Beat(at) => {
                if self.hosts[at].alive {
                    self.beat(at, false);
                    self.at(self.now + 1000, Event::Beat(at));
                }
            }
            Event::Heard(at, start, beat) => {
                self.say(|| {
                    let all = beat.placements.iter();
                    let all = all.map(|one| {
                        format!(
                            "{}@{}: {}/{}",
                            one.workload, one.revision, one.ready, one.instances
                        )
                    });
                    format!(
                        "controller {at} hears {} #{} after {}: {}",
                        beat.host,
                        beat.sequence,
                        beat.assignment,
                        all.collect::<Vec<_>>().join(", ")
                    )
                });
                self.tell(at, start, |core, now| core.heartbeat(now, *beat));
            }
            Event::Arrive(at, start, write) => return self.arrive(at, start, *write),
            Event::Answer(at, start, name, outcome) => {
                self.tell(at, start, |core, now| core.wrote(now, &name, outcome));
            }
            Event::Watch(watcher) => self.deliver(watcher),
            Event::Ready(at, boot, slot) => self.ready(at, boot, &slot),
            Event::Stopped(at, boot, slot) => self.stopped(at, boot, &slot),
        }
        Ok(())
    }

    // --- controllers ---

    fn start(&mut self, at: usize) {
        let policy = Policy { grace: Duration::from_millis(1500), ..Policy::default() };
        let one = &mut self.controllers[at];
        if one.core.is_some() {
            return;
        }
        one.start += 1;
        let (start, holder) = (one.start, format!("c{at}.{}", one.start));
        let settings = Settings { holder: holder.as_str().into(), policy, ..Settings::default() };
        one.core = Some(Core::new(settings));
        one.turn_at = None;
        self.say(|| format!("controller {holder} starts"));
        self.at(self.now, Event::Pulse(at, start));
        self.watch_anew(Watcher::Controller(at));
    }

    fn local(&self, at: usize) -> Time {
        Time(self.now + self.controllers[at].ahead)
    }

    fn tell(&mut self, at: usize, start: u64, what: impl FnOnce(&mut Core, Time)) {
        let now = self.local(at);
        let one = &mut self.controllers[at];
        if one.start != start {
            return;
        }
        if let Some(core) = &mut one.core {
            what(core, now);
            let due = (one.last_turn + 5).max(self.now).max(one.stalled);
            self.schedule(at, due);
        }
    }

    fn schedule(&mut self, at: usize, due: u64) {
        let one = &mut self.controllers[at];
        if one.turn_at.is_none_or(|known| due < known || known < self.now) {
            one.turn_at = Some(due);
            let start = one.start;
            self.at(due, Event::Turn(at, start));
        }
    }

    fn turn(&mut self, at: usize, start: u64) -> Checked {
        let now = self.local(at);
        let real = self.now;
        let one = &mut self.controllers[at];
        if one.start != start || one.turn_at != Some(real) {
            return Ok(());
        }
        if one.stalled > real {
            let due = one.stalled;
            one.turn_at = None;
            self.schedule(at, due);
            return Ok(());
        }
        one.turn_at = None;
        one.last_turn = real;
        let Some(core) = &mut one.core else { return Ok(()) };
        let turn = core.turn(now);
        for note in turn.notes {
            self.say(|| format!("controller {at}: {note}"));
        }
        let acts = turn.writes.iter().any(|write| write.name != Name::Leader);
        if acts {
            let core = self.controllers[at].core.as_ref();
            let planned = core.map(|core| core.planned().actions.clone()).unwrap_or_default();
            self.say(|| {
                let all: Vec<_> = planned.iter().map(ToString::to_string).collect();
                let names: Vec<_> = turn.writes.iter().map(|one| one.name.to_string()).collect();
                format!("controller {at} plans: {}; sends {}", all.join(", "), names.join(", "))
            });
            self.check_leads(at)?;
        }
        for write in turn.writes {
            self.send(at, start, write);
        }
        if let Some(wake) = turn.wake {
            let due = wake.0.saturating_sub(self.controllers[at].ahead).max(self.now + 1);
            self.schedule(at, due);
        }
        Ok(())
    }

    fn send(&mut self, at: usize, start: u64, write: Write) {
        if self.controllers[at].link.outward > 0 {
            let failed = Outcome::Failed("no way to the store".into());
            self.at(self.now + 1000, Event::Answer(at, start, write.name, failed));
            return;
        }
        let due = self.now + self.delay();
        self.at(due, Event::Arrive(at, start, Box::new(write)));
    }

    fn arrive(&mut self, at: usize, start: u64, write: Write) -> Checked {
        let renewal = write.name == Name::Leader;
        let outcome = if self.store.is_full && write.value.is_some() {
            Outcome::Failed("the disk is full".into())
        } else {
            self.check_write(&write)?;
            self.apply(&write)
        };
        if !renewal {
            self.say(|| {
                let what =
                    write.value.as_ref().map(|value| String::from_utf8_lossy(value).into_owned());
                format!(
                    "controller {at} writes {}: {} -> {outcome:?}",
                    write.name,
                    what.unwrap_or_default()
                )
            });
            self.written += 1;
        }
        if self.controllers[at].link.inward > 0 {
            let failed = Outcome::Failed("no answer".into());
            self.at(self.now + 1000, Event::Answer(at, start, write.name, failed));
        } else {
            let due = self.now + self.delay();
            self.at(due, Event::Answer(at, start, write.name, outcome));
        }
        Ok(())
    }

    fn pulse(&mut self, at: usize, start: u64) {
        if self.controllers[at].start != start || self.controllers[at].core.is_none() {
            return;
        }
        if self.controllers[at].bus_in == 0 && self.controllers[at].stalled <= self.now {
            self.tell(at, start, |core, now| core.pulse(now));
        }
        self.at(self.now + 500, Event::Pulse(at, start));
    }

    fn crash(&mut self, at: usize) {
        let one = &mut self.controllers[at];
        one.core = None;
        one.start += 1;
    }

    // --- what goes wrong ---

    fn operate(&mut self, at: usize) {
        let (_, op) = self.scenario.ops[at].clone();
        self.say(|| format!("# {op:?}"));
        let now = self.now;
        let lasts = match &op {
            Op::Client(what) => return self.client(what),
            Op::CrashHost(host, lasts) => {
                self.crash_host(*host);
                *lasts
            }
            Op::LeaveHost(host, lasts) => {
                if self.hosts[*host].alive {
                    self.crash_host(*host);
                    self.beat(*host, true);
                }
                *lasts
            }
            Op::Unready(host, lasts) => {
                self.unready(*host, *lasts);
                *lasts
            }
            Op::CrashController(at, lasts) => {
                self.crash(*at);
                *lasts
            }
            Op::StopController(at, lasts) => {
                let (now, start) = (self.local(*at), self.controllers[*at].start);
                let write = self.controllers[*at].core.as_mut().and_then(|core| core.resign(now));
                if let Some(write) = write {
                    self.send(*at, start, write);
                }
                self.crash(*at);
                *lasts
            }
            Op::Stall(at, lasts) => {
                self.controllers[*at].stalled = now + lasts;
                *lasts
            }
            Op::CutStore(watcher, outward, inward, lasts) => {
                let link = self.link(*watcher);
                link.outward += u32::from(*outward);
                link.inward += u32::from(*inward);
                if let (Watcher::Controller(at), true) = (watcher, *inward) {
                    let start = self.controllers[*at].start;
                    self.tell(*at, start, |core, now| core.change(now, &Change::Lost));
                }
                *lasts
            }
            Op::CutBus(watcher, lasts) => {
                match watcher {
                    Watcher::Host(at) => self.hosts[*at].bus_out += 1,
                    Watcher::Controller(at) => self.controllers[*at].bus_in += 1,
                }
                *lasts
            }
            Op::Full(lasts) => {
                self.store.is_full = true;
                *lasts
            }
        };
        self.fault = now + lasts;
        if op.hinders() {
            self.hindered = self.hindered.max(now + lasts);
        }
        self.at(now + lasts, Event::Heal(at));
    }

    fn link(&mut self, watcher: Watcher) -> &mut Link {
        match watcher {
            Watcher::Controller(at) => &mut self.controllers[at].link,
            Watcher::Host(at) => &mut self.hosts[at].link,
        }
    }

    fn heal(&mut self, at: usize) {
        let (_, op) = self.scenario.ops[at].clone();
        self.say(|| format!("# over: {op:?}"));
        self.fault = self.fault.max(self.now);
        match op {
            Op::Client(_) => {}
            Op::CrashHost(host, _) | Op::LeaveHost(host, _) => self.start_host(host),
            Op::Unready(host, _) => self.warm(host),
            Op::CrashController(at, _) | Op::StopController(at, _) => self.start(at),
            Op::Stall(at, _) => {
                let due = self.now;
                self.schedule(at, due);
            }
            Op::CutStore(watcher, outward, inward, _) => {
                let link = self.link(watcher);
                link.outward -= u32::from(outward);
                link.inward -= u32::from(inward);
                if inward && link.inward == 0 {
                    self.watch_anew(watcher);
                }
            }
            Op::CutBus(watcher, _) => match watcher {
                Watcher::Host(at) => self.hosts[at].bus_out -= 1,
                Watcher::Controller(at) => self.controllers[at].bus_in -= 1,
            },
            Op::Full(_) => self.store.is_full = false,
        }
    }
}
