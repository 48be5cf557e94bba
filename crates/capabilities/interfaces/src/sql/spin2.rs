//! `fermyon:spin@2.0.0`.

use reef_sql::{Connection, Server};
use wasmtime::component::Resource;

use self::fermyon::spin::{mysql, postgres, rdbms_types, sqlite};
use super::text_errors;
use crate::View;

wasmtime::component::bindgen!({
    path: "wit/fermyon-spin-2.0.0-sql.wit",
    imports: { default: async | trappable },
    with: {
        "fermyon:spin/sqlite.connection": reef_sql::Connection,
        "fermyon:spin/postgres.connection": reef_sql::Connection,
        "fermyon:spin/mysql.connection": reef_sql::Connection,
    },
});

text_errors!(rdbms_types::Error, Other);

type Answer<T, E> = wasmtime::Result<Result<T, E>>;

mod lite {
    use super::super::sqlite_values;
    use super::{Answer, Connection, Resource, View, sqlite};
    sqlite_values!(super::sqlite);

    impl sqlite::Host for View<'_> {}

    impl sqlite::HostConnection for View<'_> {
        async fn open(&mut self, database: String) -> Answer<Resource<Connection>, Error> {
            let database = self.database("fermyon:spin/sqlite@2.0.0", &database);
            Ok(self.connect(database.map_err(Into::into)).await.map_err(unopened))
        }

        async fn execute(
            &mut self,
            connection: Resource<Connection>,
            statement: String,
            parameters: Vec<Value>,
        ) -> Answer<QueryResult, Error> {
            let (connection, caller) = self.using(&connection)?;
            let table = connection.fetch(&caller, &statement, bound(parameters)).await;
            Ok(table.map(result).map_err(Into::into))
        }

        async fn drop(&mut self, connection: Resource<Connection>) -> wasmtime::Result<()> {
            self.close(connection)
        }
    }
}

mod outbound {
    use super::super::rdbms_values;
    use super::{
        Answer, Connection, Resource, Server, View, mysql, postgres,
        rdbms_types::{self, Error, RowSet},
    };
    rdbms_values!(super::rdbms_types);

    fn set(table: reef_sql::Table) -> RowSet {
        let rows = table.rows.into_iter().map(|row| row.into_iter().map(field).collect());
        RowSet { columns: table.columns.iter().map(column).collect(), rows: rows.collect() }
    }

    impl rdbms_types::Host for View<'_> {}
    impl postgres::Host for View<'_> {}
    impl mysql::Host for View<'_> {}

    impl postgres::HostConnection for View<'_> {
        async fn open(&mut self, address: String) -> Answer<Resource<Connection>, Error> {
            let database = self.at_address(Server::Postgres, &address, None);
            Ok(self.connect(database).await.map_err(Into::into))
        }

        async fn query(
            &mut self,
            connection: Resource<Connection>,
            statement: String,
            parameters: Vec<ParameterValue>,
        ) -> Answer<RowSet, Error> {
            let (connection, caller) = self.using(&connection)?;
            let table = connection.fetch(&caller, &statement, bound(parameters)).await;
            Ok(table.map(set).map_err(Into::into))
        }

        async fn execute(
            &mut self,
            connection: Resource<Connection>,
            statement: String,
            parameters: Vec<ParameterValue>,
        ) -> Answer<u64, Error> {
            let (connection, caller) = self.using(&connection)?;
            let done = connection.execute(&caller, &statement, bound(parameters)).await;
            Ok(done.map(|done| done.rows).map_err(Into::into))
        }

        async fn drop(&mut self, connection: Resource<Connection>) -> wasmtime::Result<()> {
            self.close(connection)
        }
    }

    impl mysql::HostConnection for View<'_> {
        async fn open(&mut self, address: String) -> Answer<Resource<Connection>, Error> {
            let database = self.at_address(Server::Mysql, &address, None);
            Ok(self.connect(database).await.map_err(Into::into))
        }

        async fn query(
            &mut self,
            connection: Resource<Connection>,
            statement: String,
            parameters: Vec<ParameterValue>,
        ) -> Answer<RowSet, Error> {
            let (connection, caller) = self.using(&connection)?;
            let table = connection.fetch(&caller, &statement, bound(parameters)).await;
            Ok(table.map(set).map_err(Into::into))
        }

        async fn execute(
            &mut self,
            connection: Resource<Connection>,
            statement: String,
            parameters: Vec<ParameterValue>,
        ) -> Answer<(), Error> {
            let (connection, caller) = self.using(&connection)?;
            let done = connection.execute(&caller, &statement, bound(parameters)).await;
            Ok(done.map(|_| ()).map_err(Into::into))
        }

        async fn drop(&mut self, connection: Resource<Connection>) -> wasmtime::Result<()> {
            self.close(connection)
        }
    }
}
