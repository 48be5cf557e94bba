//! Rows and times, for people.

use std::{
    io::{self, Write as _},
    time::{Duration, SystemTime},
};

/// Prints rows in columns as wide as they need to be.
pub(crate) fn print<const N: usize>(rows: &[[String; N]]) -> anyhow::Result<i32> {
    write!(io::stdout(), "{}", aligned(rows))?;
    Ok(0)
}

/// Rows in columns; none ends in blanks.
pub(crate) fn aligned<const N: usize>(rows: &[[String; N]]) -> String {
    let mut widths = [0; N];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = String::new();
    for row in rows {
        let line: Vec<_> =
            row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        text.push_str(line.join("  ").trim_end());
        text.push('\n');
    }
    text
}

/// How long ago that was, in its largest unit.
pub(crate) fn ago(seconds: Option<f64>) -> String {
    let Some(then) = seconds else { return String::new() };
    short(now().saturating_sub(Duration::try_from_secs_f64(then).unwrap_or_default()))
}

/// How long it is until then.
pub(crate) fn until(seconds: f64) -> String {
    short(Duration::try_from_secs_f64(seconds).unwrap_or_default().saturating_sub(now()))
}

fn now() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}

pub(crate) fn short(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m", seconds / 60),
        3600..86_400 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}
