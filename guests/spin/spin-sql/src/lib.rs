//! SQL by Spin's SDK 7, whose calls are asynchronous and whose rows are streams: `/sqlite`, `/postgres` and `/mysql`,
//! each with a script in the body (see `script`). The answer is a line for each step.

mod script;

use spin_sdk::{
    http::{IntoResponse, Request, body::IncomingBodyExt as _},
    http_service, mysql, pg, sqlite,
};

use script::{Step, next, numbers, steps};

#[http_service]
async fn handle(request: Request) -> impl IntoResponse {
    let (head, body) = request.into_parts();
    let steps = steps(&body.bytes().await.expect("a body"));
    let mut said = Vec::new();
    match head.uri.path() {
        "/sqlite" => lite(steps, &mut said).await,
        "/postgres" => postgres(steps, &mut said).await,
        "/mysql" => maria(steps, &mut said).await,
        other => said.push(format!("{other}: which?")),
    }
    said.join("\n")
}

/// Steps that need no database.
fn other(step: &Step) -> String {
    match &*step.what {
        "trap" => core::arch::wasm32::unreachable(),
        what => format!("{what}: what?"),
    }
}

async fn lite(steps: Vec<Step>, said: &mut Vec<String>) {
    use sqlite::{Connection, Error, Value};
    let value = |(kind, text): &(String, String)| match &**kind {
        "integer" => Value::Integer(text.parse().expect("a number")),
        "real" => Value::Real(text.parse().expect("a number")),
        "text" => Value::Text(text.clone()),
        "blob" => Value::Blob(numbers(text).collect()),
        "null" => Value::Null,
        other => panic!("there is no type {other}"),
    };
    let mut connection = None;
    for step in steps {
        let run = async || -> Result<String, Error> {
            let connection: &Connection = connection.as_ref().expect("it is open");
            let parameters = step.parameters.iter().map(value);
            Ok(match &*step.what {
                "query" => {
                    let result = connection.execute(&step.text, parameters).await?;
                    let columns = result.columns().to_vec();
                    let rows: Vec<_> =
                        result.collect().await?.into_iter().map(|row| row.values).collect();
                    format!("{columns:?} {rows:?}")
                }
                // Reads so many rows, and wants no more.
                "some" => {
                    let (number, text) = step.text.split_once(' ').expect("how many, and of what");
                    let mut result = connection.execute(text, parameters).await?;
                    let mut count = 0;
                    while count < number.parse().expect("a number") && result.next().await.is_some()
                    {
                        count += 1;
                    }
                    format!("{count} rows")
                }
                // How many rows there are, and how they end.
                "count" => {
                    let mut result = connection.execute(&step.text, parameters).await?;
                    let mut count = 0;
                    while result.next().await.is_some() {
                        count += 1;
                    }
                    format!("{count} rows {:?}", result.result().await)
                }
                "changes" => format!("{}", connection.changes().await),
                "inserted" => format!("{}", connection.last_insert_rowid().await),
                _ => other(&step),
            })
        };
        let done = match &*step.what {
            "open" => Connection::open(&step.text).await.map(|opened| {
                connection = Some(opened);
                "open".to_owned()
            }),
            _ => run().await,
        };
        said.push(done.unwrap_or_else(|error| format!("{error:?}")));
    }
}

fn bounds<T: TryFrom<i64>>(
    text: &str,
) -> (Option<(T, pg::RangeBoundKind)>, Option<(T, pg::RangeBoundKind)>) {
    let mut numbers = numbers(text);
    let lower = numbers.next().map(|one| (one, pg::RangeBoundKind::Inclusive));
    (lower, numbers.next().map(|one| (one, pg::RangeBoundKind::Exclusive)))
}

/// Values with commas between, each of which may be `null`.
fn list<T>(text: &str, of: impl Fn(&str) -> T) -> Vec<Option<T>> {
    let each = text.split(',').filter(|one| !one.is_empty());
    each.map(|one| (one != "null").then(|| of(one))).collect()
}

fn value_of_postgres((kind, text): &(String, String)) -> pg::ParameterValue {
    use pg::{Interval, ParameterValue, RangeBoundKind::*};
    let mut parts = text
        .split_whitespace()
        .map_while(|one| one.parse::<i64>().ok())
        .collect::<Vec<_>>()
        .into_iter();
    let parts = &mut parts;
    let number = |text: &str| text.parse().expect("a number");
    parameter!(ParameterValue, kind, text, {
        "date" => ParameterValue::Date((next(parts), next(parts), next(parts))),
        "time" => ParameterValue::Time((next(parts), next(parts), next(parts), next(parts))),
        "datetime" => ParameterValue::Datetime((
            next(parts), next(parts), next(parts), next(parts), next(parts), next(parts), next(parts),
        )),
        "timestamp" => ParameterValue::Timestamp(next(parts)),
        "uuid" => ParameterValue::Uuid(text.to_owned()),
        "jsonb" => ParameterValue::Jsonb(text.as_bytes().to_vec()),
        "decimal" => ParameterValue::Decimal(text.to_owned()),
        "range-int32" => ParameterValue::RangeInt32(bounds(text)),
        "range-int64" => ParameterValue::RangeInt64(bounds(text)),
        "range-decimal" => {
            let (lower, upper) = text.split_once(' ').expect("two ends");
            let (lower, upper) = (lower.to_owned(), upper.to_owned());
            ParameterValue::RangeDecimal((Some((lower, Exclusive)), Some((upper, Inclusive))))
        }
        "array-int32" => ParameterValue::ArrayInt32(list(text, |one| one.parse().expect("a number"))),
        "array-int64" => ParameterValue::ArrayInt64(list(text, number)),
        "array-decimal" => ParameterValue::ArrayDecimal(list(text, str::to_owned)),
        "array-str" => ParameterValue::ArrayStr(list(text, str::to_owned)),
        "interval" => {
            let (micros, days, months) = (next(parts), next(parts), next(parts));
            ParameterValue::Interval(Interval { micros, days, months })
        }
    })
}

async fn postgres(steps: Vec<Step>, said: &mut Vec<String>) {
    use pg::{Connection, Error};
    let mut connection = None;
    for step in steps {
        let run = async || -> Result<String, Error> {
            let connection: &Connection = connection.as_ref().expect("it is open");
            let parameters: Vec<_> = step.parameters.iter().map(value_of_postgres).collect();
            Ok(match &*step.what {
                "query" => {
                    let mut result = connection.query(&step.text, parameters).await?;
                    let types: Vec<_> =
                        result.columns().iter().map(|one| one.data_type.clone()).collect();
                    let mut rows = Vec::new();
                    while let Some(row) = result.rows().next().await {
                        rows.push(row);
                    }
                    result.result().await?;
                    format!("{types:?} {rows:?}")
                }
                "count" => {
                    let mut result = connection.query(&step.text, parameters).await?;
                    let mut count = 0;
                    while result.next().await.is_some() {
                        count += 1;
                    }
                    format!("{count} rows {:?}", result.result().await)
                }
                "execute" => connection.execute(&step.text, parameters).await?.to_string(),
                _ => other(&step),
            })
        };
        let done = match &*step.what {
            "open" => Connection::open(&step.text).await.map(|opened| {
                connection = Some(opened);
                "open".to_owned()
            }),
            _ => run().await,
        };
        said.push(done.unwrap_or_else(|error| format!("{error:?}")));
    }
}

async fn maria(steps: Vec<Step>, said: &mut Vec<String>) {
    use mysql::{Connection, Error, ParameterValue};
    let mut connection = None;
    for step in steps {
        let run = async || -> Result<String, Error> {
            let connection: &Connection = connection.as_ref().expect("it is open");
            let parameters: Vec<_> = step
                .parameters
                .iter()
                .map(|(kind, text)| {
                    parameter!(ParameterValue, kind, text, {
                        "uint8" => ParameterValue::Uint8(text.parse().expect("a number")),
                        "uint16" => ParameterValue::Uint16(text.parse().expect("a number")),
                        "uint32" => ParameterValue::Uint32(text.parse().expect("a number")),
                        "uint64" => ParameterValue::Uint64(text.parse().expect("a number")),
                    })
                })
                .collect();
            Ok(match &*step.what {
                "query" => {
                    let mut result = connection.query(&step.text, parameters).await?;
                    let types: Vec<_> = result.columns().iter().map(|one| one.data_type).collect();
                    let mut rows = Vec::new();
                    while let Some(row) = result.rows().next().await {
                        rows.push(row);
                    }
                    result.result().await?;
                    format!("{types:?} {rows:?}")
                }
                "count" => {
                    let mut result = connection.query(&step.text, parameters).await?;
                    let mut count = 0;
                    while result.next().await.is_some() {
                        count += 1;
                    }
                    format!("{count} rows {:?}", result.result().await)
                }
                "execute" => format!("{:?}", connection.execute(&step.text, parameters).await?),
                _ => other(&step),
            })
        };
        let done = match &*step.what {
            "open" => Connection::open(&step.text).await.map(|opened| {
                connection = Some(opened);
                "open".to_owned()
            }),
            _ => run().await,
        };
        said.push(done.unwrap_or_else(|error| format!("{error:?}")));
    }
}
