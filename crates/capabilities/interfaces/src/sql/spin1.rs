//! `fermyon:spin`, without a version.

use reef_capability::Caller;
use reef_sql::{Connection, Database, Server, SqlError};
use wasmtime::component::Resource;

use self::fermyon::spin::{
    mysql::{self, MysqlError},
    postgres::{self, PgError},
    rdbms_types,
    sqlite::{self, Host},
};
use super::text_errors;
use crate::View;

wasmtime::component::bindgen!({
    path: "wit/fermyon-spin-sql.wit",
    imports: { default: async | trappable },
});

text_errors!(PgError, OtherError);
text_errors!(MysqlError, OtherError);

mod lite {
    use super::super::sqlite_values;
    sqlite_values!(super::sqlite);

    impl super::Host for super::View<'_> {
        async fn open(&mut self, database: String) -> wasmtime::Result<Result<u32, Error>> {
            let database = self.database("fermyon:spin/sqlite", &database);
            let opened = self.connect(database.map_err(Into::into)).await;
            Ok(opened.map(|connection| connection.rep()).map_err(unopened))
        }

        async fn execute(
            &mut self,
            connection: u32,
            statement: String,
            parameters: Vec<Value>,
        ) -> wasmtime::Result<Result<QueryResult, Error>> {
            let connection = super::Resource::<super::Connection>::new_borrow(connection);
            // The number is the guest's own: it may be any.
            let Ok((connection, caller)) = self.using(&connection) else {
                return Ok(Err(Error::InvalidConnection));
            };
            let table = connection.fetch(&caller, &statement, bound(parameters)).await;
            Ok(table.map(result).map_err(Into::into))
        }

        async fn close(&mut self, connection: u32) -> wasmtime::Result<()> {
            let connection = super::Resource::<super::Connection>::new_own(connection);
            // One that is none was closed before.
            let _ = self.table.delete(connection);
            Ok(())
        }
    }
}

mod outbound {
    use super::super::rdbms_values;
    use super::rdbms_types::RowSet;
    rdbms_values!(super::rdbms_types);

    /// A database for one statement, and for whom it is used.
    pub(super) struct Once(Result<super::Database, super::SqlError>, super::Caller);

    impl super::View<'_> {
        pub(super) fn once(&self, server: super::Server, address: &str) -> Once {
            Once(self.at_address(server, address, None), self.instance.caller.clone())
        }
    }

    impl Once {
        pub(super) async fn query(
            self,
            statement: &str,
            parameters: Vec<ParameterValue>,
        ) -> Result<RowSet, super::SqlError> {
            let Self(database, caller) = self;
            let connection = database?.connect(&caller).await?;
            let table = connection.fetch(&caller, statement, bound(parameters)).await?;
            let rows = table.rows.into_iter().map(|row| row.into_iter().map(field).collect());
            Ok(RowSet { columns: table.columns.iter().map(column).collect(), rows: rows.collect() })
        }

        pub(super) async fn execute(
            self,
            statement: &str,
            parameters: Vec<ParameterValue>,
        ) -> Result<u64, super::SqlError> {
            let Self(database, caller) = self;
            let connection = database?.connect(&caller).await?;
            Ok(connection.execute(&caller, statement, bound(parameters)).await?.rows)
        }
    }
}

impl rdbms_types::Host for View<'_> {}

impl postgres::Host for View<'_> {
    async fn query(
        &mut self,
        address: String,
        statement: String,
        parameters: Vec<rdbms_types::ParameterValue>,
    ) -> wasmtime::Result<Result<rdbms_types::RowSet, PgError>> {
        let done = self.once(Server::Postgres, &address).query(&statement, parameters).await;
        Ok(done.map_err(Into::into))
    }

    async fn execute(
        &mut self,
        address: String,
        statement: String,
        parameters: Vec<rdbms_types::ParameterValue>,
    ) -> wasmtime::Result<Result<u64, PgError>> {
        let done = self.once(Server::Postgres, &address).execute(&statement, parameters).await;
        Ok(done.map_err(Into::into))
    }
}

impl mysql::Host for View<'_> {
    async fn query(
        &mut self,
        address: String,
        statement: String,
        parameters: Vec<rdbms_types::ParameterValue>,
    ) -> wasmtime::Result<Result<rdbms_types::RowSet, MysqlError>> {
        let done = self.once(Server::Mysql, &address).query(&statement, parameters).await;
        Ok(done.map_err(Into::into))
    }

    async fn execute(
        &mut self,
        address: String,
        statement: String,
        parameters: Vec<rdbms_types::ParameterValue>,
    ) -> wasmtime::Result<Result<(), MysqlError>> {
        let done = self.once(Server::Mysql, &address).execute(&statement, parameters).await;
        Ok(done.map(|_| ()).map_err(Into::into))
    }
}
