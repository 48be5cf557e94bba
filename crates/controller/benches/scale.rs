//! How long the controller's core takes on a large lattice: for a heartbeat that says nothing new, for one more
//! application, and from a host's loss to what is written because of it.
//!
//! ```sh
//! cargo bench -p reef-controller --bench scale                    # as released
//! cargo bench -p reef-controller --bench scale --profile measure  # nearly so
//! ```

use std::{
    collections::BTreeMap,
    error::Error,
    time::{Duration, Instant},
};

use reef_controller::{AppKey, Core, Name, Outcome, Settings, Write};
use reef_lattice::{
    Change, Entry,
    record::{App, Assignment, Head, Heartbeat, Measured, Reported, Revision, decode, encode},
};
use reef_planner::{Resources, Scale, Time, Workload};

const HOSTS: usize = 10_000;
const WORKLOADS: usize = 10_000;
const INSTANCES: u32 = 10;
const REQUESTS: Resources = Resources::new(256 << 20, 100);
/// Milliseconds that a write is under way.
const WRITE: u64 = 2;

type Failed = Box<dyn Error>;

/// A core, and what is around it.
struct Lattice {
    core: Core,
    now: u64,
    revision: u64,
    beats: BTreeMap<String, Heartbeat>,
    /// How long each turn took.
    turns: Vec<Duration>,
    /// What the last turn wrote, and how many of it are assignments.
    writes: usize,
    assignments: usize,
}

fn main() -> Result<(), Failed> {
    println!(
        "{:>10} {:>14} {:>12} {:>12} {:>12} {:>12} {:>12} {:>12} {:>12} {:>12}",
        "apps",
        "from nothing",
        "heartbeat",
        "turn",
        "accepted",
        "silent",
        "lost",
        "all of it",
        "left",
        "all of it"
    );
    for apps in [WORKLOADS, WORKLOADS / 10] {
        let begun = Instant::now();
        let mut lattice = Lattice::new(apps)?;
        lattice.settle()?;
        let from_nothing = begun.elapsed();
        let started: u32 =
            lattice.beats.values().flat_map(|beat| &beat.placements).map(|one| one.ready).sum();
        if started as usize != WORKLOADS * INSTANCES as usize {
            return Err(format!("{started} instances are ready").into());
        }
        let (mut beats, mut turns) = (Vec::new(), Vec::new());
        for _ in 0..5 {
            let (beat, turn) = lattice.second()?;
            beats.push(beat);
            turns.push(turn);
        }
        // One application more.
        let mut accepted = Vec::new();
        for more in 0..5 {
            let begun = Instant::now();
            lattice.app(apps + more, 1)?;
            accepted.push(begun.elapsed() + lattice.turn()?);
            lattice.settle()?;
        }
        // One is not heard of any more.
        let mut silent = Vec::new();
        let mut lost = Vec::new();
        let mut all = Vec::new();
        for _ in 0..5 {
            let busiest = lattice.beats.values().max_by_key(|beat| beat.placements.len());
            let host = busiest.ok_or("no hosts")?.host.clone();
            let mut beat = lattice.beats.remove(&host).ok_or("no such host")?;
            for _ in 0..2 {
                lattice.second()?;
            }
            // Its instances get no traffic any more, and then others take their place.
            silent.push(lattice.until(|lattice| lattice.writes > 0)?);
            lattice.settle()?;
            let took = lattice.until(|lattice| lattice.assignments > 0)?;
            lost.push(took);
            all.push(took + lattice.settle()?);
            beat.placements.clear();
            beat.boot += 1;
            lattice.beats.insert(host, beat);
            lattice.second()?;
            lattice.settle()?;
        }
        // One says that it leaves.
        let (mut left, mut all_left) = (Vec::new(), Vec::new());
        for _ in 0..5 {
            let busiest = lattice.beats.values().max_by_key(|beat| beat.placements.len());
            let host = busiest.ok_or("no hosts")?.host.clone();
            let mut beat = lattice.beats.remove(&host).ok_or("no such host")?;
            beat.left = true;
            beat.sequence += 1;
            let begun = Instant::now();
            lattice.core.heartbeat(Time(lattice.now), beat);
            let took = begun.elapsed() + lattice.turn()?;
            left.push(took);
            all_left.push(took + lattice.settle()?);
        }
        println!(
            "{apps:>10} {from_nothing:>14.1?} {:>12.1?} {:>12.1?} {:>12.1?} {:>12.1?} {:>12.1?} {:>12.1?} {:>12.1?} {:>12.1?}",
            median(beats),
            median(turns),
            median(accepted),
            median(silent),
            median(lost),
            median(all),
            median(left),
            median(all_left),
        );
    }
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    if let Some(peak) = status.lines().find(|line| line.starts_with("VmHWM")) {
        println!("{peak}");
    }
    Ok(())
}

fn median(mut all: Vec<Duration>) -> Duration {
    all.sort();
    all.get(all.len() / 2).copied().unwrap_or_default()
}

impl Lattice {
    /// Hosts and applications, of which nothing runs yet.
    fn new(apps: usize) -> Result<Self, Failed> {
        let core = Core::new(Settings::default());
        let (beats, turns) = (BTreeMap::new(), Vec::new());
        let (now, revision, writes, assignments) = (1_000_000, 0, 0, 0);
        let mut lattice = Self { core, now, revision, beats, turns, writes, assignments };
        lattice.core.change(Time(lattice.now), &Change::Anew);
        for at in 0..apps {
            lattice.app(at, WORKLOADS / apps)?;
        }
        lattice.core.change(Time(lattice.now), &Change::Current);
        for at in 0..HOSTS {
            let labels = [("zone", ["a", "b", "c"][at % 3]), ("arch", ["amd64", "arm64"][at % 2])];
            let beat = Heartbeat {
                host: format!("host-{at:05}"),
                name: format!("name-{at}"),
                boot: 1,
                sequence: 0,
                version: "0".into(),
                labels: labels.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
                capacity: Resources::new(16 << 30, 8_000),
                http: Some(format!("10.0.{}.{}:8080", at / 256, at % 256)),
                ..Heartbeat::default()
            };
            lattice.beats.insert(beat.host.clone(), beat);
        }
        lattice.said()?;
        Ok(lattice)
    }

    fn app(&mut self, at: usize, workloads: usize) -> Result<(), Failed> {
        let key = AppKey::new("default", format!("app-{at}"));
        let head = Head {
            number: 1,
            version: None,
            description: None,
            at: Time(0),
            cause: "reef.toml".into(),
        };
        let (wanted, revisions) = (Some(1), vec![head]);
        let app = App { accepted: at as u64, wanted, revisions, next: 2, ..App::default() };
        let workload = |at: usize| {
            let digest = "sha256:0".into();
            let revision = reef_planner::Revision { number: 1, digest, requests: REQUESTS };
            (format!("workload-{at}"), Workload::new(revision, Scale::Instances(INSTANCES)))
        };
        let revision = Revision {
            number: 1,
            application: serde_json::Value::Null,
            values: BTreeMap::new(),
            files: Vec::new(),
            workloads: (0..workloads).map(workload).collect(),
            autoscale: BTreeMap::new(),
            percentiles: BTreeMap::new(),
            manifest: None,
            by: None,
        };
        self.tell(Name::App(key.clone()), encode(&app)?)?;
        self.tell(Name::Revision(key, 1), encode(&revision)?)
    }

    fn tell(&mut self, name: Name, value: bytes::Bytes) -> Result<(), Failed> {
        self.revision += 1;
        let key = name.key().ok_or("a name is no key")?;
        let put = Change::Put(Entry { key, value, revision: self.revision });
        self.core.change(Time(self.now), &put);
        Ok(())
    }

    /// All hosts say how they are. How long that takes for each.
    fn said(&mut self) -> Result<Duration, Failed> {
        let mut took = Duration::ZERO;
        for beat in self.beats.values_mut() {
            beat.sequence += 1;
            beat.placements.iter_mut().for_each(|one| one.measured.requests += 10);
            let beat = beat.clone();
            let begun = Instant::now();
            self.core.heartbeat(Time(self.now), beat);
            took += begun.elapsed();
        }
        Ok(took / u32::try_from(self.beats.len().max(1))?)
    }

    /// A second goes by. How long each heartbeat took, and each turn.
    fn second(&mut self) -> Result<(Duration, Duration), Failed> {
        self.now += 950;
        let beat = self.said()?;
        let mut turns = Vec::new();
        for _ in 0..50 {
            self.now += 1;
            turns.push(self.turn()?);
        }
        Ok((beat, median(turns)))
    }

    /// A turn, and what it writes. How long the core took for it.
    fn turn(&mut self) -> Result<Duration, Failed> {
        let begun = Instant::now();
        let turn = self.core.turn(Time(self.now));
        let took = begun.elapsed();
        self.turns.push(took);
        let names = || turn.writes.iter().map(|write| &write.name);
        self.writes = names().filter(|name| **name != Name::Leader).count();
        self.assignments = names().filter(|name| matches!(name, Name::Want(_))).count();
        self.now += WRITE;
        let mut later = Duration::ZERO;
        for write in turn.writes {
            later += self.write(write)?;
        }
        Ok(took + later)
    }

    /// Does a write, and what a host does on it.
    fn write(&mut self, write: Write) -> Result<Duration, Failed> {
        self.revision += 1;
        let done = write.value.as_ref().map(|_| self.revision);
        let begun = Instant::now();
        self.core.wrote(Time(self.now), &write.name, Outcome::Done(done));
        let mut took = begun.elapsed();
        let (Name::Want(host), Some(value)) = (&write.name, &write.value) else { return Ok(took) };
        let assignment: Assignment = decode("it", value)?;
        let Some(beat) = self.beats.get_mut(&**host) else { return Ok(took) };
        beat.assignment = self.revision;
        beat.sequence += 1;
        let reported = assignment.workloads.into_iter().map(|one| Reported {
            workload: one.workload,
            revision: one.revision,
            instances: one.instances,
            ready: one.instances,
            requests: REQUESTS,
            trouble: None,
            measured: Measured { requests: 1, durations: vec![1; 40], ..Measured::default() },
        });
        beat.placements = reported.collect();
        let beat = beat.clone();
        let begun = Instant::now();
        self.core.heartbeat(Time(self.now), beat);
        took += begun.elapsed();
        Ok(took)
    }

    /// Lets time pass, until a turn writes what is waited for. How long that one took.
    fn until(&mut self, written: impl Fn(&Self) -> bool) -> Result<Duration, Failed> {
        let mut heard = self.now;
        for _ in 0..1_000 {
            self.now += 10;
            if self.now > heard + 500 {
                heard = self.now;
                self.said()?;
            }
            let took = self.turn()?;
            if written(self) {
                return Ok(took);
            }
        }
        Err("what is waited for is not written".into())
    }

    /// Turns, until nothing is written.
    fn settle(&mut self) -> Result<Duration, Failed> {
        let (mut quiet, mut took, mut heard) = (0, Duration::ZERO, self.now);
        for _ in 0..100_000 {
            took += self.turn()?;
            self.core.pulse(Time(self.now));
            quiet = if self.writes > 0 { 0 } else { quiet + 1 };
            if quiet > 10 {
                return Ok(took);
            }
            if self.now > heard + 1000 {
                heard = self.now;
                self.said()?;
            }
        }
        Err("it does not settle".into())
    }
}
