//! Databases: SQLite, PostgreSQL and MySQL as Spin has them, in all its versions, and wasmCloud's PostgreSQL.

mod mysql3;
mod postgres3;
mod postgres4;
mod rows;
mod spin1;
mod spin2;
mod sqlite3;
mod wasmcloud;
mod wasmcloud_draft;
mod wasmcloud_values;

use std::sync::Arc;

use reef_capability::{Caller, Failure, Link};
use reef_sql::{Addresses, Connection, Database, Date, Result, Server, Sql, SqlError, Time, Value};
use wasmtime::component::{Linker, LinkerInstance, Resource};

use crate::{
    Capable, OfInstance, View,
    scope::{Getter, offered},
};

/// What is offered.
pub(crate) const PROVIDED: &[&str] = &[
    "fermyon:spin/mysql",
    "fermyon:spin/mysql@2.0.0",
    "fermyon:spin/postgres",
    "fermyon:spin/postgres@2.0.0",
    "fermyon:spin/rdbms-types",
    "fermyon:spin/rdbms-types@2.0.0",
    "fermyon:spin/sqlite",
    "fermyon:spin/sqlite@2.0.0",
    "spin:mysql/mysql@3.0.0",
    "spin:postgres/postgres@3.0.0",
    "spin:postgres/postgres@4.0.0",
    "spin:postgres/postgres@4.1.0",
    "spin:postgres/postgres@4.2.0",
    "spin:sqlite/sqlite@3.0.0",
    "spin:sqlite/sqlite@3.1.0",
    "wasmcloud:postgres/prepared@0.1.1-draft",
    "wasmcloud:postgres/prepared@0.2.0",
    "wasmcloud:postgres/query@0.1.1-draft",
    "wasmcloud:postgres/query@0.2.0",
    "wasmcloud:postgres/types@0.1.1-draft",
    "wasmcloud:postgres/types@0.2.0",
];

/// Offers the packages that are `wanted`.
pub(crate) fn add_to_linker<T: Capable>(
    linker: &mut Linker<T>,
    concurrent: bool,
    wanted: &impl Fn(&str) -> bool,
) -> wasmtime::Result<()> {
    if ["sqlite", "postgres", "mysql"].iter().any(|name| wanted(&format!("fermyon:spin/{name}"))) {
        spin1::Imports::add_to_linker::<_, OfInstance<T>>(linker, T::capabilities)?;
        spin2::Imports::add_to_linker::<_, OfInstance<T>>(linker, T::capabilities)?;
    }
    if wanted("spin:sqlite/") {
        if concurrent {
            sqlite3::Imports::add_to_linker::<_, OfInstance<T>>(linker, T::capabilities)?;
        } else {
            sqlite3::add_plain(&mut linker.instance(sqlite3::IMPORT)?, T::capabilities)?;
        }
    }
    if wanted("spin:postgres/") {
        postgres3::Imports::add_to_linker::<_, OfInstance<T>>(linker, T::capabilities)?;
        if concurrent {
            postgres4::Imports::add_to_linker::<_, OfInstance<T>>(linker, T::capabilities)?;
        } else {
            postgres4::add_plain(&mut linker.instance(postgres4::IMPORT)?, T::capabilities)?;
        }
    }
    if concurrent && wanted("spin:mysql/") {
        mysql3::Imports::add_to_linker::<_, OfInstance<T>>(linker, T::capabilities)?;
    }
    if wanted("wasmcloud:postgres/") {
        wasmcloud_draft::Imports::add_to_linker::<_, OfInstance<T>>(linker, T::capabilities)?;
        if concurrent {
            wasmcloud::Imports::add_to_linker::<_, OfInstance<T>>(linker, T::capabilities)?;
        }
    }
    Ok(())
}

/// Offers one interface, if it is one of these. A version has those before it in it.
pub(crate) fn offer<T: Capable>(
    instance: &mut LinkerInstance<'_, T>,
    interface: &str,
    concurrent: bool,
    data: Getter<T>,
) -> wasmtime::Result<bool> {
    use spin1::fermyon::spin as first;
    use spin2::fermyon::spin as second;
    use wasmcloud::wasmcloud::postgres as wasm_cloud;
    use wasmcloud_draft::wasmcloud::postgres as wasm_cloud_draft;
    if !concurrent && interface.starts_with("spin:sqlite/sqlite@3.") {
        return sqlite3::add_plain(instance, data).map(|()| true);
    }
    if !concurrent && interface.starts_with("spin:postgres/postgres@4.") {
        return postgres4::add_plain(instance, data).map(|()| true);
    }
    Ok(offered!(instance, interface, data, {
        "fermyon:spin/mysql" => first::mysql,
        "fermyon:spin/mysql@2.0.0" => second::mysql,
        "fermyon:spin/postgres" => first::postgres,
        "fermyon:spin/postgres@2.0.0" => second::postgres,
        "fermyon:spin/rdbms-types" => first::rdbms_types,
        "fermyon:spin/rdbms-types@2.0.0" => second::rdbms_types,
        "fermyon:spin/sqlite" => first::sqlite,
        "fermyon:spin/sqlite@2.0.0" => second::sqlite,
        "spin:mysql/mysql@3.0.0" if concurrent => mysql3::spin::mysql::mysql,
        "spin:postgres/postgres@3.0.0" => postgres3::spin::postgres::postgres,
        "spin:postgres/postgres@4.0.0" => postgres4::spin::postgres::postgres,
        "spin:postgres/postgres@4.1.0" => postgres4::spin::postgres::postgres,
        "spin:postgres/postgres@4.2.0" => postgres4::spin::postgres::postgres,
        "spin:sqlite/sqlite@3.0.0" => sqlite3::spin::sqlite::sqlite,
        "spin:sqlite/sqlite@3.1.0" => sqlite3::spin::sqlite::sqlite,
        "wasmcloud:postgres/prepared@0.1.1-draft" => wasm_cloud_draft::prepared,
        "wasmcloud:postgres/prepared@0.2.0" if concurrent => wasm_cloud::prepared,
        "wasmcloud:postgres/query@0.1.1-draft" => wasm_cloud_draft::query,
        "wasmcloud:postgres/query@0.2.0" if concurrent => wasm_cloud::query,
        "wasmcloud:postgres/types@0.1.1-draft" => wasm_cloud_draft::types,
        "wasmcloud:postgres/types@0.2.0" if concurrent => wasm_cloud::types,
    }))
}

impl View<'_> {
    /// The database that a guest opens by a name: the link of that name, or of the label that it imports the interface
    /// under.
    fn database(&self, import: &str, name: &str) -> Result<Database, Failure> {
        let link = self.granted()?.sql.named(import, self.label().unwrap_or(name))?;
        Ok(database(link))
    }

    /// The database of a guest that names none: over the link that the instance selected, else the one called
    /// `default`, else the only one there is.
    pub(crate) fn default_database(&self, import: &str) -> Result<Database, Failure> {
        let granted = self.granted()?;
        let selected = self.selected(import);
        let mut all = granted.sql.iter();
        match (selected, all.next(), all.next()) {
            (None, Some(only), None) => self.database(import, only.name()),
            (selected, ..) => self.database(import, selected.unwrap_or_default()),
        }
    }

    /// The database at an address that the guest chose; under a label, that of the link which is called so, if there is
    /// one.
    fn at_address(
        &self,
        server: Server,
        address: &str,
        authority: Option<&str>,
    ) -> Result<Database> {
        let granted = self.granted()?;
        let labelled = self.label().and_then(|label| {
            let mut links = granted.sql.iter();
            links.find(|link| link.name() == label)
        });
        if let Some(link) = labelled {
            return Ok(database(link.clone()));
        }
        let Some(addresses) = &granted.addresses else {
            return Err(Addresses::refused(granted.sql.workload(), server, address));
        };
        addresses.database(server, address, authority)
    }

    /// What a call needs that may outlive the borrow of the store's data.
    fn using(&self, connection: &Resource<Connection>) -> wasmtime::Result<(Connection, Caller)> {
        Ok((self.table.get(connection)?.clone(), self.instance.caller.clone()))
    }

    fn close(&mut self, connection: Resource<Connection>) -> wasmtime::Result<()> {
        self.table.delete(connection)?;
        Ok(())
    }

    /// Begins a session, and keeps it for the guest.
    async fn connect(&mut self, database: Result<Database>) -> Result<Resource<Connection>> {
        let connection = database?.connect(&self.instance.caller).await?;
        Ok(self.keep(connection)?)
    }
}

fn database(link: Arc<Link<dyn Sql>>) -> Database {
    let place = link.place.clone().unwrap_or_else(|| link.name().into());
    Database::new(link, place)
}

/// A day and a time as Spin has them; `None` for the ends of time.
fn date_time(date: Date, time: Time) -> Option<(i32, u8, u8, u8, u8, u8, u32)> {
    let Date::Ymd(year, month, day) = date else { return None };
    let Time { hour, minute, second, nanosecond } = time;
    Some((year, month, day, hour, minute, second, nanosecond))
}

/// An instant, from the seconds since 1970.
fn from_epoch(seconds: i64) -> Value {
    let date = Date::from_days(seconds.div_euclid(86_400));
    Value::Instant(date, Time::from_micros(seconds.rem_euclid(86_400) * 1_000_000))
}

/// What stands before a statement in the token of a prepared one. Connections keep statements prepared by their text,
/// so that the text is all there is to know.
const PREPARED: &str = "reef:prepared:";

fn prepared_token(text: &str) -> String {
    format!("{PREPARED}{text}")
}

fn prepared_text(token: &str) -> Option<&str> {
    token.strip_prefix(PREPARED)
}

/// Which of Spin's errors of outbound databases a failure is.
enum Kind {
    Connection,
    Parameter,
    Query,
    Conversion,
    Other,
}

fn kind(error: &SqlError) -> Kind {
    match &error.failure {
        Failure::Denied(_) if error.said.is_none() => Kind::Connection,
        Failure::Unavailable { .. } | Failure::Broken { .. } => Kind::Connection,
        Failure::Invalid(why) if why.starts_with("the address") => Kind::Connection,
        Failure::Invalid(why) if why.starts_with("parameter ") || why.contains(" were given") => {
            Kind::Parameter
        }
        Failure::Invalid(why) if why.starts_with("column ") => Kind::Conversion,
        Failure::Invalid(_)
        | Failure::Conflict(_)
        | Failure::TooLarge { .. }
        | Failure::Timeout(_)
        | Failure::Denied(_)
        | Failure::Full(_) => Kind::Query,
        _ => Kind::Other,
    }
}

/// SQLite's values, which are the same in every version.
macro_rules! sqlite_values {
    ($($types:ident)::+) => {
        use reef_capability::Failure;
        use reef_sql::Value as Own;
        use $($types)::+::{Error, QueryResult, RowResult, Value};

        fn bound(values: Vec<Value>) -> Vec<Own> {
            let each = values.into_iter().map(|value| match value {
                Value::Integer(n) => Own::I64(n),
                Value::Real(n) => Own::F64(n),
                Value::Text(text) => Own::Text(text),
                Value::Blob(bytes) => Own::Binary(bytes),
                Value::Null => Own::Null,
            });
            each.collect()
        }

        pub(super) fn row(values: reef_sql::Row) -> RowResult {
            let each = values.into_iter().map(|value| match value {
                Own::Null => Value::Null,
                Own::F32(n) => Value::Real(n.into()),
                Own::F64(n) => Value::Real(n),
                Own::Bool(is) => Value::Integer(is.into()),
                Own::Binary(bytes) | Own::Other(_, bytes) => Value::Blob(bytes),
                other => match other.integer().map(i64::try_from) {
                    Some(Ok(n)) => Value::Integer(n),
                    _ => Value::Text(other.literal().unwrap_or_default()),
                },
            });
            RowResult { values: each.collect() }
        }

        fn result(table: reef_sql::Table) -> QueryResult {
            let columns = table.columns.iter().map(|column| column.name.clone()).collect();
            QueryResult { columns, rows: table.rows.into_iter().map(row).collect() }
        }

        impl From<reef_sql::SqlError> for Error {
            fn from(error: reef_sql::SqlError) -> Self {
                match error.failure {
                    Failure::Full(_) => Self::DatabaseFull,
                    failure => Self::Io(failure.to_string()),
                }
            }
        }

        /// An error of opening: the link is missing rather than a statement wrong.
        fn unopened(error: reef_sql::SqlError) -> Error {
            match error.failure {
                Failure::Denied(_) => Error::AccessDenied,
                Failure::NotFound { .. } => Error::NoSuchDatabase,
                _ => error.into(),
            }
        }
    };
}

/// Values of outbound databases before they had dates and times.
macro_rules! rdbms_values {
    ($($types:ident)::+) => {
        use reef_sql::{Kind as OwnKind, Value as Own};
        use $($types)::+::{Column, DbDataType, DbValue, ParameterValue};

        fn bound(values: Vec<ParameterValue>) -> Vec<Own> {
            let each = values.into_iter().map(|value| match value {
                ParameterValue::Boolean(is) => Own::Bool(is),
                ParameterValue::Int8(n) => Own::I8(n),
                ParameterValue::Int16(n) => Own::I16(n),
                ParameterValue::Int32(n) => Own::I32(n),
                ParameterValue::Int64(n) => Own::I64(n),
                ParameterValue::Uint8(n) => Own::U8(n),
                ParameterValue::Uint16(n) => Own::U16(n),
                ParameterValue::Uint32(n) => Own::U32(n),
                ParameterValue::Uint64(n) => Own::U64(n),
                ParameterValue::Floating32(n) => Own::F32(n),
                ParameterValue::Floating64(n) => Own::F64(n),
                ParameterValue::Str(text) => Own::Text(text),
                ParameterValue::Binary(bytes) => Own::Binary(bytes),
                ParameterValue::DbNull => Own::Null,
            });
            each.collect()
        }

        fn field(value: Own) -> DbValue {
            match value {
                Own::Null => DbValue::DbNull,
                Own::Bool(is) => DbValue::Boolean(is),
                Own::I8(n) => DbValue::Int8(n),
                Own::I16(n) => DbValue::Int16(n),
                Own::I32(n) => DbValue::Int32(n),
                Own::I64(n) => DbValue::Int64(n),
                Own::U8(n) => DbValue::Uint8(n),
                Own::U16(n) => DbValue::Uint16(n),
                Own::U32(n) => DbValue::Uint32(n),
                Own::U64(n) => DbValue::Uint64(n),
                Own::F32(n) => DbValue::Floating32(n),
                Own::F64(n) => DbValue::Floating64(n),
                Own::Binary(bytes) => DbValue::Binary(bytes),
                Own::Range(_) | Own::Array(..) | Own::Other(..) => DbValue::Unsupported,
                // What there is no type for is text as people write it.
                other => other.literal().map_or(DbValue::Unsupported, DbValue::Str),
            }
        }

        fn column(column: &reef_sql::Column) -> Column {
            let data_type = match &column.kind {
                OwnKind::Bool => DbDataType::Boolean,
                OwnKind::I8 => DbDataType::Int8,
                OwnKind::I16 => DbDataType::Int16,
                OwnKind::I32 => DbDataType::Int32,
                OwnKind::I64 => DbDataType::Int64,
                OwnKind::U8 => DbDataType::Uint8,
                OwnKind::U16 => DbDataType::Uint16,
                OwnKind::U32 => DbDataType::Uint32,
                OwnKind::U64 => DbDataType::Uint64,
                OwnKind::F32 => DbDataType::Floating32,
                OwnKind::F64 => DbDataType::Floating64,
                OwnKind::Binary => DbDataType::Binary,
                OwnKind::Range(_) | OwnKind::Array(_) | OwnKind::Any | OwnKind::Other(_) => {
                    DbDataType::Other
                }
                _ => DbDataType::Str,
            };
            Column { name: column.name.clone(), data_type }
        }
    };
}

/// Spin's errors of outbound databases, where each is text.
macro_rules! text_errors {
    ($error:ty, $other:ident) => {
        impl From<reef_sql::SqlError> for $error {
            fn from(error: reef_sql::SqlError) -> Self {
                let text = error.to_string();
                match super::kind(&error) {
                    super::Kind::Connection => Self::ConnectionFailed(text),
                    super::Kind::Parameter => Self::BadParameter(text),
                    super::Kind::Query => Self::QueryFailed(text),
                    super::Kind::Conversion => Self::ValueConversionFailed(text),
                    super::Kind::Other => Self::$other(text),
                }
            }
        }
    };
}

use {rdbms_values, sqlite_values, text_errors};
