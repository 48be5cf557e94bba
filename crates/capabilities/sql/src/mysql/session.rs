//! A session with a MySQL server.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use mysql_async::{BinaryProtocol, Params, QueryResult, prelude::Queryable as _};
use reef_capability::Failure;
use tokio::{
    runtime::Handle,
    sync::{Mutex as Turn, OwnedMutexGuard, mpsc, oneshot},
};

use super::{
    failure,
    pool::{Pool, Pooled},
    values::{bound, kind, read},
};
use crate::{
    error::{Result, SqlError},
    session::{Column, Done, Gathered, Limits, Row, Rows, Session, Statement, channel},
    transaction::{Effect, effect},
};

pub(super) struct MysqlSession {
    pool: Pool,
    runtime: Handle,
    limits: Limits,
    held: Arc<Turn<Held>>,
    last: Arc<Mutex<Done>>,
}

/// The connection of a session, once it has one.
#[derive(Default)]
struct Held {
    connection: Option<Pooled>,
    /// Whether it is in a transaction, as its statements say.
    transaction: bool,
    /// A transaction went with its connection, and the guest may not know.
    lost: bool,
}

type Turned = OwnedMutexGuard<Held>;

/// What is done with a connection, in a task of its own: the driver's connections do not outlive being left in the
/// middle.
enum Task {
    Query(Statement, oneshot::Sender<Result<Rows>>),
    Execute(Statement, oneshot::Sender<Result<Done>>),
    Batch(Arc<str>, oneshot::Sender<Result<()>>),
    Prepare(Arc<str>, oneshot::Sender<Result<usize>>),
}

impl MysqlSession {
    pub(super) fn new(pool: Pool, runtime: Handle, limits: Limits) -> Self {
        Self { pool, runtime, limits, held: Arc::default(), last: Arc::default() }
    }

    async fn run<T>(
        &self,
        text: Arc<str>,
        known: impl FnOnce() -> T,
        task: impl FnOnce(oneshot::Sender<Result<T>>) -> Task,
    ) -> Result<T> {
        let mut turn = self.held.clone().lock_owned().await;
        if turn.lost {
            match effect(&text) {
                Effect::RollsBack => {
                    turn.lost = false;
                    return Ok(known());
                }
                Effect::Begins => turn.lost = false,
                found => {
                    turn.lost = found != Effect::Commits;
                    let why =
                        "the transaction was lost with its connection: roll back, and begin again";
                    return Err(Failure::Conflict(why.to_owned()).into());
                }
            }
        }
        if turn.connection.is_none() {
            turn.connection = Some(self.pool.get().await?);
            turn.transaction = false;
        }
        let (answer, answered) = oneshot::channel();
        let job = Job { limits: self.limits, last: self.last.clone() };
        self.runtime.spawn(job.run(turn, text, task(answer)));
        answered.await.unwrap_or_else(|_| {
            Err(Failure::lost("what the server sent made no sense, or the host is ending").into())
        })
    }
}

#[async_trait]
impl Session for MysqlSession {
    async fn query(&self, statement: Statement) -> Result<Rows> {
        let empty = || Rows::whole(Arc::default(), Vec::new());
        self.run(statement.text.clone(), empty, |answer| Task::Query(statement, answer)).await
    }

    async fn execute(&self, statement: Statement) -> Result<Done> {
        let text = statement.text.clone();
        self.run(text, Done::default, |answer| Task::Execute(statement, answer)).await
    }

    async fn batch(&self, text: Arc<str>) -> Result<()> {
        self.run(text.clone(), || (), |answer| Task::Batch(text, answer)).await
    }

    async fn prepare(&self, text: Arc<str>) -> Result<usize> {
        self.run("".into(), || 0, |answer| Task::Prepare(text, answer)).await
    }

    fn last(&self) -> Done {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Job {
    limits: Limits,
    last: Arc<Mutex<Done>>,
}

/// How a task ended for its connection.
enum End {
    /// It can be used again.
    Well,
    /// It is broken.
    Broken,
    /// Nobody waits any more, and the server may be at work.
    Left,
}

impl Job {
    async fn run(self, mut turn: Turned, text: Arc<str>, task: Task) {
        let Some(mut connection) = turn.connection.take() else { return };
        let end = match task {
            Task::Query(statement, answer) => self.query(&mut connection, statement, answer).await,
            Task::Execute(statement, mut answer) => {
                let work = self.execute(&mut connection, &statement);
                self.answer(work, &mut answer).await.send(answer)
            }
            Task::Batch(text, mut answer) => {
                let work = async {
                    let connection = connection.connection().map_err(|error| (error, true))?;
                    let done = connection.query_drop(&*text).await;
                    done.map_err(|error| failure(error, self.limits))
                };
                self.answer(work, &mut answer).await.send(answer)
            }
            Task::Prepare(text, mut answer) => {
                let work = async {
                    let connection = connection.connection().map_err(|error| (error, true))?;
                    let prepared = connection.prep(&*text).await;
                    let prepared = prepared.map_err(|error| failure(error, self.limits))?;
                    Ok(usize::from(prepared.num_params()))
                };
                self.answer(work, &mut answer).await.send(answer)
            }
        };
        match end {
            End::Well => {
                match effect(&text) {
                    Effect::Begins => turn.transaction = true,
                    Effect::Commits | Effect::RollsBack => turn.transaction = false,
                    Effect::None => {}
                }
                turn.connection = Some(connection);
            }
            End::Broken => {
                turn.lost = turn.transaction;
                connection.discard();
            }
            End::Left => {
                turn.lost = turn.transaction;
                drop(turn);
                connection.end().await;
            }
        }
    }

    /// Waits for the work for as long as somebody waits for its answer.
    async fn answer<T>(
        &self,
        work: impl Future<Output = Result<T, (SqlError, bool)>>,
        answer: &mut oneshot::Sender<Result<T>>,
    ) -> Outcome<T> {
        tokio::select! {
            biased;
            () = answer.closed() => Outcome(None, End::Left),
            done = work => match done {
                Ok(done) => Outcome(Some(Ok(done)), End::Well),
                Err((error, true)) => Outcome(Some(Err(error)), End::Broken),
                Err((error, false)) => Outcome(Some(Err(error)), End::Well),
            },
        }
    }

    async fn execute(
        &self,
        connection: &mut Pooled,
        statement: &Statement,
    ) -> Result<Done, (SqlError, bool)> {
        let result = start(connection, statement, self.limits).await?;
        let done = Done {
            rows: result.affected_rows(),
            inserted: result.last_insert_id().and_then(|id| i64::try_from(id).ok()),
        };
        result.drop_result().await.map_err(|error| failure(error, self.limits))?;
        self.note(done);
        Ok(done)
    }

    async fn query(
        &self,
        connection: &mut Pooled,
        statement: Statement,
        mut answer: oneshot::Sender<Result<Rows>>,
    ) -> End {
        let limits = self.limits;
        let begun = async {
            let result = start(connection, &statement, limits).await?;
            let columns: Arc<[Column]> = result
                .columns_ref()
                .iter()
                .map(|one| Column {
                    name: one.name_str().into_owned(),
                    kind: kind(one),
                    native: None,
                })
                .collect();
            let mut from = From { result, columns, gathered: Gathered::new(limits), limits };
            let (first, ended) = from.batch().await?;
            Ok((from, first, ended))
        };
        let begun = tokio::select! {
            biased;
            () = answer.closed() => return End::Left,
            begun = begun => begun,
        };
        let (from, first, ended) = match begun {
            Ok(begun) => begun,
            Err((error, ends)) => {
                let _ = answer.send(Err(error));
                // Rows that were not read are in the way of the next statement.
                return if ends { End::Broken } else { End::Well };
            }
        };
        if ended {
            self.note(Done {
                rows: from.result.affected_rows(),
                inserted: from.result.last_insert_id().and_then(|id| i64::try_from(id).ok()),
            });
            let _ = answer.send(Ok(Rows::whole(from.columns, first)));
            return End::Well;
        }
        let (sender, receiver) = channel();
        let rows = Rows::begun(from.columns.clone(), first, receiver, limits.time, ());
        if answer.send(Ok(rows)).is_err() {
            return End::Left;
        }
        from.rest(sender).await
    }

    fn note(&self, done: Done) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let inserted = done.inserted.or(last.inserted);
        *last = Done { rows: done.rows, inserted };
    }
}

struct Outcome<T>(Option<Result<T>>, End);

impl<T> Outcome<T> {
    fn send(self, answer: oneshot::Sender<Result<T>>) -> End {
        if let Some(done) = self.0 {
            let _ = answer.send(done);
        }
        self.1
    }
}

/// Rows as they come from the server.
struct From<'a> {
    result: QueryResult<'a, 'static, BinaryProtocol>,
    columns: Arc<[Column]>,
    gathered: Gathered,
    limits: Limits,
}

impl From<'_> {
    /// The next batch, and whether it is the last.
    async fn batch(&mut self) -> Result<(Vec<Row>, bool), (SqlError, bool)> {
        loop {
            let row = self.result.next().await.map_err(|error| failure(error, self.limits))?;
            let Some(row) = row else { return Ok((self.gathered.take(), true)) };
            let values = row.unwrap_raw().into_iter().zip(self.columns.iter());
            let values = values.map(|(value, column)| {
                read(value.unwrap_or(mysql_async::Value::NULL), &column.kind, &column.name)
            });
            // What was not read is in the way of the next statement: the connection is not kept.
            let row = values.collect::<Result<Row>>().map_err(|error| (error, true))?;
            if let Some(batch) = self.gathered.add(row).map_err(|error| (error, true))? {
                return Ok((batch, false));
            }
        }
    }

    async fn rest(mut self, sender: mpsc::Sender<Result<Vec<Row>>>) -> End {
        loop {
            let next = tokio::select! {
                biased;
                () = sender.closed() => return End::Left,
                next = self.batch() => next,
            };
            match next {
                Ok((batch, ended)) => {
                    let wanted = batch.is_empty() || sender.send(Ok(batch)).await.is_ok();
                    if ended {
                        return End::Well;
                    }
                    if !wanted {
                        return End::Left;
                    }
                }
                Err((error, ends)) => {
                    let _ = sender.send(Err(error)).await;
                    return if ends { End::Left } else { End::Well };
                }
            }
        }
    }
}

/// Binds a statement and starts it. With an error: whether the connection is of no more use.
async fn start<'a>(
    connection: &'a mut Pooled,
    statement: &Statement,
    limits: Limits,
) -> Result<QueryResult<'a, 'static, BinaryProtocol>, (SqlError, bool)> {
    let Statement { text, parameters } = statement;
    let connection = connection.connection().map_err(|error| (error, true))?;
    let prepared = connection.prep(&**text).await.map_err(|error| failure(error, limits))?;
    let wanted = usize::from(prepared.num_params());
    if wanted != parameters.len() {
        return Err((SqlError::parameters(parameters.len(), wanted), false));
    }
    let values = parameters.iter().enumerate().map(|(index, value)| bound(index, value));
    let values = values.collect::<Result<Vec<_>>>().map_err(|error| (error, false))?;
    let values = if values.is_empty() { Params::Empty } else { Params::Positional(values) };
    connection.exec_iter(prepared, values).await.map_err(|error| failure(error, limits))
}
