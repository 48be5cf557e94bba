//! Libraries that assert what a hostile binary can make untrue.

use std::any::Any;
use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;

use crate::error::visible;

/// Of what a library says, in characters.
const MAX_CAUSE: usize = 2_000;

thread_local! {
    static CONTAINED: Cell<bool> = const { Cell::new(false) };
}

/// Why a library gave up.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct GaveUp(String);

/// Runs a library on bytes from outside, and turns its panic into an error, which is not printed.
pub(crate) fn contained<T, E: std::fmt::Display>(
    work: impl FnOnce() -> Result<T, E>,
) -> Result<T, GaveUp> {
    static HOOK: Once = Once::new();
    if !std::thread::panicking() {
        HOOK.call_once(|| {
            let previous = panic::take_hook();
            panic::set_hook(Box::new(move |info| {
                if !CONTAINED.get() {
                    previous(info);
                }
            }));
        });
    }
    let before = CONTAINED.replace(true);
    let outcome = panic::catch_unwind(AssertUnwindSafe(work));
    CONTAINED.set(before);
    match outcome {
        // The alternate form of `anyhow` errors is the whole chain in one line.
        Ok(result) => result.map_err(|error| GaveUp(visible(&format!("{error:#}"), MAX_CAUSE))),
        Err(payload) => Err(GaveUp(visible(said(payload.as_ref()), MAX_CAUSE))),
    }
}

fn said(payload: &(dyn Any + Send)) -> &str {
    let text = payload.downcast_ref::<&str>().copied();
    text.or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no reason given")
}
