//! What stands between a guest and its databases: SQLite is read only, by `fermyon:spin/sqlite` which it exports and
//! imports; PostgreSQL by `fermyon:spin/postgres` is that at the address which is called `ledger` in its configuration,
//! whatever address the guest says; and that by `wasmcloud:postgres` is a mock, with no database behind it.

wit_bindgen::generate!({
    path: [
        "../../../crates/capabilities/interfaces/wit/fermyon-spin-sql.wit",
        "../../../crates/capabilities/interfaces/wit/wasmcloud-postgres-0.1.1-draft.wit",
    ],
    inline: "
        package reef-test:sql-guard;

        world guard {
            import wasi:config/store@0.2.0-rc.1;
            import fermyon:spin/sqlite;
            import fermyon:spin/postgres;
            export fermyon:spin/sqlite;
            export fermyon:spin/postgres;
            export wasmcloud:postgres/query@0.1.1-draft;
            export wasmcloud:postgres/prepared@0.1.1-draft;
        }

        package wasi:config@0.2.0-rc.1 {
            interface store {
                variant error { upstream(string), io(string) }
                get: func(key: string) -> result<option<string>, error>;
            }
        }
    ",
    world: "reef-test:sql-guard/guard",
    generate_all,
});

use exports::{
    fermyon::spin::{
        postgres::{self, ParameterValue, PgError, RowSet},
        sqlite::{self, Error, QueryResult, RowResult, Value},
    },
    wasmcloud::postgres::{
        prepared::{self, PreparedStatementExecError, StatementPrepareError},
        query::{self, PgValue, QueryError, ResultRow},
    },
};
use fermyon::spin::{postgres as ledger, sqlite as behind};
use wasmcloud::postgres::types::ResultRowEntry;

struct Guard;

export!(Guard);

impl From<behind::Error> for Error {
    fn from(error: behind::Error) -> Self {
        match error {
            behind::Error::NoSuchDatabase => Self::NoSuchDatabase,
            behind::Error::AccessDenied => Self::AccessDenied,
            behind::Error::InvalidConnection => Self::InvalidConnection,
            behind::Error::DatabaseFull => Self::DatabaseFull,
            behind::Error::Io(why) => Self::Io(why),
        }
    }
}

impl sqlite::Guest for Guard {
    fn open(database: String) -> Result<u32, Error> {
        Ok(behind::open(&database)?)
    }

    fn execute(
        connection: u32,
        statement: String,
        parameters: Vec<Value>,
    ) -> Result<QueryResult, Error> {
        if !statement.to_ascii_lowercase().starts_with("select") {
            return Err(Error::Io("the guard lets nothing be written".to_owned()));
        }
        let parameters: Vec<_> = parameters.into_iter().map(bound).collect();
        let result = behind::execute(connection, &statement, &parameters)?;
        let row = |row: behind::RowResult| RowResult {
            values: row.values.into_iter().map(value).collect(),
        };
        Ok(QueryResult {
            columns: result.columns,
            rows: result.rows.into_iter().map(row).collect(),
        })
    }

    fn close(connection: u32) {
        behind::close(connection);
    }
}

fn bound(value: Value) -> behind::Value {
    match value {
        Value::Integer(number) => behind::Value::Integer(number),
        Value::Real(number) => behind::Value::Real(number),
        Value::Text(text) => behind::Value::Text(text),
        Value::Blob(bytes) => behind::Value::Blob(bytes),
        Value::Null => behind::Value::Null,
    }
}

fn value(value: behind::Value) -> Value {
    match value {
        behind::Value::Integer(number) => Value::Integer(number),
        behind::Value::Real(number) => Value::Real(number),
        behind::Value::Text(text) => Value::Text(text),
        behind::Value::Blob(bytes) => Value::Blob(bytes),
        behind::Value::Null => Value::Null,
    }
}

/// The address that the guest does not know.
fn address() -> String {
    wasi::config::store::get("ledger").ok().flatten().unwrap_or_default()
}

fn failed(error: ledger::PgError) -> PgError {
    match error {
        ledger::PgError::ConnectionFailed(why) => PgError::ConnectionFailed(why),
        other => PgError::OtherError(format!("{other:?}")),
    }
}

impl postgres::Guest for Guard {
    fn query(
        _: String,
        statement: String,
        parameters: Vec<ParameterValue>,
    ) -> Result<RowSet, PgError> {
        ledger::query(&address(), &statement, &parameters).map_err(failed)
    }

    fn execute(
        _: String,
        statement: String,
        parameters: Vec<ParameterValue>,
    ) -> Result<u64, PgError> {
        ledger::execute(&address(), &statement, &parameters).map_err(failed)
    }
}

impl query::Guest for Guard {
    fn query(text: String, _: Vec<PgValue>) -> Result<Vec<ResultRow>, QueryError> {
        let value = PgValue::Text(format!("mocked: {text}"));
        Ok(vec![vec![ResultRowEntry { column_name: "said".to_owned(), value }]])
    }

    fn query_batch(_: String) -> Result<(), QueryError> {
        Ok(())
    }
}

impl prepared::Guest for Guard {
    fn prepare(statement: String) -> Result<String, StatementPrepareError> {
        Ok(statement)
    }

    fn exec(_: String, parameters: Vec<PgValue>) -> Result<u64, PreparedStatementExecError> {
        Ok(parameters.len() as u64)
    }
}
