//! How a workload uses its link's backend.

use std::time::Duration;

use reef_capability::{LONGEST_PAUSE, Setting, SettingError, Settings};

const SUBJECTS: Setting =
    Setting::new("subjects", "where it may publish, with commas between: `orders.>`");
const MAX_DELIVER: Setting =
    Setting::new("max-deliver", "how often a message is handled at most until that works: `5`");
const ACK_WAIT: Setting = Setting::new(
    "ack-wait",
    "how long a host may be silent about a message that it has until another has it: `30s`",
);
const BACKOFF: Setting = Setting::new(
    "backoff",
    "the pause before a message is handled again; it doubles each time: `1s`",
);
const DEAD_LETTER: Setting =
    Setting::new("dead-letter", "the subject of messages that could not be handled: `orders.dead`");

/// The settings of a link that are its workload's, whatever the backend.
pub const TERMS: &[Setting] = &[SUBJECTS, MAX_DELIVER, ACK_WAIT, BACKOFF, DEAD_LETTER];

/// How a workload uses its link's backend.
#[derive(Clone, Debug, PartialEq)]
pub struct Terms {
    /// Where it may publish: anywhere, if nothing is said.
    pub subjects: Option<Vec<String>>,
    /// How often a message is handled at most. Where nothing is said: 5 times if the server keeps what is not
    /// acknowledged, once if it does not.
    pub max_deliver: Option<u32>,
    /// How long a host may be silent about a message that it has.
    pub ack_wait: Duration,
    /// The first pause before one is handled again.
    pub backoff: Duration,
    /// Where those go that could not be handled.
    pub dead_letter: Option<String>,
}

impl Default for Terms {
    fn default() -> Self {
        Self {
            subjects: None,
            max_deliver: None,
            ack_wait: Duration::from_secs(30),
            backoff: Duration::from_secs(1),
            dead_letter: None,
        }
    }
}

impl Terms {
    /// Takes them out of a link's settings.
    ///
    /// # Errors
    /// When one of them makes no sense.
    pub fn take(settings: &mut Settings) -> Result<Self, SettingError> {
        let default = Self::default();
        let wrong = |name, why: &str| Err(SettingError::Wrong { name, why: why.to_owned() });
        let max_deliver = settings.parsed(MAX_DELIVER.name)?;
        if max_deliver == Some(0) {
            return wrong(MAX_DELIVER.name, "has no message handled at all");
        }
        let ack_wait = settings.duration(ACK_WAIT.name)?.unwrap_or(default.ack_wait);
        if ack_wait < Duration::from_millis(100) {
            return wrong(ACK_WAIT.name, "is shorter than `100ms`");
        }
        let subjects = settings.get(SUBJECTS.name).map(|text| {
            let each = text.split(',').map(str::trim).filter(|text| !text.is_empty());
            each.map(str::to_owned).collect()
        });
        let terms = Self {
            subjects,
            max_deliver,
            ack_wait,
            backoff: settings.duration(BACKOFF.name)?.unwrap_or(default.backoff).min(LONGEST_PAUSE),
            dead_letter: settings.get(DEAD_LETTER.name).map(|text| text.trim().to_owned()),
        };
        for setting in TERMS {
            settings.take(setting.name);
        }
        Ok(terms)
    }

    /// The pause before a message is handled again that was handled so often.
    pub(crate) fn pause(&self, attempt: u32) -> Duration {
        reef_capability::pause(self.backoff, attempt)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_are_taken_out_of_the_settings() {
        let mut settings: Settings = [
            ("subjects", "a.*, b"),
            ("max-deliver", "3"),
            ("dead-letter", "dead"),
            ("url", "nats://h"),
        ]
        .into_iter()
        .collect();
        let terms = Terms::take(&mut settings).unwrap();
        assert_eq!(terms.subjects, Some(vec!["a.*".to_owned(), "b".to_owned()]));
        assert_eq!((terms.max_deliver, terms.dead_letter.as_deref()), (Some(3), Some("dead")));
        assert_eq!(settings.names().collect::<Vec<_>>(), ["url"]);
        for (name, value) in [("max-deliver", "0"), ("max-deliver", "x"), ("ack-wait", "1ms")] {
            let mut settings: Settings = [(name, value)].into_iter().collect();
            assert!(Terms::take(&mut settings).is_err(), "{name} = {value}");
        }
    }
}
