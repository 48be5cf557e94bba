//! PostgreSQL as wasmCloud 2 has it, asynchronous and with rows as a stream: a script in the body (see `script`). The
//! answer is a line for each step.

#[path = "../../p2-sql/src/script.rs"]
mod script;

use script::{Step, steps};
use wasip3::http::types::{ErrorCode, Fields, Request, Response};
use wasip3::{wit_future, wit_stream};

mod bindings {
    wit_bindgen::generate!({
        path: "../../../crates/capabilities/interfaces/wit/wasmcloud-postgres-0.2.0.wit",
        inline: "
            package reef-test:async-sql;

            world async-sql {
                import wasmcloud:postgres/query@0.2.0;
                import wasmcloud:postgres/prepared@0.2.0;
            }
        ",
        world: "reef-test:async-sql/async-sql",
        generate_all,
    });
}

use bindings::wasmcloud::postgres::{prepared, query, types::Error};

struct Sql;

wasip3::http::service::export!(Sql);

impl wasip3::exports::http::handler::Guest for Sql {
    async fn handle(request: Request) -> Result<Response, ErrorCode> {
        let (_, done) = wit_future::new(|| Ok(()));
        let (body, _trailers) = Request::consume_body(request, done);
        let mut token = String::new();
        let mut said = Vec::new();
        for step in steps(&body.collect().await) {
            let done = run(&step, &mut token).await;
            said.push(done.unwrap_or_else(|error| format!("{error:?}")));
        }
        let (mut writer, reader) = wit_stream::new();
        let (_, trailers) = wit_future::new(|| Ok(None));
        let (response, _sent) = Response::new(Fields::new(), Some(reader), trailers);
        wasip3::spawn_local(async move {
            let _unread = writer.write_all(said.join("\n").into_bytes()).await;
        });
        Ok(response)
    }
}

async fn run(step: &Step, token: &mut String) -> Result<String, Error> {
    let text = step.text.clone();
    let parameters: Vec<_> = step
        .parameters
        .iter()
        .map(|(kind, text)| pg_value!(crate::bindings::wasmcloud::postgres::types, kind, text))
        .collect();
    Ok(match &*step.what {
        "query" => {
            let (columns, rows, end) = query::query(text, parameters).await?;
            let rows = rows.collect().await;
            end.await?;
            format!("{columns:?} {rows:?}")
        }
        // How many rows there are, and how they end.
        "count" => {
            let (_, rows, end) = query::query(text, parameters).await?;
            format!("{} rows {:?}", rows.collect().await.len(), end.await)
        }
        "batch" => format!("{:?}", query::query_batch(text).await?),
        "prepare" => {
            *token = prepared::prepare(text).await?;
            "prepared".to_owned()
        }
        "forge" => {
            *token = text;
            "forged".to_owned()
        }
        "exec" => prepared::exec(token.clone(), parameters).await?.to_string(),
        other => format!("{other}: what?"),
    })
}
