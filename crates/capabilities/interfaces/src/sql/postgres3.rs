//! `spin:postgres@3.0.0`.

use reef_sql::{Connection, Date, Kind, Server, Time, Value};
use wasmtime::component::Resource;

use self::spin::postgres::postgres::{
    Column, DbDataType, DbValue, Error, Host, HostConnection, ParameterValue, RowSet,
};
use super::{date_time, from_epoch, text_errors};
use crate::View;

wasmtime::component::bindgen!({
    path: "wit/spin-postgres-3.0.0.wit",
    imports: { default: async | trappable },
    with: { "spin:postgres/postgres.connection": reef_sql::Connection },
});

text_errors!(Error, Other);

type Answer<T> = wasmtime::Result<Result<T, Error>>;

impl Host for View<'_> {}

impl HostConnection for View<'_> {
    async fn open(&mut self, address: String) -> Answer<Resource<Connection>> {
        let database = self.at_address(Server::Postgres, &address, None);
        Ok(self.connect(database).await.map_err(Into::into))
    }

    async fn query(
        &mut self,
        connection: Resource<Connection>,
        statement: String,
        parameters: Vec<ParameterValue>,
    ) -> Answer<RowSet> {
        let (connection, caller) = self.using(&connection)?;
        let parameters = parameters.into_iter().map(bound).collect();
        let table = connection.fetch(&caller, &statement, parameters).await;
        let set = table.map(|table| {
            let rows = table.rows.into_iter().map(|row| row.into_iter().map(field).collect());
            RowSet { columns: table.columns.iter().map(column).collect(), rows: rows.collect() }
        });
        Ok(set.map_err(Into::into))
    }

    async fn execute(
        &mut self,
        connection: Resource<Connection>,
        statement: String,
        parameters: Vec<ParameterValue>,
    ) -> Answer<u64> {
        let (connection, caller) = self.using(&connection)?;
        let parameters = parameters.into_iter().map(bound).collect();
        let done = connection.execute(&caller, &statement, parameters).await;
        Ok(done.map(|done| done.rows).map_err(Into::into))
    }

    async fn drop(&mut self, connection: Resource<Connection>) -> wasmtime::Result<()> {
        self.close(connection)
    }
}

fn bound(value: ParameterValue) -> Value {
    match value {
        ParameterValue::Boolean(is) => Value::Bool(is),
        ParameterValue::Int8(n) => Value::I8(n),
        ParameterValue::Int16(n) => Value::I16(n),
        ParameterValue::Int32(n) => Value::I32(n),
        ParameterValue::Int64(n) => Value::I64(n),
        ParameterValue::Floating32(n) => Value::F32(n),
        ParameterValue::Floating64(n) => Value::F64(n),
        ParameterValue::Str(text) => Value::Text(text),
        ParameterValue::Binary(bytes) => Value::Binary(bytes),
        ParameterValue::Date((year, month, day)) => Value::Date(Date::Ymd(year, month, day)),
        ParameterValue::Time((hour, minute, second, nanosecond)) => {
            Value::Time(Time { hour, minute, second, nanosecond })
        }
        ParameterValue::Datetime((year, month, day, hour, minute, second, nanosecond)) => {
            let time = Time { hour, minute, second, nanosecond };
            Value::DateTime(Date::Ymd(year, month, day), time)
        }
        ParameterValue::Timestamp(seconds) => from_epoch(seconds),
        ParameterValue::DbNull => Value::Null,
    }
}

fn field(value: Value) -> DbValue {
    match value {
        Value::Null => DbValue::DbNull,
        Value::Bool(is) => DbValue::Boolean(is),
        Value::I8(n) => DbValue::Int8(n),
        Value::I16(n) => DbValue::Int16(n),
        Value::I32(n) => DbValue::Int32(n),
        Value::I64(n) => DbValue::Int64(n),
        Value::U32(n) => DbValue::Int64(n.into()),
        Value::F32(n) => DbValue::Floating32(n),
        Value::F64(n) => DbValue::Floating64(n),
        Value::Binary(bytes) => DbValue::Binary(bytes),
        Value::Date(Date::Ymd(year, month, day)) => DbValue::Date((year, month, day)),
        Value::Time(Time { hour, minute, second, nanosecond }) => {
            DbValue::Time((hour, minute, second, nanosecond))
        }
        Value::DateTime(date @ Date::Ymd(..), time)
        | Value::Instant(date @ Date::Ymd(..), time) => {
            date_time(date, time).map_or(DbValue::Unsupported, DbValue::Datetime)
        }
        Value::Range(_) | Value::Array(..) | Value::Other(..) => DbValue::Unsupported,
        // What there is no type for is text as people write it.
        other => other.literal().map_or(DbValue::Unsupported, DbValue::Str),
    }
}

fn column(column: &reef_sql::Column) -> Column {
    let data_type = match &column.kind {
        Kind::Bool => DbDataType::Boolean,
        Kind::I8 => DbDataType::Int8,
        Kind::I16 => DbDataType::Int16,
        Kind::I32 => DbDataType::Int32,
        Kind::I64 | Kind::U32 => DbDataType::Int64,
        Kind::F32 => DbDataType::Floating32,
        Kind::F64 => DbDataType::Floating64,
        Kind::Binary => DbDataType::Binary,
        Kind::Date => DbDataType::Date,
        Kind::Time => DbDataType::Time,
        Kind::DateTime | Kind::Instant => DbDataType::Datetime,
        Kind::Range(_) | Kind::Array(_) | Kind::Any | Kind::Other(_) => DbDataType::Other,
        _ => DbDataType::Str,
    };
    Column { name: column.name.clone(), data_type }
}
