//! `spin:sqlite@3.1.0`, of which 3.0.0 is a part.

use reef_sql::Connection;
use wasmtime::{
    StoreContextMut,
    component::{Accessor, FutureReader, LinkerInstance, Resource, ResourceType, StreamReader},
};

use self::spin::sqlite::sqlite;
use super::{rows::stream, sqlite_values};
use crate::{Capable, OfInstance, View, instance::of_caller, scope::Getter};

wasmtime::component::bindgen!({
    path: "wit/spin-sqlite-3.1.0.wit",
    imports: { default: async | trappable },
    with: { "spin:sqlite/sqlite.connection": reef_sql::Connection },
});

sqlite_values!(self::spin::sqlite::sqlite);

type Answer<T> = wasmtime::Result<Result<T, Error>>;
type Streamed = (Vec<String>, StreamReader<RowResult>, FutureReader<Result<(), Error>>);

pub(super) const IMPORT: &str = "spin:sqlite/sqlite@3.1.0";

impl sqlite::Host for View<'_> {}

impl sqlite::HostConnection for View<'_> {
    async fn open(&mut self, database: String) -> Answer<Resource<Connection>> {
        let database = self.database(IMPORT, &database);
        Ok(self.connect(database.map_err(Into::into)).await.map_err(unopened))
    }

    async fn execute(
        &mut self,
        connection: Resource<Connection>,
        statement: String,
        parameters: Vec<Value>,
    ) -> Answer<QueryResult> {
        let (connection, caller) = self.using(&connection)?;
        let table = connection.fetch(&caller, &statement, bound(parameters)).await;
        Ok(table.map(result).map_err(Into::into))
    }

    async fn last_insert_rowid(
        &mut self,
        connection: Resource<Connection>,
    ) -> wasmtime::Result<i64> {
        Ok(self.using(&connection)?.0.last().inserted.unwrap_or(0))
    }

    async fn changes(&mut self, connection: Resource<Connection>) -> wasmtime::Result<u64> {
        Ok(self.using(&connection)?.0.last().rows)
    }

    async fn drop(&mut self, connection: Resource<Connection>) -> wasmtime::Result<()> {
        self.close(connection)
    }
}

impl<T: Capable> sqlite::HostConnectionWithStore<T> for OfInstance<T> {
    async fn open_async(
        store: &Accessor<T, Self>,
        database: String,
    ) -> Answer<Resource<Connection>> {
        let (database, caller) = of_caller(store, |view| {
            (view.database(IMPORT, &database), view.instance.caller.clone())
        });
        let opened = match database {
            Ok(database) => database.connect(&caller).await,
            Err(failure) => Err(failure.into()),
        };
        let kept = opened.and_then(|one| store.with(|mut store| Ok(store.get().keep(one)?)));
        Ok(kept.map_err(unopened))
    }

    async fn execute_async(
        store: &Accessor<T, Self>,
        connection: Resource<Connection>,
        statement: String,
        parameters: Vec<Value>,
    ) -> Answer<Streamed> {
        let (connection, caller) = of_caller(store, |view| view.using(&connection))?;
        let rows = match connection.query(&caller, &statement, bound(parameters)).await {
            Ok(rows) => rows,
            Err(error) => return Ok(Err(error.into())),
        };
        let columns = rows.columns().iter().map(|column| column.name.clone()).collect();
        let (rows, end) = stream::<_, Error>(rows, row);
        store.with(|mut store| {
            let rows = StreamReader::new(&mut store, rows)?;
            Ok(Ok((columns, rows, FutureReader::new(&mut store, end)?)))
        })
    }

    async fn last_insert_rowid_async(
        store: &Accessor<T, Self>,
        connection: Resource<Connection>,
    ) -> wasmtime::Result<i64> {
        let (connection, _) = of_caller(store, |view| view.using(&connection))?;
        Ok(connection.last().inserted.unwrap_or(0))
    }

    async fn changes_async(
        store: &Accessor<T, Self>,
        connection: Resource<Connection>,
    ) -> wasmtime::Result<u64> {
        let (connection, _) = of_caller(store, |view| view.using(&connection))?;
        Ok(connection.last().rows)
    }
}

/// Offers what is not asynchronous, to engines that have nothing of the kind: all that 3.0.0 had.
pub(super) fn add_plain<T: Capable>(
    instance: &mut LinkerInstance<'_, T>,
    data: Getter<T>,
) -> wasmtime::Result<()> {
    type Of = Resource<Connection>;
    instance.resource(
        "connection",
        ResourceType::host::<Connection>(),
        move |mut store, rep| data(store.data_mut()).close(Resource::new_own(rep)),
    )?;
    instance.func_wrap_async(
        "[static]connection.open",
        move |mut store: StoreContextMut<'_, T>, (database,): (String,)| {
            Box::new(async move {
                let mut view = data(store.data_mut());
                Ok((sqlite::HostConnection::open(&mut view, database).await?,))
            })
        },
    )?;
    instance.func_wrap_async(
        "[method]connection.execute",
        move |mut store: StoreContextMut<'_, T>, (of, text, values): (Of, String, Vec<Value>)| {
            Box::new(async move {
                let mut view = data(store.data_mut());
                Ok((sqlite::HostConnection::execute(&mut view, of, text, values).await?,))
            })
        },
    )?;
    instance.func_wrap_async(
        "[method]connection.last-insert-rowid",
        move |mut store: StoreContextMut<'_, T>, (of,): (Of,)| {
            Box::new(async move {
                let mut view = data(store.data_mut());
                Ok((sqlite::HostConnection::last_insert_rowid(&mut view, of).await?,))
            })
        },
    )?;
    instance.func_wrap_async(
        "[method]connection.changes",
        move |mut store: StoreContextMut<'_, T>, (of,): (Of,)| {
            Box::new(async move {
                let mut view = data(store.data_mut());
                Ok((sqlite::HostConnection::changes(&mut view, of).await?,))
            })
        },
    )
}
