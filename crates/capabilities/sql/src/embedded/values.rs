//! Values and errors between Reef and SQLite.

use std::time::Duration;

use reef_capability::Failure;
use rusqlite::{
    Error, ErrorCode, ffi,
    types::{ToSqlOutput, ValueRef},
};

use crate::{
    error::{Said, SqlError},
    value::Value,
};

/// A value as SQLite has it: what it has no type for is text as people write it.
pub(crate) fn bound<'a>(index: usize, value: &'a Value) -> Result<ToSqlOutput<'a>, SqlError> {
    use rusqlite::types::Value as Own;
    Ok(match value {
        Value::Null => ToSqlOutput::Borrowed(ValueRef::Null),
        Value::Bool(is) => ToSqlOutput::Owned(Own::Integer((*is).into())),
        Value::F32(n) => ToSqlOutput::Owned(Own::Real((*n).into())),
        Value::F64(n) => ToSqlOutput::Owned(Own::Real(*n)),
        Value::Text(text) | Value::Decimal(text) | Value::Json(text) => {
            ToSqlOutput::Borrowed(ValueRef::Text(text.as_bytes()))
        }
        Value::Binary(bytes) => ToSqlOutput::Borrowed(ValueRef::Blob(bytes)),
        Value::Range(_) | Value::Array(..) | Value::Other(..) => {
            let why = format!("is {}, which SQLite does not have", value.kind());
            return Err(SqlError::parameter(index, why));
        }
        other => match other.integer() {
            Some(n) => {
                let n = i64::try_from(n).map_err(|_| {
                    SqlError::parameter(
                        index,
                        "is larger than SQLite's integers, which have 64 bits with a sign",
                    )
                })?;
                ToSqlOutput::Owned(Own::Integer(n))
            }
            None => ToSqlOutput::Owned(Own::Text(other.literal().unwrap_or_default())),
        },
    })
}

/// A field of a row, whose column is for the message.
pub(crate) fn read(value: ValueRef<'_>, column: &str) -> Result<Value, SqlError> {
    Ok(match value {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(n) => Value::I64(n),
        ValueRef::Real(n) => Value::F64(n),
        ValueRef::Text(bytes) => {
            Value::Text(std::str::from_utf8(bytes).map(str::to_owned).map_err(|_| {
                SqlError::invalid(format!(
                    "column `{column}` holds text that is not UTF-8: select CAST({column} AS BLOB)"
                ))
            })?)
        }
        ValueRef::Blob(bytes) => Value::Binary(bytes.to_owned()),
    })
}

/// What SQLite says of the database `name`; `refused` is what its authorizer refused.
pub(crate) fn failure(
    error: Error,
    name: &str,
    refused: Option<String>,
    time: Duration,
) -> SqlError {
    let (code, text) = match &error {
        Error::SqliteFailure(code, text) => (*code, text.clone()),
        Error::SqlInputError { error, msg, .. } => (*error, Some(msg.clone())),
        Error::MultipleStatement => {
            return SqlError::invalid("there is more than one statement: run them one by one");
        }
        _ => return SqlError::invalid(error.to_string()),
    };
    let message = text.unwrap_or_else(|| error.to_string());
    let said = || {
        Some(Box::new(Said {
            severity: "ERROR".to_owned(),
            code: code.extended_code.to_string(),
            message: message.clone(),
            ..Said::default()
        }))
    };
    let failure = match code.code {
        ErrorCode::AuthorizationForStatementDenied | ErrorCode::PermissionDenied => {
            Failure::Denied(refused.unwrap_or(message.clone()))
        }
        ErrorCode::DiskFull => Failure::Full(format!(
            "the database `{name}` has reached its `capacity`, or the disk is full: delete something, or give it more"
        )),
        ErrorCode::OperationInterrupted => Failure::Timeout(time),
        ErrorCode::DatabaseBusy if code.extended_code == ffi::SQLITE_BUSY_SNAPSHOT => {
            Failure::Conflict(format!(
                "the database `{name}` was changed since this transaction first read it: roll back, and begin again \
                 with BEGIN IMMEDIATE"
            ))
        }
        ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => Failure::Conflict(format!(
            "the database `{name}` was locked by another transaction for as long as this statement could wait"
        )),
        ErrorCode::ConstraintViolation => Failure::Conflict(message.clone()),
        ErrorCode::TooBig => Failure::Invalid(format!(
            "{message}: a value, a row or the statement is larger than `max-size`"
        )),
        ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt => Failure::Backend(format!(
            "the file of the database `{name}` is damaged ({message}): restore it from a copy"
        )),
        ErrorCode::CannotOpen | ErrorCode::SystemIoFailure | ErrorCode::ReadOnly => {
            Failure::Backend(format!("the file of the database `{name}` cannot be used: {message}"))
        }
        ErrorCode::OutOfMemory
        | ErrorCode::InternalMalfunction
        | ErrorCode::FileLockingProtocolFailed
        | ErrorCode::NoLargeFileSupport => Failure::Backend(message.clone()),
        _ => Failure::Invalid(message.clone()),
    };
    let said = (!failure.is_of_backend()).then(said).flatten();
    SqlError { failure, said }
}
