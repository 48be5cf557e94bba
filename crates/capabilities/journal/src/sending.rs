//! Sending what waits.

use std::{sync::Arc, time::Duration};

use futures::future::BoxFuture;
use reef_capability::Failure;
use tokio::{runtime::Handle, time::timeout};

use crate::{Entry, Journal};

/// Pauses between tries: the first, and the longest.
const PAUSE: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));
/// How long one entry may take.
const WITHIN: Duration = Duration::from_secs(10);

/// A link's part in sending what waits in a journal. When it is dropped, what waits still goes out for as long as the
/// host runs and no other link sends it.
#[derive(Debug)]
pub struct Sending {
    journal: Arc<Journal>,
    _ended: tokio::sync::oneshot::Sender<()>,
}

/// Sends one entry. It may be one that was sent before: it is to come to the same.
type Send =
    Box<dyn Fn(Entry) -> BoxFuture<'static, Result<(), Failure>> + std::marker::Send + Sync>;

impl Sending {
    /// Begins.
    pub fn start(journal: Arc<Journal>, runtime: &Handle, send: Send) -> Self {
        let (_ended, mut gone) = tokio::sync::oneshot::channel::<()>();
        journal.used(1);
        let of = journal.clone();
        runtime.spawn(async move {
            let mut now = of.now();
            let mut pause = PAUSE.0;
            let mut failing = false;
            loop {
                let is = *now.borrow_and_update();
                if gone.is_terminated() && (is.waiting == 0 || is.users > 0) {
                    return;
                }
                if is.waiting == 0 {
                    tokio::select! {
                        changed = now.changed() => if changed.is_err() { return },
                        _ = &mut gone => {}
                    }
                    continue;
                }
                match next(&of, &send).await {
                    Ok(left) => {
                        pause = PAUSE.0;
                        if std::mem::take(&mut failing) {
                            tracing::info!(journal = %of.path().display(), left, "What waited goes out.");
                        }
                    }
                    Err(failure) => {
                        if !std::mem::replace(&mut failing, true) {
                            let (journal, waiting) = (of.path().display(), of.len());
                            tracing::warn!(%journal, waiting, %failure, "It cannot be sent now, and waits.");
                        }
                        // Those that failed together do not come back together.
                        let wait = pause.mul_f64(0.5 + fastrand::f64() / 2.0);
                        tokio::select! {
                            () = tokio::time::sleep(wait) => {}
                            _ = &mut gone, if !gone.is_terminated() => {}
                        }
                        pause = (pause * 2).min(PAUSE.1);
                    }
                }
            }
        });
        Self { journal, _ended }
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        self.journal.used(-1);
    }
}

/// Sends the first one; how many are left.
async fn next(journal: &Journal, send: &Send) -> Result<usize, Failure> {
    let _turn = journal.turn.lock().await;
    let Some(entry) = journal.first() else { return Ok(0) };
    let number = entry.number;
    let sent = timeout(WITHIN, send(entry)).await.unwrap_or(Err(Failure::Timeout(WITHIN)));
    match sent {
        Ok(()) => journal.done(number).await?,
        Err(failure @ (Failure::Invalid(_) | Failure::TooLarge { .. } | Failure::Conflict(_))) => {
            let file = journal.path().display();
            tracing::error!(%file, number, %failure, "It can never be sent, and is put aside.");
            journal.put_aside(number, failure.to_string()).await?;
        }
        Err(failure) => return Err(failure),
    }
    Ok(journal.len())
}

#[cfg(test)]
mod tests;
