//! Clocks that jump, and clocks of hosts that do not agree. What is waited for is time that passes, whatever the clock on
//! the wall says.

use std::{
    fs, mem,
    path::PathBuf,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use serde_json::Value;

use super::{Witness, kit_folder, set_kit};
use crate::{
    host::folder,
    lattice::{
        Lattice,
        canary::{rollout, verdict},
        load::Load,
        strategies::revisions,
    },
    server::{Server, serving},
    support::eventually,
};

const NAMES: [&str; 3] = ["one", "two", "three"];
/// By how much clocks are wrong, in seconds.
const HOUR: i64 = 3600;
/// How often clocks jump at most, until no host was short of time meanwhile.
const ROUNDS: usize = 5;
/// Heartbeats that tell that a host was not lost, nor a leader deposed: more than are waited for.
const BEATS: u64 = 5;

impl Lattice {
    /// Over a NATS that knows of no clock.
    fn by_clocks() -> Self {
        let bus = reef_servers::Server::nats(reef_servers::Nats::Newest).unwrap();
        Self::over(format!("{}/test", bus.url()), bus)
    }

    /// A host whose clock is ahead by so many seconds, and can be set. Time passes for it as it does for all.
    fn join_by_clock(&mut self, name: &str, ahead: i64) {
        let mut command = serving("host", ["--name", name, "--request-ids", "new"]);
        self.host_flags(&mut command, name, &[]);
        self.set_clock(name, ahead);
        command.env("LD_PRELOAD", libfaketime());
        command.env("FAKETIME_TIMESTAMP_FILE", self.clock(name)).env("FAKETIME_NO_CACHE", "1");
        for only_the_wall in ["FAKETIME_DONT_FAKE_MONOTONIC", "DONT_FAKE_MONOTONIC", "NO_FAKE_STAT"]
        {
            command.env(only_the_wall, "1");
        }
        self.hosts.push(Some(Server::spawn(command)));
    }

    fn clock(&self, name: &str) -> PathBuf {
        self.dir.path().join(format!("{name}.clock"))
    }

    fn set_clock(&self, name: &str, ahead: i64) {
        // It is read at any moment: never half of it.
        let new = self.dir.path().join(format!("{name}.clock.new"));
        fs::write(&new, format!("{ahead:+}\n")).unwrap();
        fs::rename(new, self.clock(name)).unwrap();
    }

    /// What a host takes its clock to be ahead of this one, in seconds: names of requests begin with the time
    /// (UUIDs of version 7).
    fn is_ahead(&self, at: usize) -> i64 {
        let reply = self.get(at, "/env");
        let id = reply.header("x-request-id").replace('-', "");
        let there = i64::from_str_radix(&id[..12], 16).unwrap();
        let here = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
        (there - i64::try_from(here).unwrap()) / 1000
    }

    /// Sets clocks, of which each is as it is set then.
    #[track_caller]
    fn clocks_jump(&self, clocks: [(usize, i64); 2]) {
        for (at, ahead) in clocks {
            self.set_clock(NAMES[at], ahead);
            let is = self.is_ahead(at);
            assert!((is - ahead).abs() < 60, "{} is {is} s ahead, not {ahead}", NAMES[at]);
        }
    }
}

/// What Debian's package `faketime` has.
fn libfaketime() -> PathBuf {
    let folders = fs::read_dir("/usr/lib").unwrap().flatten().map(|entry| entry.path());
    let mut files = folders.map(|folder| folder.join("faketime/libfaketimeMT.so.1"));
    files.find(|file| file.exists()).expect("libfaketime, which `cargo xtask servers` installs")
}

/// Waits until every host has said something several times.
fn time_passes(witness: &Witness) {
    let sequence = |name: &&str| witness.said(name).sequence;
    let before: Vec<u64> = NAMES.iter().map(sequence).collect();
    eventually("heartbeats", || {
        let mut all = NAMES.iter().map(sequence).zip(&before);
        all.all(|(now, before)| now >= before + BEATS).then_some(())
    });
}

#[test]
fn clocks_that_jump_by_an_hour_change_nothing() {
    let mut lattice = Lattice::by_clocks();
    let witness = Witness::start(&lattice.url);
    NAMES.iter().for_each(|name| lattice.join_by_clock(name, 0));
    lattice.heard(3);
    let shop = kit_folder("scale.instances = 3");
    lattice.apply(shop.path());
    (0..3).for_each(|host| drop(lattice.answers(host, "/env")));
    let addrs: Vec<_> = (0..3).map(|host| lattice.host(host).addr).collect();
    let load = Load::on(&addrs, "/env", 1);
    load.goes_on(100);

    let boots = || NAMES.map(|name| witness.said(name).boot);
    let (first, before) = (witness.term(), boots());
    // One that has no time for a while may rightly lose the lead, which then writes all anew: not each time.
    let nothing_changed = (0..ROUNDS).any(|_| {
        witness.settled();
        let leading = lattice.leading(&witness, &NAMES);
        let (term, writes) = (witness.term(), witness.writes());
        for (ahead, behind) in [(HOUR, -HOUR), (-HOUR, HOUR)] {
            lattice.clocks_jump([(leading, ahead), ((leading + 1) % 3, behind)]);
            time_passes(&witness);
            load.goes_on(100);
            lattice.heard(3);
            assert_eq!(boots(), before);
            witness.runs(3);
        }
        (witness.term(), witness.writes()) == (term, writes)
    });
    assert!(
        nothing_changed,
        "each time another one leads, or something is started, stopped or said anew"
    );

    // What is accepted now is later than what was, whatever the clocks say; and then once more.
    let leading = lattice.leading(&witness, &NAMES);
    let other = (leading + 1) % 3;
    for (version, ahead) in [(2, HOUR), (3, -HOUR)] {
        lattice.clocks_jump([(leading, ahead), (other, -ahead)]);
        set_kit(shop.path(), version, "scale.instances = 3");
        lattice.apply(shop.path());
        let (kept, wanted) = lattice.history("shop");
        let version = u64::from(version);
        assert_eq!((kept, wanted), ((1..=version).collect(), Some(version)));
    }
    eventually("the last version at every host", || {
        (0..3).all(|host| lattice.get(host, "/env").text() == "env VERSION=3\n").then_some(())
    });
    load.goes_on(100);
    load.ends_well();
    witness.settled();
    witness.runs(3);
    witness.led_on(first);
}

/// A component that gives way to its next version in steps.
fn canary(version: u32, steps: &str) -> String {
    format!(
        "name = 'shop'\n[[workload]]\nname = 'kit'\nsource = 'kit.wasm'\n\
         env = {{ VERSION = '{version}' }}\ntrigger.http.route = '/...'\n\
         scale.instances = 4\n[workload.rollout]\nstrategy = 'canary'\nsteps = [{steps}]\n"
    )
}

/// Waits until a step of the rollout serves, or has done so. The last moment at which it did not: `before`, or when it
/// was last looked in vain.
fn serves(lattice: &Lattice, step: u64, mut before: Instant) -> Instant {
    eventually("the step", || {
        let looked = Instant::now();
        let is: Value = rollout(lattice, "shop")["state"].clone();
        let since = mem::replace(&mut before, looked);
        let at = is["step"].as_u64();
        (at > Some(step) || (at == Some(step) && is["serving"] == true)).then_some(since)
    })
}

/// How long a step was held, which is seen to be over only now. `since`: a moment at which it did not serve yet; who
/// answers that may know it a little late.
#[track_caller]
fn was_held(since: Instant, hold: Duration) {
    let held = since.elapsed();
    assert!(held + Duration::from_secs(2) >= hold, "held for {held:?}, and {hold:?} was asked for");
    assert!(held < hold + Duration::from_secs(30), "held for {held:?}");
}

#[test]
fn a_rollout_holds_its_steps_for_their_time_though_the_leaders_clock_jumps() {
    const HOLD: Duration = Duration::from_secs(5);
    let mut lattice = Lattice::by_clocks();
    let witness = Witness::start(&lattice.url);
    NAMES.iter().for_each(|name| lattice.join_by_clock(name, 0));
    lattice.heard(3);
    let steps = "{ weight = 20, hold = '5s' }, { weight = 50, hold = '5s' }";
    let shop = folder(&[("kit.wasm", "p2-http-kit")], &canary(1, steps));
    lattice.apply(shop.path());
    let leading = lattice.leading(&witness, &NAMES);
    (0..3).for_each(|host| drop(lattice.answers(host, "/env")));
    let addrs: Vec<_> = (0..3).map(|host| lattice.host(host).addr).collect();
    let load = Load::on(&addrs, "/env", 1);
    load.goes_on(50);
    let term = witness.term();

    fs::write(shop.path().join("reef.toml"), canary(2, steps)).unwrap();
    let asked = Instant::now();
    lattice.told(&["apply", shop.path().to_str().unwrap()]);
    let first = serves(&lattice, 0, asked);
    lattice.set_clock(NAMES[leading], HOUR);
    let second = serves(&lattice, 1, first);
    was_held(first, HOLD);
    lattice.set_clock(NAMES[leading], -HOUR);
    verdict(&lattice, "shop", "complete");
    was_held(second, HOLD);

    lattice.is_deployed("shop");
    load.goes_on(50);
    load.ends_well();
    witness.settled();
    only_the_new(&lattice);
    witness.led_on(term);
}

/// Waits until all instances are of the second revision.
fn only_the_new(lattice: &Lattice) {
    eventually("the second revision alone", || (revisions(lattice) == [(2, 4, 4)]).then_some(()));
}

/// Another host takes over a rollout on its way, and its clock says something else.
fn taken_over(ahead: i64) {
    const HOLD: Duration = Duration::from_secs(9);
    let mut lattice = Lattice::by_clocks();
    let witness = Witness::start(&lattice.url);
    lattice.join_by_clock(NAMES[0], 0);
    lattice.heard(1);
    lattice.join_by_clock(NAMES[1], ahead);
    lattice.heard(2);
    let steps = "{ weight = 50, hold = '9s' }";
    let shop = folder(&[("kit.wasm", "p2-http-kit")], &canary(1, steps));
    lattice.apply(shop.path());
    lattice.has_lead(&witness, &NAMES[..2], 0);
    lattice.heard(2);
    fs::write(shop.path().join("reef.toml"), canary(2, steps)).unwrap();
    let asked = Instant::now();
    lattice.told(&["apply", shop.path().to_str().unwrap()]);

    let since = serves(&lattice, 0, asked);
    lattice.has_lead(&witness, &NAMES[..2], 0);
    let term = witness.term();
    lattice.kill(0);
    witness.led_after(term);
    verdict(&lattice, "shop", "complete");
    was_held(since, HOLD);
    lattice.is_deployed("shop");
    witness.settled();
    only_the_new(&lattice);
}

#[test]
fn a_rollout_goes_on_under_a_leader_whose_clock_is_an_hour_ahead() {
    taken_over(HOUR);
}

#[test]
fn so_it_does_under_one_whose_clock_is_an_hour_behind() {
    taken_over(-HOUR);
}
