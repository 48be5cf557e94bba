//! `spin:mysql@3.0.0`.

use reef_sql::{Connection, Server};
use wasmtime::component::{Accessor, FutureReader, Resource, StreamReader};

use self::spin::mysql::mysql::{self, Error};
use super::{rdbms_values, rows::stream, text_errors};
use crate::{Capable, OfInstance, View, instance::of_caller};

wasmtime::component::bindgen!({
    path: "wit/spin-mysql-3.0.0.wit",
    imports: { default: async | trappable },
    with: { "spin:mysql/mysql.connection": reef_sql::Connection },
});

rdbms_values!(self::spin::mysql::mysql);
text_errors!(Error, Other);

type Answer<T> = wasmtime::Result<Result<T, Error>>;
type Streamed = (Vec<Column>, StreamReader<Vec<DbValue>>, FutureReader<Result<(), Error>>);

fn row(values: reef_sql::Row) -> Vec<DbValue> {
    values.into_iter().map(field).collect()
}

impl mysql::Host for View<'_> {}

impl mysql::HostConnection for View<'_> {
    async fn drop(&mut self, connection: Resource<Connection>) -> wasmtime::Result<()> {
        self.close(connection)
    }
}

impl<T: Capable> mysql::HostConnectionWithStore<T> for OfInstance<T> {
    async fn open(store: &Accessor<T, Self>, address: String) -> Answer<Resource<Connection>> {
        let (database, caller) = of_caller(store, |view| {
            (view.at_address(Server::Mysql, &address, None), view.instance.caller.clone())
        });
        let opened = match database {
            Ok(database) => database.connect(&caller).await,
            Err(error) => Err(error),
        };
        let kept = opened.and_then(|one| store.with(|mut store| Ok(store.get().keep(one)?)));
        Ok(kept.map_err(Into::into))
    }

    async fn query(
        store: &Accessor<T, Self>,
        connection: Resource<Connection>,
        statement: String,
        parameters: Vec<ParameterValue>,
    ) -> Answer<Streamed> {
        let (connection, caller) = of_caller(store, |view| view.using(&connection))?;
        let rows = match connection.query(&caller, &statement, bound(parameters)).await {
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

    async fn execute(
        store: &Accessor<T, Self>,
        connection: Resource<Connection>,
        statement: String,
        parameters: Vec<ParameterValue>,
    ) -> Answer<()> {
        let (connection, caller) = of_caller(store, |view| view.using(&connection))?;
        let done = connection.execute(&caller, &statement, bound(parameters)).await;
        Ok(done.map(|_| ()).map_err(Into::into))
    }
}
