//! SQL by Spin's SDK 5, a core module whose calls wait: `/sqlite2` and `/sqlite3`, `/postgres2`, `/postgres3` and
//! `/postgres4`, and `/mysql2`, each with a script in the body (see `script`). The answer is a line for each step.

#[path = "../../spin-sql/src/script.rs"]
mod script;

use script::{Step, next, numbers, steps};
use spin_sdk::{
    http::{IntoResponse, Request, Response},
    http_component, mysql, pg, pg3, pg4, sqlite, sqlite3,
};

#[http_component]
fn handle(request: Request) -> anyhow::Result<impl IntoResponse> {
    let steps = steps(request.body());
    let said = match request.path() {
        "/sqlite2" => lite2(&steps),
        "/sqlite3" => lite3(&steps),
        "/postgres2" => postgres2(&steps),
        "/postgres3" => postgres3(&steps),
        "/postgres4" => postgres4(&steps),
        "/mysql2" => mysql2(&steps),
        other => vec![format!("{other}: which?")],
    };
    Ok(Response::new(200, said.join("\n")))
}

/// Steps that need no database.
fn other(step: &Step) -> String {
    match &*step.what {
        "trap" => core::arch::wasm32::unreachable(),
        what => format!("{what}: what?"),
    }
}

/// A script by one version of SQLite's interface.
macro_rules! lite {
    ($name:ident, $version:ident, |$connection:ident| { $($more:tt)* }) => {
        fn $name(steps: &[Step]) -> Vec<String> {
            use $version::{Connection, Error, Value};
            let value = |(kind, text): &(String, String)| match &**kind {
                "integer" => Value::Integer(text.parse().expect("a number")),
                "real" => Value::Real(text.parse().expect("a number")),
                "text" => Value::Text(text.clone()),
                "blob" => Value::Blob(numbers(text).collect()),
                "null" => Value::Null,
                other => panic!("there is no type {other}"),
            };
            let mut opened = None;
            let each = steps.iter().map(|step| {
                let mut run = || -> Result<String, Error> {
                    if step.what == "open" {
                        opened = Some(Connection::open(&step.text)?);
                        return Ok("open".to_owned());
                    }
                    let $connection: &Connection = opened.as_ref().expect("it is open");
                    Ok(match &*step.what {
                        "query" => {
                            let parameters: Vec<_> = step.parameters.iter().map(value).collect();
                            let result = $connection.execute(&step.text, &parameters)?;
                            let rows = result.rows.into_iter().map(|row| row.values);
                            format!("{:?} {:?}", result.columns, rows.collect::<Vec<_>>())
                        }
                        $($more)*
                        _ => other(step),
                    })
                };
                run().unwrap_or_else(|error| format!("{error:?}"))
            });
            each.collect()
        }
    };
}

lite!(lite2, sqlite, |connection| {});
lite!(lite3, sqlite3, |connection| {
    "changes" => connection.changes().to_string(),
    "inserted" => connection.last_insert_rowid().to_string(),
});

/// A script by one version of an outbound database's interface.
macro_rules! outbound {
    ($name:ident, $connection:path, $error:path, $value:ident) => {
        fn $name(steps: &[Step]) -> Vec<String> {
            use $connection as Connection;
            let mut opened = None;
            let each = steps.iter().map(|step| {
                let mut run = || -> Result<String, $error> {
                    if step.what == "open" {
                        opened = Some(Connection::open(&step.text)?);
                        return Ok("open".to_owned());
                    }
                    let connection: &Connection = opened.as_ref().expect("it is open");
                    let parameters: Vec<_> = step.parameters.iter().map($value).collect();
                    Ok(match &*step.what {
                        "query" => {
                            let result = connection.query(&step.text, &parameters)?;
                            let types = result.columns.iter().map(|one| one.data_type.clone());
                            format!("{:?} {:?}", types.collect::<Vec<_>>(), result.rows)
                        }
                        "execute" => {
                            format!("{:?}", connection.execute(&step.text, &parameters)?)
                        }
                        _ => other(step),
                    })
                };
                run().unwrap_or_else(|error| format!("{error:?}"))
            });
            each.collect()
        }
    };
}

outbound!(postgres2, pg::Connection, pg::PgError, value2);
outbound!(postgres3, pg3::Connection, pg3::PgError, value3);
outbound!(postgres4, pg4::Connection, pg4::PgError, value4);
outbound!(mysql2, mysql::Connection, mysql::MysqlError, value2);

fn value2((kind, text): &(String, String)) -> mysql::ParameterValue {
    use mysql::ParameterValue;
    parameter!(ParameterValue, kind, text, {
        "uint8" => ParameterValue::Uint8(text.parse().expect("a number")),
        "uint16" => ParameterValue::Uint16(text.parse().expect("a number")),
        "uint32" => ParameterValue::Uint32(text.parse().expect("a number")),
        "uint64" => ParameterValue::Uint64(text.parse().expect("a number")),
    })
}

fn value3((kind, text): &(String, String)) -> pg3::ParameterValue {
    use pg3::ParameterValue;
    let parts = &mut text.split_whitespace().map_while(|one| one.parse().ok());
    parameter!(ParameterValue, kind, text, {
        "date" => ParameterValue::Date((next(parts), next(parts), next(parts))),
        "time" => ParameterValue::Time((next(parts), next(parts), next(parts), next(parts))),
        "datetime" => ParameterValue::Datetime((
            next(parts), next(parts), next(parts), next(parts), next(parts), next(parts), next(parts),
        )),
        "timestamp" => ParameterValue::Timestamp(next(parts)),
    })
}

fn value4((kind, text): &(String, String)) -> pg4::ParameterValue {
    use pg4::ParameterValue;
    let parts = &mut text.split_whitespace().map_while(|one| one.parse().ok());
    parameter!(ParameterValue, kind, text, {
        "date" => ParameterValue::Date((next(parts), next(parts), next(parts))),
        "uuid" => ParameterValue::Uuid(text.to_owned()),
        "jsonb" => ParameterValue::Jsonb(text.as_bytes().to_vec()),
        "decimal" => ParameterValue::Decimal(text.to_owned()),
        "array-str" => {
            let each = text.split(',').map(|one| (one != "null").then(|| one.to_owned()));
            ParameterValue::ArrayStr(each.collect())
        }
    })
}
