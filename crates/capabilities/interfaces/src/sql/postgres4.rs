//! `spin:postgres@4.2.0`, of which 4.0.0 and 4.1.0 are parts.

mod plain;
mod values;

pub(super) use self::plain::add_plain;
use reef_sql::{Connection, Database, Result as Own, Server, SqlError, Value};
use wasmtime::component::{Accessor, FutureReader, Resource, StreamReader};

use self::{
    spin::postgres::postgres::{
        self, Column, DbError, DbValue, Error, Host, HostConnection, HostConnectionBuilder,
        ParameterValue, QueryError, RowSet,
    },
    values::{bound, column, field},
};
use super::rows::stream;
use crate::{Capable, OfInstance, View, instance::of_caller};

wasmtime::component::bindgen!({
    path: "wit/spin-postgres-4.2.0.wit",
    imports: { default: async | trappable },
    with: {
        "spin:postgres/postgres.connection": reef_sql::Connection,
        "spin:postgres/postgres.connection-builder": crate::sql::postgres4::Builder,
    },
});

/// The name that it is offered under.
pub(super) const IMPORT: &str = "spin:postgres/postgres@4.2.0";

type Answer<T> = wasmtime::Result<Result<T, Error>>;
type Streamed = (Vec<Column>, StreamReader<Vec<DbValue>>, FutureReader<Result<(), Error>>);

/// What a connection will be made with.
#[derive(Clone, Debug)]
#[allow(unreachable_pub, reason = "generated code names it")]
pub struct Builder {
    address: String,
    authority: Option<String>,
}

impl From<SqlError> for Error {
    fn from(error: SqlError) -> Self {
        let text = error.to_string();
        match super::kind(&error) {
            super::Kind::Connection => Self::ConnectionFailed(text),
            super::Kind::Parameter => Self::BadParameter(text),
            super::Kind::Conversion => Self::ValueConversionFailed(text),
            super::Kind::Other => Self::Other(text),
            super::Kind::Query => Self::QueryFailed(match error.said {
                None => QueryError::Text(text),
                Some(said) => QueryError::DbError(DbError {
                    as_text: text,
                    severity: said.severity,
                    code: said.code,
                    message: said.message,
                    detail: said.detail,
                    extras: said.extras,
                }),
            }),
        }
    }
}

fn parameters(values: Vec<ParameterValue>) -> Own<Vec<Value>> {
    values.into_iter().enumerate().map(|(index, value)| bound(index, value)).collect()
}

fn row(values: reef_sql::Row) -> Vec<DbValue> {
    values.into_iter().map(field).collect()
}

impl Host for View<'_> {}

impl HostConnectionBuilder for View<'_> {
    async fn new(&mut self, address: String) -> wasmtime::Result<Resource<Builder>> {
        Ok(self.table.push(Builder { address, authority: None })?)
    }

    async fn set_ca_root(&mut self, builder: Resource<Builder>, certificate: String) -> Answer<()> {
        self.table.get_mut(&builder)?.authority = Some(certificate);
        Ok(Ok(()))
    }

    async fn build(&mut self, builder: Resource<Builder>) -> Answer<Resource<Connection>> {
        let database = self.built(&builder)?;
        Ok(self.connect(database).await.map_err(Into::into))
    }

    async fn drop(&mut self, builder: Resource<Builder>) -> wasmtime::Result<()> {
        self.table.delete(builder)?;
        Ok(())
    }
}

impl View<'_> {
    fn built(&self, builder: &Resource<Builder>) -> wasmtime::Result<Own<Database>> {
        let Builder { address, authority } = self.table.get(builder)?;
        Ok(self.at_address(Server::Postgres, address, authority.as_deref()))
    }
}

impl HostConnection for View<'_> {
    async fn open(&mut self, address: String) -> Answer<Resource<Connection>> {
        let database = self.at_address(Server::Postgres, &address, None);
        Ok(self.connect(database).await.map_err(Into::into))
    }

    async fn query(
        &mut self,
        connection: Resource<Connection>,
        statement: String,
        values: Vec<ParameterValue>,
    ) -> Answer<RowSet> {
        let (connection, caller) = self.using(&connection)?;
        let table = match parameters(values) {
            Ok(values) => connection.fetch(&caller, &statement, values).await,
            Err(error) => Err(error),
        };
        let set = table.map(|table| RowSet {
            columns: table.columns.iter().map(column).collect(),
            rows: table.rows.into_iter().map(row).collect(),
        });
        Ok(set.map_err(Into::into))
    }

    async fn execute(
        &mut self,
        connection: Resource<Connection>,
        statement: String,
        values: Vec<ParameterValue>,
    ) -> Answer<u64> {
        let (connection, caller) = self.using(&connection)?;
        let done = match parameters(values) {
            Ok(values) => connection.execute(&caller, &statement, values).await,
            Err(error) => Err(error),
        };
        Ok(done.map(|done| done.rows).map_err(Into::into))
    }

    async fn drop(&mut self, connection: Resource<Connection>) -> wasmtime::Result<()> {
        self.close(connection)
    }
}

/// Begins a session, and keeps it for the guest.
async fn connect<T: Capable>(
    store: &Accessor<T, OfInstance<T>>,
    database: Own<Database>,
) -> Own<Resource<Connection>> {
    let caller = of_caller(store, |view| view.instance.caller.clone());
    let connection = database?.connect(&caller).await?;
    store.with(|mut store| Ok(store.get().keep(connection)?))
}

impl<T: Capable> postgres::HostConnectionBuilderWithStore<T> for OfInstance<T> {
    async fn build_async(
        store: &Accessor<T, Self>,
        builder: Resource<Builder>,
    ) -> Answer<Resource<Connection>> {
        let database = store.with(|mut store| store.get().built(&builder))?;
        Ok(connect(store, database).await.map_err(Into::into))
    }
}

impl<T: Capable> postgres::HostConnectionWithStore<T> for OfInstance<T> {
    async fn open_async(
        store: &Accessor<T, Self>,
        address: String,
    ) -> Answer<Resource<Connection>> {
        let database =
            store.with(|mut store| store.get().at_address(Server::Postgres, &address, None));
        Ok(connect(store, database).await.map_err(Into::into))
    }

    async fn query_async(
        store: &Accessor<T, Self>,
        connection: Resource<Connection>,
        statement: String,
        values: Vec<ParameterValue>,
    ) -> Answer<Streamed> {
        let (connection, caller) = of_caller(store, |view| view.using(&connection))?;
        let rows = match parameters(values) {
            Ok(values) => connection.query(&caller, &statement, values).await,
            Err(error) => Err(error),
        };
        let rows = match rows {
            Ok(rows) => rows,
            Err(error) => return Ok(Err(error.into())),
        };
        let columns = rows.columns().iter().map(column).collect();
        let (rows, end) = stream::<_, Error>(rows, row);
        store.with(|mut store| {
            let rows = StreamReader::new(&mut store, rows)?;
            Ok(Ok((columns, rows, FutureReader::new(&mut store, end)?)))
        })
    }

    async fn execute_async(
        store: &Accessor<T, Self>,
        connection: Resource<Connection>,
        statement: String,
        values: Vec<ParameterValue>,
    ) -> Answer<u64> {
        let (connection, caller) = of_caller(store, |view| view.using(&connection))?;
        let done = match parameters(values) {
            Ok(values) => connection.execute(&caller, &statement, values).await,
            Err(error) => Err(error),
        };
        Ok(done.map(|done| done.rows).map_err(Into::into))
    }
}
