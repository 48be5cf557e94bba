//! What nobody needs any more: when an object was last said to be needed is when its description was written.

use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime},
};

use async_nats::jetstream::{
    Context, object_store::ObjectInfo as Meta, response::Response, stream::Stream,
};
use futures::TryStreamExt as _;
use reef_capability::Failure;
use reef_nats::{Read, failed};
use serde::Deserialize;
use serde_json::json;

use super::{Opened, PAGE, undone};
use crate::Unheld;

/// What time it is by the clock that messages of a stream are stamped by.
pub(super) async fn time(context: &Context, stream: &Stream) -> Result<SystemTime, Failure> {
    /// `io.nats.jetstream.api.v1.stream_info_response`, since version 2.10.
    #[derive(Deserialize)]
    struct Now {
        ts: String,
    }
    let subject = format!("STREAM.INFO.{}", stream.cached_info().config.name);
    let said: Response<Now> =
        context.request(subject, &json!({})).await.map_err(|error| undone(failed(&error)))?;
    match said {
        Response::Ok(Now { ts }) => {
            let time = async_nats::datetime::parse_rfc3339(&ts);
            time.map(Into::into).map_err(|_| Failure::Backend(format!("NATS says that it is {ts}")))
        }
        Response::Err { error } => Err(undone(failed(&error))),
    }
}

impl Opened {
    /// Whether something was said so short a time ago.
    pub(super) fn is_held(&self, said: SystemTime, fresh: Duration) -> bool {
        let (time, then) = self.clock;
        let now = time + then.elapsed();
        // The clock may have been put forward or back since.
        let between = now.duration_since(said).unwrap_or_else(|later| later.duration());
        between < fresh
    }

    pub(super) async fn unheld(&self, since: Duration) -> Result<Vec<Unheld>, Failure> {
        let now = time(&self.context, &self.stream).await?;
        let is_old = |read: &Read| now.duration_since(read.at).is_ok_and(|held| held >= since);
        let of = |read: Read| {
            let meta = serde_json::from_slice::<Meta>(&read.payload).ok()?;
            let digest = (!meta.deleted).then(|| format!("sha256:{}", meta.name))?.parse().ok()?;
            Some(Unheld { digest, size: meta.size as u64, mark: read.sequence })
        };
        let mut all: Vec<Unheld> = self
            .messages(format!("$O.{}.M.>", self.name), None, PAGE)
            .await?
            .try_filter_map(|read| {
                std::future::ready(Ok(is_old(&read).then(|| of(read)).flatten()))
            })
            .try_collect()
            .await?;
        all.sort_by(|one, other| one.digest.cmp(&other.digest));
        all.dedup_by(|one, other| one.digest == other.digest);
        Ok(all)
    }

    /// Pieces of uploads that never became an object, and what says that an object was removed.
    pub(super) async fn sweep(&self, since: Duration) -> Result<usize, Failure> {
        let pieces = self.stream.info_with_subjects(self.pieces_subject("*")).await;
        let pieces = pieces.map_err(|error| undone(failed(&error)))?;
        let mut pieces: BTreeMap<String, usize> =
            pieces.try_collect().await.map_err(|error| undone(failed(&error)))?;
        // After the pieces: of all that are of an object by now, the description is there.
        let now = time(&self.context, &self.stream).await?;
        let is_old = |at: SystemTime| now.duration_since(at).is_ok_and(|held| held >= since);
        let mut metas = self.messages(format!("$O.{}.M.>", self.name), None, PAGE).await?;
        let mut gone = Vec::new();
        while let Some(read) = metas.try_next().await? {
            // What cannot be read may have any pieces.
            let Ok(meta) = serde_json::from_slice::<Meta>(&read.payload) else { return Ok(0) };
            pieces.remove(&self.pieces_subject(&meta.nuid));
            if meta.deleted && is_old(read.at) {
                gone.push(read.sequence);
            }
        }
        let mut removed = 0;
        for subject in pieces.into_keys() {
            let Some(last) = self.last_on(&subject).await? else { continue };
            if is_old(last.time.into()) {
                let purged = self.stream.purge().filter(subject).await;
                purged.map_err(|error| undone(failed(&error)))?;
                removed += 1;
            }
        }
        for sequence in gone {
            // Whoever puts it again meanwhile finds that nothing is there, and looks anew.
            let deleted = self.stream.delete_message(sequence).await;
            deleted.map_err(|error| undone(failed(&error)))?;
        }
        Ok(removed)
    }
}
