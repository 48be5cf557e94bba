//! `wasmcloud:postgres@0.2.0`.

use reef_capability::{Caller, Failure};
use reef_sql::{Connection, Database, Rows};
use wasmtime::component::{Accessor, FutureReader, StreamReader};

use self::wasmcloud::postgres::{
    prepared, query,
    types::{self, DbError, Error},
};
use super::{prepared_text, prepared_token, rows::stream, wasmcloud_values::pg_values};
use crate::{Capable, OfInstance, View, instance::of_caller};

wasmtime::component::bindgen!({
    path: "wit/wasmcloud-postgres-0.2.0.wit",
    imports: { default: async | trappable },
});

pg_values!(types);

const QUERY: &str = "wasmcloud:postgres/query@0.2.0";
const PREPARED: &str = "wasmcloud:postgres/prepared@0.2.0";

type Answer<T> = wasmtime::Result<Result<T, Error>>;
type Streamed = (Vec<String>, StreamReader<Vec<PgValue>>, FutureReader<Result<(), Error>>);

impl From<SqlError> for Error {
    fn from(error: SqlError) -> Self {
        let text = error.to_string();
        match (super::kind(&error), error.failure, error.said) {
            (super::Kind::Parameter, ..) => Self::InvalidParams(text),
            (_, Failure::Timeout(_), _) => Self::Timeout,
            (super::Kind::Conversion, ..) => Self::ValueConversionFailed(text),
            (_, _, Some(said)) => Self::QueryFailed(DbError {
                code: said.code,
                severity: said.severity,
                message: said.message,
                detail: said.detail,
                extras: said.extras,
            }),
            (_, Failure::Denied(_), _) => Self::AccessDenied,
            (super::Kind::Connection, ..) => Self::ConnectionFailed(text),
            (_, Failure::Invalid(_), _) => Self::InvalidQuery(text),
            _ => Self::Other(text),
        }
    }
}

/// The workload's database, and for whom it is used.
fn database<T: Capable>(
    store: &Accessor<T, OfInstance<T>>,
    import: &str,
) -> Result<(Database, Caller), SqlError> {
    of_caller(store, |view| {
        let database = view.default_database(import)?;
        Ok((database, view.instance.caller.clone()))
    })
}

async fn session<T: Capable>(
    store: &Accessor<T, OfInstance<T>>,
    import: &str,
) -> Result<(Connection, Caller), SqlError> {
    let (database, caller) = database(store, import)?;
    Ok((database.connect(&caller).await?, caller))
}

impl types::Host for View<'_> {}
impl query::Host for View<'_> {}
impl prepared::Host for View<'_> {}

impl<T: Capable> query::HostWithStore<T> for OfInstance<T> {
    async fn query(
        store: &Accessor<T, Self>,
        text: String,
        values: Vec<PgValue>,
    ) -> Answer<Streamed> {
        let begun: Result<Rows, SqlError> = async {
            let values = parameters(values)?;
            let (session, caller) = session(store, QUERY).await?;
            session.query(&caller, &text, values).await
        }
        .await;
        let rows = match begun {
            Ok(rows) => rows,
            Err(error) => return Ok(Err(error.into())),
        };
        let of = rows.columns().clone();
        let columns = of.iter().map(|column| column.name.clone()).collect();
        let (rows, end) = stream::<_, Error>(rows, move |row| {
            let fields = row.into_iter().zip(of.iter());
            fields.map(|(value, column)| field(value, column.native.as_deref())).collect()
        });
        store.with(|mut store| {
            let rows = StreamReader::new(&mut store, rows)?;
            Ok(Ok((columns, rows, FutureReader::new(&mut store, end)?)))
        })
    }

    async fn query_batch(store: &Accessor<T, Self>, text: String) -> Answer<()> {
        let done: Result<(), SqlError> = async {
            let (session, caller) = session(store, QUERY).await?;
            session.batch(&caller, &text).await
        }
        .await;
        Ok(done.map_err(Into::into))
    }
}

impl<T: Capable> prepared::HostWithStore<T> for OfInstance<T> {
    async fn prepare(store: &Accessor<T, Self>, text: String) -> Answer<String> {
        let done: Result<usize, SqlError> = async {
            let (session, caller) = session(store, PREPARED).await?;
            session.prepare(&caller, &text).await
        }
        .await;
        Ok(done.map(|_| prepared_token(&text)).map_err(Into::into))
    }

    async fn exec(store: &Accessor<T, Self>, token: String, values: Vec<PgValue>) -> Answer<u64> {
        let Some(text) = prepared_text(&token) else {
            return Ok(Err(Error::UnknownPreparedStatement));
        };
        let done: Result<u64, SqlError> = async {
            let values = parameters(values)?;
            let (session, caller) = session(store, PREPARED).await?;
            Ok(session.execute(&caller, text, values).await?.rows)
        }
        .await;
        Ok(done.map_err(Into::into))
    }
}
