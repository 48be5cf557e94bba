use reef_lattice::Change;

use super::*;
use crate::core::{Core, Settings, samples::heartbeat};

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
        core.heartbeat(now, heartbeat("stays", second + 1));
        if second % (2 * forget) == forget {
            core.heartbeat(now, heartbeat(&format!("passing-{second}"), 1));
            let known: Vec<_> = core.hosts().map(|(beat, ..)| beat.host.clone()).collect();
            assert_eq!(known, [format!("passing-{second}"), "stays".to_owned()]);
        }
        core.turn(now);
    }
}
