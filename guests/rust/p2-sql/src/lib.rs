//! SQL as Spin 1 had it, where connections are numbers or none at all (`/sqlite`, `/postgres`, `/mysql`), and as
//! wasmCloud 1 has it (`/wasmcloud`), each with a script in the body (see `script`). The answer is a line for each
//! step.

mod script;

use script::{Step, bytes, steps};
use wasip2::{
    http::types::{Fields, IncomingRequest, OutgoingBody, OutgoingResponse, ResponseOutparam},
    io::streams::StreamError,
};

mod bindings {
    wit_bindgen::generate!({
        path: [
            "../../../crates/capabilities/interfaces/wit/fermyon-spin-sql.wit",
            "../../../crates/capabilities/interfaces/wit/wasmcloud-bus-2.0.1.wit",
            "../../../crates/capabilities/interfaces/wit/wasmcloud-postgres-0.1.1-draft.wit",
        ],
        inline: "
            package reef-test:sql;

            world sql {
                import fermyon:spin/sqlite;
                import fermyon:spin/postgres;
                import fermyon:spin/mysql;
                import wasmcloud:bus/lattice@2.0.1;
                import wasmcloud:postgres/query@0.1.1-draft;
                import wasmcloud:postgres/prepared@0.1.1-draft;
            }
        ",
        world: "reef-test:sql/sql",
        generate_all,
    });
}

use bindings::{
    fermyon::spin::{
        mysql, postgres,
        rdbms_types::ParameterValue,
        sqlite::{self, Value},
    },
    wasmcloud::{
        bus::lattice::{CallTargetInterface, set_link_name},
        postgres::{prepared, query},
    },
};

struct Sql;

wasip2::http::proxy::export!(Sql);

impl wasip2::exports::http::incoming_handler::Guest for Sql {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        let path = request.path_with_query().unwrap_or_default();
        let steps = steps(&body(&request));
        let said = match &*path {
            "/sqlite" => lite(&steps),
            "/postgres" => outbound(&steps, |address, step, parameters| match &*step.what {
                "query" => postgres::query(address, &step.text, &parameters)
                    .map_or_else(debug, |set| debug(set.rows)),
                _ => postgres::execute(address, &step.text, &parameters).map_or_else(debug, debug),
            }),
            "/mysql" => outbound(&steps, |address, step, parameters| match &*step.what {
                "query" => mysql::query(address, &step.text, &parameters)
                    .map_or_else(debug, |set| debug(set.rows)),
                _ => mysql::execute(address, &step.text, &parameters).map_or_else(debug, debug),
            }),
            "/wasmcloud" => wasmcloud(&steps),
            _ => vec!["which?".to_owned()],
        };
        let response = OutgoingResponse::new(Fields::new());
        let body = response.body().expect("the body is taken once");
        ResponseOutparam::set(out, Ok(response));
        let stream = body.write().expect("the stream is taken once");
        for piece in said.join("\n").as_bytes().chunks(4096) {
            let _ = stream.blocking_write_and_flush(piece);
        }
        drop(stream);
        let _ = OutgoingBody::finish(body, None);
    }
}

fn body(request: &IncomingRequest) -> Vec<u8> {
    let Ok(body) = request.consume() else { return Vec::new() };
    let Ok(stream) = body.stream() else { return Vec::new() };
    let mut all = Vec::new();
    loop {
        match stream.blocking_read(64 << 10) {
            Ok(piece) => all.extend(piece),
            Err(StreamError::Closed) => return all,
            Err(error) => panic!("{error:?}"),
        }
    }
}

fn debug(value: impl std::fmt::Debug) -> String {
    format!("{value:?}")
}

fn lite(steps: &[Step]) -> Vec<String> {
    let mut connection = 0;
    let value = |(kind, text): &(String, String)| match &**kind {
        "integer" => Value::Integer(text.parse().expect("a number")),
        "real" => Value::Real(text.parse().expect("a number")),
        "text" => Value::Text(text.clone()),
        "blob" => Value::Blob(bytes(text)),
        "null" => Value::Null,
        other => panic!("there is no type {other}"),
    };
    let each = steps.iter().map(|step| match &*step.what {
        "open" => sqlite::open(&step.text).map_or_else(debug, |opened| {
            connection = opened;
            "open".to_owned()
        }),
        "close" => {
            sqlite::close(connection);
            "closed".to_owned()
        }
        "query" => {
            let parameters: Vec<_> = step.parameters.iter().map(value).collect();
            sqlite::execute(connection, &step.text, &parameters).map_or_else(debug, |result| {
                let rows = result.rows.into_iter().map(|row| row.values);
                format!("{:?} {:?}", result.columns, rows.collect::<Vec<_>>())
            })
        }
        other => format!("{other}: what?"),
    });
    each.collect()
}

/// A script of statements, each of which has a connection of its own: `open` only says the address.
fn outbound(
    steps: &[Step],
    run: impl Fn(&str, &Step, Vec<ParameterValue>) -> String,
) -> Vec<String> {
    let mut address = "";
    let value = |(kind, text): &(String, String)| match &**kind {
        "boolean" => ParameterValue::Boolean(text == "true"),
        "int32" => ParameterValue::Int32(text.parse().expect("a number")),
        "int64" => ParameterValue::Int64(text.parse().expect("a number")),
        "floating64" => ParameterValue::Floating64(text.parse().expect("a number")),
        "str" => ParameterValue::Str(text.clone()),
        "binary" => ParameterValue::Binary(bytes(text)),
        "null" => ParameterValue::DbNull,
        other => panic!("there is no type {other}"),
    };
    let each = steps.iter().map(|step| {
        if step.what == "open" {
            address = &step.text;
            return "open".to_owned();
        }
        run(address, step, step.parameters.iter().map(value).collect())
    });
    each.collect()
}

fn wasmcloud(steps: &[Step]) -> Vec<String> {
    let mut token = String::new();
    let each = steps.iter().map(|step| {
        let parameters: Vec<_> = step
            .parameters
            .iter()
            .map(|(kind, text)| pg_value!(crate::bindings::wasmcloud::postgres::types, kind, text))
            .collect();
        match &*step.what {
            "link" => {
                let interfaces = ["query", "prepared"];
                let interfaces =
                    interfaces.map(|one| CallTargetInterface::new("wasmcloud", "postgres", one));
                set_link_name(&step.text, interfaces.into()).map_or_else(debug, debug)
            }
            "query" => query::query(&step.text, &parameters).map_or_else(debug, |rows| {
                let rows = rows.into_iter().map(|row| {
                    let fields = row.into_iter().map(|entry| (entry.column_name, entry.value));
                    fields.collect::<Vec<_>>()
                });
                debug(rows.collect::<Vec<_>>())
            }),
            "batch" => query::query_batch(&step.text).map_or_else(debug, debug),
            "prepare" => prepared::prepare(&step.text).map_or_else(debug, |made| {
                token = made;
                "prepared".to_owned()
            }),
            "forge" => {
                token = step.text.clone();
                "forged".to_owned()
            }
            "exec" => prepared::exec(&token, &parameters).map_or_else(debug, debug),
            other => format!("{other}: what?"),
        }
    });
    each.collect()
}
