//! A session with a database file.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use async_trait::async_trait;
use reef_capability::Failure;
use tokio::sync::{Mutex as Turn, OwnedMutexGuard, mpsc, oneshot};

use super::{
    File, Held,
    connection::Kept,
    values::{bound, failure, read},
};
use crate::{
    error::{Result, SqlError},
    session::{Column, Done, Gathered, Limits, Row, Rows, Session, Statement, channel},
    value::Kind,
};

pub(crate) struct EmbeddedSession {
    file: Arc<File>,
    limits: Limits,
    held: Arc<Turn<Option<Held>>>,
    last: Arc<Mutex<Done>>,
}

/// Stops the statement that it is for when nobody waits for it any more.
struct GiveUp(Option<Arc<AtomicBool>>);

/// What does a statement, on a thread where it may block.
struct Job {
    name: String,
    limits: Limits,
    last: Arc<Mutex<Done>>,
    given_up: Arc<AtomicBool>,
}

/// Where the rows of a query go: what is there when the statement has ended goes at once, and more of it in batches.
struct Out {
    answer: Option<oneshot::Sender<Result<Rows>>>,
    rest: Option<mpsc::Sender<Result<Vec<Row>>>>,
    limits: Limits,
    stop: Option<GiveUp>,
}

/// Columns, and the last batch.
type End = (Arc<[Column]>, Vec<Row>);

impl EmbeddedSession {
    pub(crate) fn new(file: Arc<File>, limits: Limits) -> Self {
        Self { file, limits, held: Arc::default(), last: Arc::default() }
    }

    /// The session's turn, with a connection.
    async fn turn(&self) -> Result<OwnedMutexGuard<Option<Held>>> {
        let mut turn = self.held.clone().lock_owned().await;
        if turn.is_none() {
            *turn = Some(self.file.hold(self.limits).await?);
        }
        Ok(turn)
    }

    /// Runs something with the connection, on a thread where it may block.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Job, &mut Kept) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let turn = self.turn().await?;
        let job = self.job();
        let _stop = GiveUp::new(&job.given_up);
        let done = self.file.runtime.spawn_blocking(move || job.with(turn, work));
        done.await.unwrap_or_else(|_| Err(ended()))
    }

    fn job(&self) -> Job {
        let (name, last) = (self.file.name.clone(), self.last.clone());
        Job { name, limits: self.limits, last, given_up: Arc::default() }
    }
}

#[async_trait]
impl Session for EmbeddedSession {
    async fn query(&self, statement: Statement) -> Result<Rows> {
        let turn = self.turn().await?;
        let job = self.job();
        let (answer, answered) = oneshot::channel();
        // Until there is an answer, who waits for it stops the statement; then it is who reads the rows.
        let stop = GiveUp::new(&job.given_up);
        let mut out = Out {
            answer: Some(answer),
            rest: None,
            limits: self.limits,
            stop: Some(GiveUp::new(&job.given_up)),
        };
        self.file.runtime.spawn_blocking(move || {
            let end = job.with(turn, |job, kept| {
                job.run(kept, &statement, |columns, rows| out.batch(columns, rows))
            });
            out.end(end);
        });
        let rows = answered.await.unwrap_or_else(|_| Err(ended()));
        if rows.is_ok() {
            stop.disarm();
        }
        rows
    }

    async fn execute(&self, statement: Statement) -> Result<Done> {
        self.blocking(move |job, kept| {
            let before = kept.connection.total_changes();
            job.run(kept, &statement, |_, _| true)?;
            let last = *job.last.lock().unwrap_or_else(PoisonError::into_inner);
            let changed = kept.connection.total_changes() != before;
            Ok(if changed { last } else { Done { rows: 0, ..last } })
        })
        .await
    }

    async fn batch(&self, text: Arc<str>) -> Result<()> {
        self.blocking(move |job, kept| {
            let began = !kept.connection.is_autocommit();
            let done = kept.connection.execute_batch(&text);
            done.map_err(|error| job.failed(kept, error, began))
        })
        .await
    }

    async fn prepare(&self, text: Arc<str>) -> Result<usize> {
        self.blocking(move |job, kept| {
            let count = kept.connection.prepare_cached(&text).map(|one| one.parameter_count());
            count.map_err(|error| job.failed(kept, error, false))
        })
        .await
    }

    fn last(&self) -> Done {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Job {
    /// Does it, with the connection of a session whose turn it is.
    fn with<T>(
        &self,
        mut turn: OwnedMutexGuard<Option<Held>>,
        work: impl FnOnce(&Self, &mut Kept) -> Result<T>,
    ) -> Result<T> {
        let kept = turn.as_mut().ok_or_else(ended)?.get(self.limits)?;
        kept.watch.begin(&self.given_up, self.limits.time);
        let done = work(self, kept);
        kept.watch.end();
        done
    }

    /// Runs a statement. Full batches are given to `more`, which says whether it wants others.
    fn run(
        &self,
        kept: &Kept,
        statement: &Statement,
        mut more: impl FnMut(&Arc<[Column]>, Vec<Row>) -> bool,
    ) -> Result<End> {
        let Kept { connection, watch, .. } = kept;
        let began = !connection.is_autocommit();
        let failed = |error| self.failed(kept, error, began);
        let Statement { text, parameters } = statement;
        let mut prepared = connection.prepare_cached(text).map_err(failed)?;
        let wanted = prepared.parameter_count();
        if wanted != parameters.len() {
            return Err(SqlError::parameters(parameters.len(), wanted));
        }
        for (index, value) in parameters.iter().enumerate() {
            prepared.raw_bind_parameter(index + 1, bound(index, value)?).map_err(failed)?;
        }
        let columns = prepared.column_names();
        let columns: Arc<[Column]> = columns
            .map(|name| Column { name: name.to_owned(), kind: Kind::Any, native: None })
            .collect();
        let changes = !prepared.readonly();

        let mut gathered = Gathered::new(self.limits);
        let mut rows = prepared.raw_query();
        while let Some(row) = rows.next().map_err(failed)? {
            let values = columns
                .iter()
                .enumerate()
                .map(|(at, column)| read(row.get_ref(at).map_err(failed)?, &column.name));
            if let Some(batch) = gathered.add(values.collect::<Result<_>>()?)? {
                if !more(&columns, batch) {
                    return Err(ended());
                }
                // Its time is that until the next rows; who reads them may take more.
                watch.begin(&self.given_up, self.limits.time);
            }
        }
        drop(rows);
        if changes {
            self.changed(kept, text);
        }
        Ok((columns, gathered.take()))
    }

    /// Notes what a statement changed. SQLite's own counts are those of whoever had the connection.
    fn changed(&self, kept: &Kept, text: &str) {
        let text = text.to_ascii_lowercase();
        let holds = |words: &[&str]| words.iter().any(|word| text.contains(word));
        let inserts = holds(&["insert", "replace"]);
        if inserts || holds(&["update", "delete"]) {
            let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
            last.rows = kept.connection.changes();
            if inserts {
                last.inserted = Some(kept.connection.last_insert_rowid());
            }
        }
    }

    fn failed(&self, kept: &Kept, error: rusqlite::Error, began: bool) -> SqlError {
        let mut error = failure(error, &self.name, kept.watch.refused(), self.limits.time);
        if began && kept.connection.is_autocommit() {
            // SQLite does so after some errors. What follows would not be in a transaction.
            let undone = "; the transaction was rolled back";
            match &mut error.failure {
                Failure::Conflict(why) | Failure::Full(why) | Failure::Backend(why) => {
                    why.push_str(undone);
                }
                _ => {}
            }
        }
        error
    }
}

impl Out {
    fn batch(&mut self, columns: &Arc<[Column]>, rows: Vec<Row>) -> bool {
        let Some(answer) = self.answer.take() else {
            return self.rest.as_ref().is_some_and(|rest| rest.blocking_send(Ok(rows)).is_ok());
        };
        let (sender, receiver) = channel();
        self.rest = Some(sender);
        let stop = self.stop.take();
        let begun = Rows::begun(columns.clone(), rows, receiver, self.limits.time, stop);
        answer.send(Ok(begun)).is_ok()
    }

    fn end(mut self, end: Result<End>) {
        if let Some(answer) = self.answer.take() {
            let _ = answer.send(end.map(|(columns, rows)| Rows::whole(columns, rows)));
        } else if let Some(rest) = self.rest.take() {
            let last = end.map(|(_, rows)| rows);
            if !last.as_ref().is_ok_and(Vec::is_empty) {
                let _ = rest.blocking_send(last);
            }
        }
    }
}

impl GiveUp {
    fn new(flag: &Arc<AtomicBool>) -> Self {
        Self(Some(flag.clone()))
    }

    fn disarm(mut self) {
        self.0 = None;
    }
}

impl Drop for GiveUp {
    fn drop(&mut self) {
        if let Some(flag) = &self.0 {
            flag.store(true, Ordering::Relaxed);
        }
    }
}

/// The thread that did it is no more, or nobody waits for what it does.
fn ended() -> SqlError {
    Failure::lost("the statement was given up").into()
}
