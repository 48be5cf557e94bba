//! A database as guests' interfaces use it: through its link's gate.

use std::sync::{Arc, Mutex, PoisonError};

use reef_capability::{Caller, Failure, Link, Operation};

use crate::{
    error::{Result, SqlError},
    session::{Done, Limits, Rows, Session, Sql, Statement, Table},
    value::Value,
};

const OPEN: Operation = Operation::repeatable("open");
const QUERY: Operation = Operation::once("query");
const EXECUTE: Operation = Operation::once("execute");
const BATCH: Operation = Operation::once("batch");
const PREPARE: Operation = Operation::repeatable("prepare");

static ALL: [Operation; 5] = [OPEN, QUERY, EXECUTE, BATCH, PREPARE];

/// What can be done with a database.
pub static OPERATIONS: [&Operation; 5] = [&ALL[0], &ALL[1], &ALL[2], &ALL[3], &ALL[4]];

/// A database that a workload is linked to.
#[derive(Clone, Debug)]
pub struct Database {
    link: Arc<Link<dyn Sql>>,
    place: Arc<str>,
}

/// A session with a database, on behalf of a workload. When it is dropped, its transaction is rolled back.
#[derive(Clone)]
pub struct Connection {
    link: Arc<Link<dyn Sql>>,
    session: Arc<dyn Session>,
}

impl Database {
    /// The database `place` of a link.
    pub fn new(link: Arc<Link<dyn Sql>>, place: Arc<str>) -> Self {
        Self { link, place }
    }

    /// Begins a session with it.
    ///
    /// # Errors
    /// When there can be no such database, or the link may not be used now.
    pub async fn connect(&self, caller: &Caller) -> Result<Connection> {
        let (gate, backend) = (&self.link.gate, &self.link.backend);
        let policy = gate.policy();
        let rows = backend.most().rows;
        let limits = Limits { time: policy.timeout, size: policy.size, rows };
        let session =
            through(&self.link, caller, OPERATIONS[0], || backend.session(&self.place, limits));
        Ok(Connection { session: session.await?, link: self.link.clone() })
    }
}

impl Connection {
    /// Runs a statement, and gives its rows as they come.
    ///
    /// # Errors
    /// When the link may not be used now; the statement or its parameters are wrong or too large; the database
    /// refuses it, or cannot be reached. So for all others.
    pub async fn query(&self, caller: &Caller, text: &str, parameters: Vec<Value>) -> Result<Rows> {
        let statement = self.statement(text, parameters)?;
        let attempt = || self.session.query(statement.clone());
        through(&self.link, caller, OPERATIONS[1], attempt).await
    }

    /// Runs a statement, and gives all its rows, which together may be as large as the link allows.
    ///
    /// # Errors
    /// As [`query`](Self::query).
    pub async fn fetch(
        &self,
        caller: &Caller,
        text: &str,
        parameters: Vec<Value>,
    ) -> Result<Table> {
        let statement = self.statement(text, parameters)?;
        let most = self.link.gate.policy().size;
        through(&self.link, caller, OPERATIONS[1], || async {
            self.session.query(statement.clone()).await?.table(most).await
        })
        .await
    }

    /// Runs a statement, and says what it changed.
    ///
    /// # Errors
    /// As [`query`](Self::query).
    pub async fn execute(
        &self,
        caller: &Caller,
        text: &str,
        parameters: Vec<Value>,
    ) -> Result<Done> {
        let statement = self.statement(text, parameters)?;
        let attempt = || self.session.execute(statement.clone());
        through(&self.link, caller, OPERATIONS[2], attempt).await
    }

    /// Runs several statements without parameters.
    ///
    /// # Errors
    /// As [`query`](Self::query).
    pub async fn batch(&self, caller: &Caller, text: &str) -> Result<()> {
        let text = self.statement(text, Vec::new())?.text;
        let attempt = || self.session.batch(text.clone());
        through(&self.link, caller, OPERATIONS[3], attempt).await
    }

    /// The number of parameters of a statement.
    ///
    /// # Errors
    /// As [`query`](Self::query).
    pub async fn prepare(&self, caller: &Caller, text: &str) -> Result<usize> {
        let text = self.statement(text, Vec::new())?.text;
        let attempt = || self.session.prepare(text.clone());
        through(&self.link, caller, OPERATIONS[4], attempt).await
    }

    /// What the last statement that changed something changed.
    pub fn last(&self) -> Done {
        self.session.last()
    }

    fn statement(&self, text: &str, parameters: Vec<Value>) -> Result<Statement> {
        let size = text.len() + parameters.iter().map(Value::size).sum::<usize>();
        self.link.gate.fits("statement with its parameters", size)?;
        let most = self.link.backend.most().parameters;
        if parameters.len() > most {
            let given = parameters.len();
            return Err(SqlError::invalid(format!(
                "{given} parameters were given, and a statement may have {most}"
            )));
        }
        if text.contains('\0') {
            return Err(SqlError::invalid("the statement holds a zero byte"));
        }
        Ok(Statement { text: text.into(), parameters: parameters.into() })
    }
}

/// Puts a use through its link's gate, which knows nothing of what databases say.
async fn through<T, U>(
    link: &Link<dyn Sql>,
    caller: &Caller,
    operation: &'static Operation,
    mut attempt: impl FnMut() -> U,
) -> Result<T>
where
    U: Future<Output = Result<T>>,
{
    let said = Mutex::new(None);
    let done = link.gate.run(caller, operation, || {
        let attempt = attempt();
        let said = &said;
        async move {
            attempt.await.map_err(|error| {
                *said.lock().unwrap_or_else(PoisonError::into_inner) = error.said;
                error.failure
            })
        }
    });
    done.await.map_err(|failure: Failure| {
        let said = said.into_inner().unwrap_or_else(PoisonError::into_inner);
        // After the last try, what an earlier one was told does not matter.
        let said = said.filter(|_| !failure.is_of_backend());
        SqlError { failure, said }
    })
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection").field("link", &self.link).finish_non_exhaustive()
    }
}
