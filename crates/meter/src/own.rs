//! What a workload measures by itself, as it is now.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Names that are kept of a workload. One more is kept once another one is forgotten.
pub const MOST_OWN: usize = 32;
/// A value that was not said again for so long is forgotten: twice as long as an SDK waits, if it is not told otherwise.
pub const OWN_FORGOTTEN: Duration = Duration::from_secs(120);
/// Bytes of a name: those of an instrument (OpenTelemetry, "Metrics API", "Instrument name syntax").
const LONGEST: usize = 255;

/// What was said of a metric.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Said {
    /// So much it is: a gauge, or a sum from its start on.
    Is(f64),
    /// So much more than before: a sum since it was last said.
    More(f64),
}

/// The last values of a workload's own metrics by their names, whichever of its instances said them. Bounded.
#[derive(Debug, Default)]
pub struct Own(Mutex<BTreeMap<Box<str>, (f64, Instant)>>);

impl Own {
    /// A metric is so, or is more by so much. What is no number is passed over.
    pub fn say(&self, name: &str, said: Said, now: Instant) {
        let (Said::Is(value) | Said::More(value)) = said;
        if !value.is_finite() || name.is_empty() || name.len() > LONGEST {
            return;
        }
        let mut all = self.lock();
        let known = all.get(name).filter(|known| !is_over(known, now)).map(|(known, _)| *known);
        let value = match (said, known) {
            (Said::More(more), Some(known)) => known + more,
            _ => value,
        };
        if known.is_none() && all.len() >= MOST_OWN {
            all.retain(|_, known| !is_over(known, now));
            if all.len() >= MOST_OWN {
                return;
            }
        }
        match all.get_mut(name) {
            Some(known) => *known = (value, now),
            None => drop(all.insert(name.into(), (value, now))),
        }
    }

    /// How much a metric is; `None`, where nothing was said lately.
    pub fn get(&self, name: &str, now: Instant) -> Option<f64> {
        let known = self.lock().get(name).copied();
        known.filter(|known| !is_over(known, now)).map(|(value, _)| value)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Box<str>, (f64, Instant)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_over((_, at): &(f64, Instant), now: Instant) -> bool {
    now.saturating_duration_since(*at) >= OWN_FORGOTTEN
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_value_of_a_gauge_and_all_of_what_is_added() {
        let (own, now) = (Own::default(), Instant::now());
        own.say("depth", Said::Is(7.0), now);
        own.say("depth", Said::Is(3.0), now);
        own.say("orders", Said::More(2.0), now);
        own.say("orders", Said::More(0.5), now);
        own.say("nothing", Said::Is(f64::NAN), now);
        let all = ["depth", "orders", "nothing"].map(|name| own.get(name, now));
        assert_eq!(all, [Some(3.0), Some(2.5), None]);
    }

    #[test]
    fn what_is_not_said_again_is_forgotten_and_makes_room() {
        let (own, now) = (Own::default(), Instant::now());
        for n in 0..=MOST_OWN {
            own.say(&format!("metric-{n}"), Said::Is(1.0), now);
        }
        assert_eq!(own.get("metric-0", now), Some(1.0));
        assert_eq!(own.get(&format!("metric-{MOST_OWN}"), now), None, "one too many");
        let later = now + OWN_FORGOTTEN;
        assert_eq!(own.get("metric-0", later), None);
        own.say("new", Said::More(4.0), later);
        own.say("metric-1", Said::More(4.0), later);
        assert_eq!(own.get("new", later), Some(4.0));
        assert_eq!(own.get("metric-1", later), Some(4.0), "it begins anew");
        assert_eq!(own.lock().len(), 2);
    }
}
