use reef_lattice::Change;
use reef_planner::Resources;

use super::*;
use crate::core::{Core, Settings};

fn said(host: &str, sequence: u64) -> Heartbeat {
    Heartbeat {
        host: host.into(),
        name: host.into(),
        boot: 1,
        sequence,
        version: String::new(),
        labels: BTreeMap::new(),
        capacity: Resources::default(),
        load: Resources::default(),
        http: None,
        up: 0,
        left: false,
        leaving: false,
        assignment: 0,
        routed: 0,
        missing: Vec::new(),
        placements: Vec::new(),
    }
}

/// Machines that come and go for ever do not fill the memory of one that never leads.
#[test]
fn who_does_not_lead_forgets_hosts_too() {
    let settings = Settings { leads: false, ..Settings::default() };
    let forget = settings.forget.as_secs();
    let mut core = Core::new(settings);
    core.change(Time(0), &Change::Anew);
    core.change(Time(0), &Change::Current);
    for second in 0..20 * forget {
        let now = Time(0).after(Duration::from_secs(second));
        core.heartbeat(now, said("stays", second + 1));
        if second % (2 * forget) == forget {
            core.heartbeat(now, said(&format!("passing-{second}"), 1));
            let known: Vec<_> = core.hosts().map(|(beat, ..)| beat.host.clone()).collect();
            assert_eq!(known, [format!("passing-{second}"), "stays".to_owned()]);
        }
        core.turn(now);
    }
}
