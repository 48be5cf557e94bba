//! What every database does.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use reef_capability::Failure;
use tokio::sync::mpsc;

use crate::{
    error::{Result, SqlError},
    value::{Kind, Value},
};

/// A row's values, as many as there are columns.
pub type Row = Vec<Value>;

/// Rows that are handed on together: as many, or as many bytes.
const BATCH: (usize, usize) = (256, 64 << 10);
/// Batches that wait for who reads them.
const WAITING: usize = 2;

/// A database server, or a folder of database files.
#[async_trait]
pub trait Sql: Send + Sync {
    /// What it takes and gives at most.
    fn most(&self) -> Most;

    /// Begins a session with the database `place`. It connects when it is first asked for something.
    ///
    /// # Errors
    /// When there can be no such database.
    async fn session(&self, place: &str, limits: Limits) -> Result<Arc<dyn Session>>;
}

/// One client's use of a database, with its transaction if it began one. When it is dropped, a statement that still
/// runs is stopped, and a transaction that was not committed is rolled back.
///
/// A session does one thing at a time: a statement waits until the rows of the one before are read or given up.
#[async_trait]
pub trait Session: Send + Sync {
    /// Runs one statement, and gives its columns and rows.
    ///
    /// # Errors
    /// When the statement or its parameters are wrong, the database refuses it, or it cannot be reached.
    async fn query(&self, statement: Statement) -> Result<Rows>;

    /// Runs one statement, and says what it changed; rows that it has are given up.
    ///
    /// # Errors
    /// As [`query`](Self::query).
    async fn execute(&self, statement: Statement) -> Result<Done>;

    /// Runs several statements without parameters.
    ///
    /// # Errors
    /// As [`query`](Self::query), of the first that fails.
    async fn batch(&self, text: Arc<str>) -> Result<()>;

    /// The number of parameters of a statement, which is not run.
    ///
    /// # Errors
    /// As [`query`](Self::query).
    async fn prepare(&self, text: Arc<str>) -> Result<usize>;

    /// What the last statement that changed something changed.
    fn last(&self) -> Done;
}

/// A statement with the values that are bound to its parameters, in their order.
#[derive(Clone, Debug)]
pub struct Statement {
    /// Its text.
    pub text: Arc<str>,
    /// The values: they are never put into the text.
    pub parameters: Arc<[Value]>,
}

/// What one session may use.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// How long one statement may take until its next rows.
    pub time: Duration,
    /// Bytes of one row.
    pub size: u64,
    /// Rows of one result.
    pub rows: u64,
}

/// What a database takes and gives at most.
#[derive(Clone, Copy, Debug)]
pub struct Most {
    /// Parameters of one statement.
    pub parameters: usize,
    /// Rows of one result.
    pub rows: u64,
}

/// What a statement changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Done {
    /// How many rows.
    pub rows: u64,
    /// The number that the database gave to the last row that was inserted, if it gave one.
    pub inserted: Option<i64>,
}

/// A column of a result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// What it holds.
    pub kind: Kind,
    /// What the database calls its type, where that says more.
    pub native: Option<Arc<str>>,
}

/// A result: its columns, and its rows as they come.
#[derive(Debug)]
pub struct Rows {
    columns: Arc<[Column]>,
    first: Option<Vec<Row>>,
    rest: Option<mpsc::Receiver<Result<Vec<Row>>>>,
    time: Duration,
    /// Stops what gives rows, when they are not wanted any more.
    _stop: Option<Box<dyn std::any::Any + Send + Sync>>,
}

/// A whole result.
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    /// Its columns.
    pub columns: Arc<[Column]>,
    /// Its rows.
    pub rows: Vec<Row>,
}

impl Rows {
    /// A result that is all here.
    pub(crate) fn whole(columns: Arc<[Column]>, rows: Vec<Row>) -> Self {
        Self { columns, first: Some(rows), rest: None, time: Duration::ZERO, _stop: None }
    }

    /// A result whose other rows are still to come; each wait for some takes at most `time`. `stop` is dropped when
    /// no more of them are wanted.
    pub(crate) fn begun(
        columns: Arc<[Column]>,
        first: Vec<Row>,
        rest: mpsc::Receiver<Result<Vec<Row>>>,
        time: Duration,
        stop: impl std::any::Any + Send + Sync,
    ) -> Self {
        Self { columns, first: Some(first), rest: Some(rest), time, _stop: Some(Box::new(stop)) }
    }

    /// Its columns.
    pub fn columns(&self) -> &Arc<[Column]> {
        &self.columns
    }

    /// The next rows, some at a time; `None` after the last.
    ///
    /// # Errors
    /// When the database fails before that. There is nothing after an error.
    pub async fn next(&mut self) -> Option<Result<Vec<Row>>> {
        if let Some(first) = self.first.take()
            && !first.is_empty()
        {
            return Some(Ok(first));
        }
        let rest = self.rest.as_mut()?;
        let next = tokio::time::timeout(self.time, rest.recv()).await;
        let next = next.unwrap_or(Some(Err(Failure::Timeout(self.time).into())));
        if !matches!(next, Some(Ok(_))) {
            (self.rest, self._stop) = (None, None);
        }
        next
    }

    /// All rows, of at most so many bytes together.
    ///
    /// # Errors
    /// When there are more, or the database fails.
    pub async fn table(mut self, most: u64) -> Result<Table> {
        let (mut rows, mut size): (Vec<Row>, u64) = (Vec::new(), 0);
        while let Some(batch) = self.next().await {
            let batch = batch?;
            size += batch.iter().map(|row| row_size(row) as u64).sum::<u64>();
            if size > most {
                return Err(Failure::TooLarge { what: "result", is: size, most }.into());
            }
            rows.extend(batch);
        }
        Ok(Table { columns: self.columns, rows })
    }
}

/// Rows on their way into a [`Rows`]: batches are made, and limits kept, here for every database.
#[derive(Debug)]
pub(crate) struct Gathered {
    limits: Limits,
    rows: Vec<Row>,
    size: usize,
    count: u64,
}

impl Gathered {
    pub(crate) fn new(limits: Limits) -> Self {
        Self { limits, rows: Vec::new(), size: 0, count: 0 }
    }

    /// Adds one; gives a batch that is full.
    pub(crate) fn add(&mut self, row: Row) -> Result<Option<Vec<Row>>> {
        let size = row_size(&row);
        let Limits { size: most, rows, .. } = self.limits;
        if size as u64 > most {
            return Err(Failure::TooLarge { what: "row", is: size as u64, most }.into());
        }
        self.count += 1;
        if self.count > rows {
            let why = format!(
                "the result has more than {rows} rows, which is all that the link gives: ask for fewer (`LIMIT`), \
                 or set `max-rows`"
            );
            return Err(Failure::TooMany(why).into());
        }
        self.size += size;
        self.rows.push(row);
        let full = self.rows.len() >= BATCH.0 || self.size >= BATCH.1;
        Ok(full.then(|| self.take()))
    }

    /// What there is.
    pub(crate) fn take(&mut self) -> Vec<Row> {
        self.size = 0;
        std::mem::take(&mut self.rows)
    }
}

pub(crate) type Batch = Result<Vec<Row>>;

pub(crate) fn channel() -> (mpsc::Sender<Batch>, mpsc::Receiver<Batch>) {
    mpsc::channel(WAITING)
}

fn row_size(row: &Row) -> usize {
    size_of::<Row>() + row.iter().map(Value::size).sum::<usize>()
}

/// What is said when all connections are in use.
pub(crate) fn crowded(most: usize) -> SqlError {
    let s = if most == 1 { "" } else { "s" };
    Failure::TooMany(format!(
        "the database's {most} connection{s} are all in use: close what is not needed, or set `max-connections`"
    ))
    .into()
}
