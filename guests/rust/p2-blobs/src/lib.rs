//! Uses a blob store by `wasi:blobstore`: `/ROUTE/OPERATION/CONTAINER/OBJECT`, what is written or where to in the body.

use wasip2::{
    http::types::{Fields, IncomingRequest, OutgoingBody, OutgoingResponse, ResponseOutparam},
    io::streams::{InputStream, OutputStream, StreamError},
};

mod bindings {
    wit_bindgen::generate!({
        path: [
            "../../../crates/capabilities/interfaces/wit/wasi-io-0.2.1.wit",
            "../../../crates/capabilities/interfaces/wit/wasi-blobstore-0.2.0-draft.wit",
        ],
        inline: "
            package reef-test:blobs;

            world blobs {
                import wasi:blobstore/types@0.2.0-draft;
                import wasi:blobstore/container@0.2.0-draft;
                import wasi:blobstore/blobstore@0.2.0-draft;
            }
        ",
        world: "reef-test:blobs/blobs",
        with: { "wasi:io/streams@0.2.1": wasip2::io::streams },
        generate_all,
    });
}

use bindings::wasi::blobstore::{
    blobstore,
    container::Container,
    types::{IncomingValue, ObjectId, OutgoingValue},
};

struct Blobs;

wasip2::http::proxy::export!(Blobs);

impl wasip2::exports::http::incoming_handler::Guest for Blobs {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        let path = request.path_with_query().unwrap_or_default();
        let content = request.consume().expect("the body is taken once");
        let content = content.stream().expect("the stream is taken once");
        let response = OutgoingResponse::new(Fields::new());
        let body = response.body().expect("the body is taken once");
        ResponseOutparam::set(out, Ok(response));
        let stream = body.write().expect("the stream is taken once");
        let parts: Vec<_> = path.trim_start_matches('/').splitn(4, '/').collect();
        let [_, operation, container, object] = parts[..] else { return };
        let told = act(operation, container, object, &content, &stream);
        let told = told.unwrap_or_else(|error| format!("failed: {error}"));
        write(&stream, told.as_bytes());
        drop(stream);
        let _ = OutgoingBody::finish(body, None);
    }
}

fn act(
    operation: &str,
    name: &str,
    object: &str,
    content: &InputStream,
    out: &OutputStream,
) -> Result<String, String> {
    match operation {
        "create" => return Ok(blobstore::create_container(name)?.name()?),
        "exists-container" => return Ok(blobstore::container_exists(name)?.to_string()),
        "delete-container" => return Ok(format!("{:?}", blobstore::delete_container(name)?)),
        _ => {}
    }
    let container = blobstore::get_container(name)?;
    let at = |object: &str| ObjectId { container: name.to_owned(), object: object.to_owned() };
    Ok(match operation {
        // First the object, and then its bytes.
        "put" => {
            let value = OutgoingValue::new_outgoing_value();
            container.write_data(object, &value)?;
            copy(content, &value)?;
            format!("{:?}", OutgoingValue::finish(value)?)
        }
        // First the bytes, and then the object.
        "put-late" => {
            let value = OutgoingValue::new_outgoing_value();
            copy(content, &value)?;
            container.write_data(object, &value)?;
            let there = container.has_object(object)?;
            OutgoingValue::finish(value)?;
            there.to_string()
        }
        "forget" => {
            let value = OutgoingValue::new_outgoing_value();
            container.write_data(object, &value)?;
            copy(content, &value)?;
            String::new()
        }
        "get" => {
            stream(container.get_data(object, 0, u64::MAX)?, out)?;
            String::new()
        }
        "part" => {
            let value = container.get_data(object, 2, 4)?;
            let size = value.size();
            let bytes = IncomingValue::incoming_value_consume_sync(value)?;
            format!("{size} {}", String::from_utf8_lossy(&bytes))
        }
        "has" => container.has_object(object)?.to_string(),
        "info" => {
            let info = container.object_info(object)?;
            format!(
                "{} {} {} {}",
                info.name,
                info.container,
                info.size,
                info.created_at > 1_700_000_000
            )
        }
        "info-container" => container.info()?.name,
        "delete" => format!("{:?}", container.delete_object(object)?),
        "clear" => format!("{:?}", container.clear()?),
        "list" => list(&container)?,
        "copy" => format!("{:?}", blobstore::copy_object(&at(object), &at(&text(content)))?),
        "through" => through(&container, object)?,
        "move" => format!("{:?}", blobstore::move_object(&at(object), &at(&text(content)))?),
        _ => "which?".to_owned(),
    })
}

fn list(container: &Container) -> Result<String, String> {
    let names = container.list_objects()?;
    let (skipped, _) = names.skip_stream_object_names(1)?;
    let mut all = Vec::new();
    loop {
        let (some, ended) = names.read_stream_object_names(2)?;
        all.extend(some);
        if ended {
            return Ok(format!("{}", skipped + all.len() as u64));
        }
    }
}

fn copy(content: &InputStream, value: &OutgoingValue) -> Result<(), String> {
    let body = value.outgoing_value_write_body().map_err(|()| "no body")?;
    loop {
        match content.blocking_read(64 << 10) {
            Ok(piece) => {
                for some in piece.chunks(4096) {
                    body.blocking_write_and_flush(some).map_err(|error| match error {
                        StreamError::LastOperationFailed(error) => error.to_debug_string(),
                        StreamError::Closed => "closed".to_owned(),
                    })?;
                }
            }
            Err(StreamError::Closed) => return Ok(()),
            Err(error) => return Err(format!("{error:?}")),
        }
    }
}

/// An object's bytes, through this guest, to an object whose name ends in `-2`; as many at a time as there is room for.
fn through(container: &Container, object: &str) -> Result<String, String> {
    let from = container.get_data(object, 0, u64::MAX)?;
    let from = IncomingValue::incoming_value_consume_async(from)?;
    let value = OutgoingValue::new_outgoing_value();
    container.write_data(&format!("{object}-2"), &value)?;
    let body = value.outgoing_value_write_body().map_err(|()| "no body")?;
    let failed = |error: StreamError| format!("{error:?}");
    let room = body.subscribe();
    let mut copied = 0;
    loop {
        let piece = match from.blocking_read(1 << 20) {
            Ok(piece) => piece,
            Err(StreamError::Closed) => break,
            Err(error) => return Err(failed(error)),
        };
        let mut rest = &piece[..];
        while !rest.is_empty() {
            let permit = body.check_write().map_err(failed)?;
            if permit == 0 {
                room.block();
                continue;
            }
            let (now, later) = rest.split_at(rest.len().min(permit as usize));
            body.write(now).map_err(failed)?;
            rest = later;
        }
        copied += piece.len() as u64;
    }
    body.blocking_flush().map_err(failed)?;
    drop((room, body));
    OutgoingValue::finish(value)?;
    Ok(copied.to_string())
}

fn stream(value: IncomingValue, out: &OutputStream) -> Result<(), String> {
    let body = IncomingValue::incoming_value_consume_async(value)?;
    loop {
        match body.blocking_read(64 << 10) {
            Ok(piece) => write(out, &piece),
            Err(StreamError::Closed) => return Ok(()),
            Err(error) => return Err(format!("{error:?}")),
        }
    }
}

fn write(out: &OutputStream, bytes: &[u8]) {
    for piece in bytes.chunks(4096) {
        out.blocking_write_and_flush(piece).expect("the client reads");
    }
}

fn text(content: &InputStream) -> String {
    let mut all = Vec::new();
    while let Ok(piece) = content.blocking_read(4096) {
        all.extend(piece);
    }
    String::from_utf8_lossy(&all).into_owned()
}
