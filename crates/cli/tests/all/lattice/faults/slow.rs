//! Hosts that stand still for a while, as on a machine that is asleep or far too busy.

use std::{
    io::{ErrorKind, Read as _, Write as _},
    net::TcpStream,
    time::Duration,
};

use super::{Witness, kit_folder};
use crate::{
    client::{self, Version},
    host::folder,
    lattice::{Lattice, load::Load},
    support::eventually,
};

const NAMES: [&str; 3] = ["one", "two", "three"];

/// A host stands still, and goes on later. Requests at the others never fail.
fn stands_still(leads: bool) {
    let lattice = Lattice::start(&NAMES.map(|name| (name, &[] as &[&str])));
    let witness = Witness::start(&lattice.url);
    let shop = kit_folder("scale.instances = 6");
    lattice.apply(shop.path());
    let (leading, term) = (lattice.leading(&witness, &NAMES), witness.term());
    let still = if leads { leading } else { (leading + 1) % 3 };
    let others: Vec<_> = (0..3).filter(|host| *host != still).collect();
    let addrs: Vec<_> = others.iter().map(|host| lattice.host(*host).addr).collect();
    others.iter().for_each(|host| drop(lattice.answers(*host, "/env")));
    let load = Load::on(&addrs, "/env", 4);
    load.goes_on(200);

    lattice.host(still).signal("STOP");
    if leads {
        witness.led_after(term);
    }
    eventually("what it ran on the others", || {
        let on = lattice.ready_on();
        let all: u64 = on.iter().map(|one| one.1).sum();
        (all == 6 && on.iter().all(|(host, _)| host != NAMES[still])).then_some(())
    });
    load.goes_on(500);

    lattice.host(still).signal("CONT");
    lattice.heard(3);
    witness.runs(6);
    load.goes_on(200);
    load.ends_well();
    witness.settled();
    witness.runs(6);
    if leads {
        let over = format!("does not lead any more; term {term} is over");
        lattice.host(still).wait_for_log(&[&over]);
    } else {
        witness.led_on(term);
    }
}

#[test]
fn what_a_host_that_stands_still_ran_is_replaced_and_it_drops_that_when_it_goes_on() {
    stands_still(false);
}

#[test]
fn a_leader_that_stands_still_does_not_lead_when_it_goes_on() {
    stands_still(true);
}

#[test]
fn a_request_that_takes_long_is_not_given_up_where_the_host_is_there() {
    let zone = ["--label", "zone=b"];
    let lattice = Lattice::start(&[("door", &[]), ("one", &zone), ("two", &zone)]);
    let shop = kit_folder(&super::only_in("b", 2));
    lattice.apply(shop.path());
    lattice.answers(0, "/env");
    let count = || {
        let of =
            |host: usize| lattice.host(host).metric("reef_requests_total", "workload=\"shop/kit\"");
        of(1) + of(2)
    };
    let before = count();
    // One that may not be sent twice, for longer than a host may be silent then.
    let long = client::request("POST", "/sleep?ms=17000", client::empty());
    let reply = client::ask(Version::H1, lattice.host(0).addr, long);
    assert_eq!(reply.text(), "awake\n");
    assert_eq!(count() - before, 1.0, "it was sent once");
}

#[test]
fn an_answer_that_has_begun_ends_where_its_host_is_not_heard_any_more() {
    let lattice = Lattice::start(&[("door", &[]), ("one", &["--label", "zone=b"])]);
    let shop = kit_folder(&super::only_in("b", 1));
    lattice.apply(shop.path());
    lattice.answers(0, "/env");
    let mut client = TcpStream::connect(lattice.host(0).addr).unwrap();
    client.write_all(b"GET /big?mb=1000 HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    let mut part = vec![0; 1 << 20];
    client.read_exact(&mut part).unwrap();
    assert!(part.starts_with(b"HTTP/1.1 200 "));
    lattice.host(1).signal("STOP");

    // Far less than what a guest may take between two parts of it.
    client.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let mut read = part.len();
    let ended = loop {
        match client.read(&mut part) {
            Ok(0) => break None,
            Ok(many) => read += many,
            Err(error) => break Some(error.kind()),
        }
    };
    lattice.host(1).signal("CONT");
    assert!(matches!(ended, None | Some(ErrorKind::ConnectionReset)), "{ended:?}");
    assert!(read < 1000 << 20, "it was cut short");
}

/// A handler, and a library on two other hosts that it is linked to so.
fn linked(how: &str) -> String {
    format!(
        "name = 'math'\n\
         [[workload]]\nname = 'http'\nsource = 'http.wasm'\ntrigger.http.route = '/...'\n\
         link = [{{ import = 'acme:math', workload = 'add'{how} }}]\n\
         limits.deadline = '60s'\n\
         scale.instances = 32\nscale.spread = [{{ labels = {{ zone = 'a' }} }}]\n\
         [[workload]]\nname = 'add'\nsource = 'add.wasm'\n\
         scale.instances = 64\nscale.spread = [{{ labels = {{ zone = 'b' }} }}]\n"
    )
}

/// Calls while a host stands still to which some of them go: what comes of them.
fn calls_to_a_host_that_stands_still(how: &str) -> Vec<(u16, String)> {
    let (a, b) = (["--label", "zone=a"], ["--label", "zone=b"]);
    let lattice = Lattice::start(&[("a", &a), ("b1", &b), ("b2", &b)]);
    let guests = [("http.wasm", "p2-math-http"), ("add.wasm", "p2-math-add")];
    let folder = folder(&guests, &linked(how));
    lattice.apply(folder.path());
    eventually("the sum", || (lattice.get(0, "/add/2/40").text() == "42\n").then_some(()));
    lattice.host(1).signal("STOP");
    let replies = std::thread::scope(|scope| {
        let ask = || {
            let reply = lattice.get(0, "/add/20/1");
            (reply.status, reply.text())
        };
        let all: Vec<_> = (0..16).map(|_| scope.spawn(ask)).collect();
        all.into_iter().map(|one| one.join().unwrap()).collect()
    });
    lattice.host(1).signal("CONT");
    replies
}

#[test]
fn a_call_that_may_be_done_twice_goes_on_to_another_host() {
    let replies = calls_to_a_host_that_stands_still(", idempotent = true");
    assert!(replies.iter().all(|reply| *reply == (200, "21\n".to_owned())), "{replies:?}");
}

#[test]
fn a_call_that_may_not_be_done_twice_is_not() {
    let replies = calls_to_a_host_that_stands_still("");
    let failed = replies.iter().filter(|(status, _)| *status >= 500).count();
    assert!((1..16).contains(&failed), "{replies:?}");
}
