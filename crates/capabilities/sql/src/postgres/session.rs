//! A session with a PostgreSQL server.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use futures::StreamExt as _;
use reef_capability::Failure;
use reef_postgres::{
    Notice, Pool, Pooled, State,
    tokio_postgres::{self, RowStream},
};
use tokio::{
    runtime::Handle,
    sync::{Mutex as Turn, OwnedMutexGuard},
};

use super::{
    failure,
    values::{Field, Parameter, kind},
};
use crate::{
    error::{Result, SqlError},
    session::{Column, Done, Gathered, Limits, Row, Rows, Session, Statement, channel},
    transaction::{Effect, effect},
    value::Value,
};

pub(super) struct PostgresSession {
    pool: Pool,
    runtime: Handle,
    limits: Limits,
    connections: usize,
    held: Arc<Turn<Held>>,
    last: Arc<Mutex<Done>>,
}

/// The connection of a session, once it has one.
#[derive(Default)]
struct Held {
    connection: Option<Pooled>,
    /// A transaction went with its connection, and the guest may not know.
    lost: bool,
}

type Turned = OwnedMutexGuard<Held>;

impl PostgresSession {
    pub(super) fn new(pool: Pool, runtime: Handle, limits: Limits, connections: usize) -> Self {
        let (held, last) = Default::default();
        Self { pool, runtime, limits, connections, held, last }
    }

    fn failed(&self, notice: Notice) -> SqlError {
        failure(notice, self.limits, self.connections)
    }

    /// The session's turn, with a connection. `None` if the statement only says what is known: that the transaction
    /// is no more.
    async fn turn(&self, text: &str) -> Result<Option<Turned>> {
        let mut turn = self.held.clone().lock_owned().await;
        if turn.connection.as_ref().is_some_and(Pooled::is_busy) {
            // Who waited for it gave up.
            turn.leave();
        }
        if turn.lost {
            match effect(text) {
                Effect::RollsBack => {
                    turn.lost = false;
                    return Ok(None);
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
            let connection = self.pool.get().await.map_err(|notice| self.failed(notice))?;
            // A row, its header, and what an error says.
            connection.bound(self.limits.size.saturating_add(64 << 10));
            turn.connection = Some(connection);
        }
        Ok(Some(turn))
    }

    /// Does something with the connection; what goes wrong may end it.
    async fn with<T>(
        &self,
        turn: &mut Turned,
        work: impl AsyncFnOnce(&Pooled) -> Result<T, Fault>,
    ) -> Result<T> {
        let Some(connection) = &turn.connection else { return Err(ended()) };
        connection.set_busy(true);
        let done = work(connection).await;
        connection.set_busy(false);
        done.map_err(|fault| {
            if let Fault::Notice(notice) = &fault
                && notice.ends()
            {
                turn.leave();
            }
            match fault {
                Fault::Notice(notice) => self.failed(notice),
                Fault::Error(error) => error,
            }
        })
    }

    /// Binds a statement and starts it.
    async fn start(
        &self,
        connection: &Pooled,
        statement: &Statement,
    ) -> Result<(Arc<[Column]>, RowStream), Fault> {
        let Statement { text, parameters } = statement;
        let mut again = false;
        loop {
            let prepared = connection.prepare(text, again).await?;
            let bound = bind(&prepared, parameters)?;
            match connection.client()?.query_raw(&prepared, bound).await {
                Ok(rows) => {
                    let columns = prepared.columns().iter();
                    let columns = columns.map(|column| Column {
                        name: column.name().to_owned(),
                        kind: kind(column.type_()),
                        native: Some(column.type_().name().into()),
                    });
                    return Ok((columns.collect(), rows));
                }
                Err(error) => {
                    if again || connection.state() != State::Idle || !is_stale(&error) {
                        return Err(Notice::of(&error).into());
                    }
                    again = true;
                }
            }
        }
    }
}

#[async_trait]
impl Session for PostgresSession {
    async fn query(&self, statement: Statement) -> Result<Rows> {
        let Some(mut turn) = self.turn(&statement.text).await? else {
            return Ok(Rows::whole(Arc::default(), Vec::new()));
        };
        let limits = self.limits;
        let begun = self.with(&mut turn, async |connection| {
            let (columns, rows) = self.start(connection, &statement).await?;
            let mut from = From { rows: Box::pin(rows), limits: Gathered::new(limits) };
            let (first, end) = from.batch().await?;
            Ok((columns, first, end, from))
        });
        let (columns, first, end, mut from) = begun.await?;
        if let Some(changed) = end {
            self.note(changed);
            return Ok(Rows::whole(columns, first));
        }
        if let Some(connection) = &turn.connection {
            connection.set_busy(true);
        }
        let (sender, receiver) = channel();
        let (connections, last) = (self.connections, self.last.clone());
        self.runtime.spawn(async move {
            loop {
                let next = tokio::select! {
                    biased;
                    () = sender.closed() => break,
                    next = from.batch() => next,
                };
                let (batch, end) = match next {
                    Ok(next) => next,
                    Err(fault) => {
                        if let Fault::Notice(notice) = &fault
                            && !notice.ends()
                            && let Some(connection) = &turn.connection
                        {
                            connection.set_busy(false);
                        }
                        let error = match fault {
                            Fault::Notice(notice) => failure(notice, limits, connections),
                            Fault::Error(error) => error,
                        };
                        let _ = sender.send(Err(error)).await;
                        break;
                    }
                };
                if let Some(changed) = end {
                    if let Some(connection) = &turn.connection {
                        connection.set_busy(false);
                    }
                    last.lock().unwrap_or_else(PoisonError::into_inner).rows = changed;
                    drop(turn);
                    if !batch.is_empty() {
                        let _ = sender.send(Ok(batch)).await;
                    }
                    return;
                }
                if sender.send(Ok(batch)).await.is_err() {
                    break;
                }
            }
            if turn.connection.as_ref().is_some_and(Pooled::is_busy) {
                turn.leave();
            }
        });
        Ok(Rows::begun(columns, first, receiver, limits.time, ()))
    }

    async fn execute(&self, statement: Statement) -> Result<Done> {
        let Some(mut turn) = self.turn(&statement.text).await? else { return Ok(Done::default()) };
        let changed = self.with(&mut turn, async |connection| {
            let (_, mut rows) =
                self.start(connection, &statement).await.map(|(c, r)| (c, Box::pin(r)))?;
            while let Some(row) = rows.next().await {
                row?;
            }
            Ok(rows.rows_affected().unwrap_or(0))
        });
        let rows = changed.await?;
        self.note(rows);
        Ok(Done { rows, inserted: None })
    }

    async fn batch(&self, text: Arc<str>) -> Result<()> {
        let Some(mut turn) = self.turn(&text).await? else { return Ok(()) };
        self.with(&mut turn, async |connection| {
            Ok(connection.client()?.batch_execute(&text).await?)
        })
        .await
    }

    async fn prepare(&self, text: Arc<str>) -> Result<usize> {
        let Some(mut turn) = self.turn("").await? else { return Ok(0) };
        self.with(&mut turn, async |connection| {
            Ok(connection.prepare(&text, false).await?.params().len())
        })
        .await
    }

    fn last(&self) -> Done {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl PostgresSession {
    fn note(&self, rows: u64) {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).rows = rows;
    }
}

impl Held {
    /// Ends the connection.
    fn leave(&mut self) {
        if let Some(mut connection) = self.connection.take() {
            self.lost = connection.state() != State::Idle;
            if !connection.is_busy() {
                connection.end();
            }
        }
    }
}

/// Rows as they come from the server.
struct From {
    rows: std::pin::Pin<Box<RowStream>>,
    limits: Gathered,
}

impl From {
    /// The next batch; with the last one, how many rows were changed.
    async fn batch(&mut self) -> Result<(Vec<Row>, Option<u64>), Fault> {
        while let Some(row) = self.rows.next().await {
            let row = row?;
            let columns = row.columns();
            let values = (0..row.len()).map(|at| {
                let field: Result<Field, _> = row.try_get(at);
                field.map(|Field(value)| value).map_err(|error| {
                    let name = columns.get(at).map_or("", |column| column.name());
                    let source = std::error::Error::source(&error).map(ToString::to_string);
                    let why = source.unwrap_or_else(|| error.to_string());
                    Fault::Error(SqlError::invalid(format!("column `{name}` holds {why}")))
                })
            });
            let values: Vec<Value> = values.collect::<Result<_, _>>()?;
            if let Some(batch) = self.limits.add(values).map_err(Fault::Error)? {
                return Ok((batch, None));
            }
        }
        Ok((self.limits.take(), Some(self.rows.rows_affected().unwrap_or(0))))
    }
}

/// What the server, the driver or we find wrong.
enum Fault {
    Notice(Notice),
    Error(SqlError),
}

impl std::convert::From<Notice> for Fault {
    fn from(notice: Notice) -> Self {
        Self::Notice(notice)
    }
}

impl std::convert::From<tokio_postgres::Error> for Fault {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Notice(Notice::of(&error))
    }
}

impl std::convert::From<SqlError> for Fault {
    fn from(error: SqlError) -> Self {
        Self::Error(error)
    }
}

fn bind<'a>(
    prepared: &tokio_postgres::Statement,
    values: &'a [Value],
) -> Result<Vec<Parameter<'a>>> {
    let wanted = prepared.params();
    if wanted.len() != values.len() {
        return Err(SqlError::parameters(values.len(), wanted.len()));
    }
    let pairs = values.iter().zip(wanted).enumerate();
    pairs.map(|(index, (value, wanted))| Parameter::new(index, value, wanted)).collect()
}

/// Whether a statement has to be prepared again: its table was changed, or the server forgot it.
fn is_stale(error: &tokio_postgres::Error) -> bool {
    error.as_db_error().is_some_and(|said| match said.code().code() {
        "26000" => true,
        "0A000" => said.message().contains("cached plan"),
        _ => false,
    })
}

fn ended() -> SqlError {
    Failure::lost("the connection was ended").into()
}
