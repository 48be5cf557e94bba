//! Times of the calendar.

use std::{fmt, str::FromStr};

use jiff::Zoned;

use crate::text::as_text;

/// A cron expression: five fields (minute, hour, day, month, day of the week), six with seconds before
/// them, or a name such as `@daily`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Schedule {
    text: Box<str>,
    cron: croner::Cron,
}

/// Not a schedule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{text}` is not a schedule: {fault}; write `*/5 * * * *` (minute, hour, day, month, day of the week), or `@daily`"
)]
pub struct ScheduleError {
    text: String,
    fault: String,
}

/// The longest expression. One that lists every minute and second is shorter.
const LONGEST: usize = 1024;

impl Schedule {
    /// The first time after this one, in its zone. `None`: never again.
    pub fn after(&self, time: &Zoned) -> Option<Zoned> {
        self.cron.find_next_occurrence(time, false).ok()
    }
}

impl FromStr for Schedule {
    type Err = ScheduleError;

    fn from_str(text: &str) -> Result<Self, ScheduleError> {
        let error = |fault: String| ScheduleError { text: text.chars().take(80).collect(), fault };
        if text.len() > LONGEST {
            return Err(error(format!("it is longer than {LONGEST} bytes")));
        }
        let cron =
            text.parse().map_err(|fault: croner::errors::CronError| error(fault.to_string()))?;
        Ok(Self { text: text.into(), cron })
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

as_text!(Schedule, "Schedule", "A cron expression: `*/5 * * * *`, `0 3 * * MON`, `@daily`");
