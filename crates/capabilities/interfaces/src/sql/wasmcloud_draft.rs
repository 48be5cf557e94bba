//! `wasmcloud:postgres@0.1.1-draft`.

use reef_capability::{Caller, Failure};
use reef_sql::{Connection, Database};

use self::wasmcloud::postgres::{
    prepared, query,
    types::{self, PreparedStatementExecError, QueryError, ResultRowEntry, StatementPrepareError},
};
use super::{prepared_text, prepared_token, wasmcloud_values::pg_values};
use crate::View;

wasmtime::component::bindgen!({
    path: "wit/wasmcloud-postgres-0.1.1-draft.wit",
    imports: { default: async | trappable },
});

pg_values!(types);

const QUERY: &str = "wasmcloud:postgres/query@0.1.1-draft";
const PREPARED: &str = "wasmcloud:postgres/prepared@0.1.1-draft";

impl From<SqlError> for QueryError {
    fn from(error: SqlError) -> Self {
        let text = error.to_string();
        match (super::kind(&error), error.failure) {
            (super::Kind::Parameter, _) => Self::InvalidParams(text),
            (_, Failure::Invalid(_) | Failure::Conflict(_)) => Self::InvalidQuery(text),
            _ => Self::Unexpected(text),
        }
    }
}

/// The workload's database, and for whom it is used.
struct Use(Result<Database, Failure>, Caller);

impl View<'_> {
    fn draft(&self, import: &str) -> Use {
        Use(self.default_database(import), self.instance.caller.clone())
    }
}

impl Use {
    async fn session(self) -> Result<(Connection, Caller), SqlError> {
        let Self(database, caller) = self;
        Ok((database?.connect(&caller).await?, caller))
    }

    async fn query(
        self,
        text: &str,
        values: Vec<PgValue>,
    ) -> Result<Vec<Vec<ResultRowEntry>>, SqlError> {
        let values = parameters(values)?;
        let (session, caller) = self.session().await?;
        let table = session.fetch(&caller, text, values).await?;
        let columns = &table.columns;
        let rows = table.rows.into_iter().map(|row| {
            let entries =
                row.into_iter().zip(columns.iter()).map(|(value, column)| ResultRowEntry {
                    column_name: column.name.clone(),
                    value: field(value, column.native.as_deref()),
                });
            entries.collect()
        });
        Ok(rows.collect())
    }

    async fn batch(self, text: &str) -> Result<(), SqlError> {
        let (session, caller) = self.session().await?;
        session.batch(&caller, text).await
    }

    async fn prepare(self, text: &str) -> Result<usize, SqlError> {
        let (session, caller) = self.session().await?;
        session.prepare(&caller, text).await
    }

    async fn execute(self, text: &str, values: Vec<PgValue>) -> Result<u64, SqlError> {
        let values = parameters(values)?;
        let (session, caller) = self.session().await?;
        Ok(session.execute(&caller, text, values).await?.rows)
    }
}

impl types::Host for View<'_> {}

impl query::Host for View<'_> {
    async fn query(
        &mut self,
        text: String,
        values: Vec<PgValue>,
    ) -> wasmtime::Result<Result<Vec<Vec<ResultRowEntry>>, QueryError>> {
        Ok(self.draft(QUERY).query(&text, values).await.map_err(Into::into))
    }

    async fn query_batch(&mut self, text: String) -> wasmtime::Result<Result<(), QueryError>> {
        Ok(self.draft(QUERY).batch(&text).await.map_err(Into::into))
    }
}

impl prepared::Host for View<'_> {
    async fn prepare(
        &mut self,
        text: String,
    ) -> wasmtime::Result<Result<String, StatementPrepareError>> {
        let prepared = self.draft(PREPARED).prepare(&text).await;
        Ok(match prepared {
            Ok(_) => Ok(prepared_token(&text)),
            Err(error) => Err(StatementPrepareError::Unexpected(error.to_string())),
        })
    }

    async fn exec(
        &mut self,
        token: String,
        values: Vec<PgValue>,
    ) -> wasmtime::Result<Result<u64, PreparedStatementExecError>> {
        let Some(text) = prepared_text(&token) else {
            return Ok(Err(PreparedStatementExecError::UnknownPreparedQuery));
        };
        let done = self.draft(PREPARED).execute(text, values).await;
        Ok(done.map_err(|error| PreparedStatementExecError::QueryError(error.into())))
    }
}
