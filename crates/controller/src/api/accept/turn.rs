//! One application is accepted after the other, at whichever controllers: what each is checked against is all that was
//! accepted before.

use std::time::{Duration, Instant};

use reef_lattice::{
    Expected, Failure, Key,
    key::kind,
    record::{App, Turn, decode, encode},
};
use tokio::time::sleep;

use super::super::{
    change::{Fault, To, change},
    server::Server,
};
use crate::core::{AppKey, Name};

/// How long whoever had the last turn has to write what it accepted. One that takes longer may have ended; if it has not,
/// it begins anew.
const WRITTEN: Duration = Duration::from_secs(2);

/// The turn that may be taken next.
pub(super) struct Next {
    key: Key,
    before: Expected,
}

impl Server {
    /// Waits until what was accepted in the last turn is known here. `own`: what is to be accepted; of two turns of one
    /// application, its record says which is first.
    pub(super) async fn next_turn(&self, own: &AppKey) -> Result<Next, Fault> {
        let key = Key::new(&[kind::TURN]).map_err(|error| Fault::invalid(error.to_string()))?;
        let Some(entry) = self.lattice().store.get(&key).await? else {
            return Ok(Next { key, before: Expected::Absent });
        };
        let before = Expected::Revision(entry.revision);
        // One that makes no sense says of nothing that it is to be waited for.
        if let Ok(turn) = decode::<Turn>(key.as_str(), &entry.value) {
            let app = AppKey::new(&turn.namespace, &turn.app);
            if app == *own {
                return Ok(Next { key, before });
            }
            let until = Instant::now() + WRITTEN;
            while !self.is_written(&app, turn.number).await? {
                if Instant::now() >= until {
                    self.use_up(&app, turn.number).await?;
                    break;
                }
                sleep(Duration::from_millis(10)).await;
            }
            self.follow_record(Name::App(app)).await?;
        }
        Ok(Next { key, before })
    }

    /// Uses up the number of a turn whose time is over: whoever has it may still come to write, and then has to look
    /// at everything again.
    async fn use_up(&self, app: &AppKey, number: u64) -> Result<(), Fault> {
        let runs = self.core().newest_there(app).is_some();
        let used = change(self.lattice(), Name::App(app.clone()), |known: Option<App>| {
            let known = match known {
                Some(known) if known.next > number => return Ok(To::Same),
                Some(known) => known,
                // The store has forgotten it, and hosts have not: a record without a revision would end it.
                None if runs => return Ok(To::Same),
                None => App { deleted: true, ..App::default() },
            };
            Ok(To::Put(App { next: number.saturating_add(1), ..known }))
        });
        used.await.map(drop)
    }

    async fn is_written(&self, app: &AppKey, number: u64) -> Result<bool, Fault> {
        let Some(key) = Name::App(app.clone()).key() else { return Ok(true) };
        let entry = self.lattice().store.get(&key).await?;
        // One that makes no sense is not waited for.
        let written = |app: App| app.next > number;
        Ok(entry.is_some_and(|entry| decode(key.as_str(), &entry.value).map_or(true, written)))
    }

    /// Takes a turn for a revision of an application. `false` where another one was accepted meanwhile: then all is to
    /// be looked at once more.
    pub(super) async fn take_turn(
        &self,
        Next { key, before }: Next,
        app: &AppKey,
        number: u64,
    ) -> Result<bool, Fault> {
        let (namespace, app) = (app.namespace.to_string(), app.app.to_string());
        let turn = encode(&Turn { namespace, app, number })?;
        match self.lattice().store.put(&key, turn, before).await {
            Ok(_) => Ok(true),
            Err(Failure::Conflict(_)) => Ok(false),
            Err(failure) => Err(failure.into()),
        }
    }
}
