//! What the crate promises, shown through its public face on modules and components written here.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed test says enough"
)]

mod can_run;
mod golden;
mod guests;
mod hostile;
mod kinds;
mod needs;
mod reading;
mod text;
