//! Uses a blob store by `wasmcloud:blobstore` of WASI 0.3: `/ROUTE/OPERATION/CONTAINER/OBJECT`, what is written or where to
//! in the body.

use wasip3::{
    http::types::{ErrorCode, Fields, Request, Response},
    wit_future, wit_stream,
};

mod bindings {
    wit_bindgen::generate!({
        path: "../../../crates/capabilities/interfaces/wit/wasmcloud-blobstore-0.1.0.wit",
        inline: "
            package reef-test:blobs;

            world blobs {
                import wasmcloud:blobstore/types@0.1.0;
                import wasmcloud:blobstore/container@0.1.0;
                import wasmcloud:blobstore/blobstore@0.1.0;
            }
        ",
        world: "reef-test:blobs/blobs",
        generate_all,
    });
}

use bindings::wasmcloud::blobstore::{
    blobstore,
    types::{Error, ObjectId},
};
use wit_bindgen::{StreamReader, StreamResult};

struct Blobs;

wasip3::http::service::export!(Blobs);

impl wasip3::exports::http::handler::Guest for Blobs {
    async fn handle(request: Request) -> Result<Response, ErrorCode> {
        let path = request.get_path_with_query().unwrap_or_default();
        let (_, sent) = wit_future::new(|| Ok(()));
        let (content, _) = Request::consume_body(request, sent);
        let parts: Vec<_> = path.trim_start_matches('/').splitn(4, '/').collect();
        let [_, operation, container, object] = parts[..] else {
            return Err(ErrorCode::InternalError(None));
        };
        let told = act(operation, container, object, content).await;
        let body = match told {
            Ok(Told::Stream(body)) => body,
            Ok(Told::Text(text)) => said(text),
            Err(error) => said(format!("failed: {error:?}")),
        };
        let (_, trailers) = wit_future::new(|| Ok(None));
        let (response, _) = Response::new(Fields::new(), Some(body), trailers);
        Ok(response)
    }
}

enum Told {
    Text(String),
    Stream(StreamReader<u8>),
}

async fn act(
    operation: &str,
    name: &str,
    object: &str,
    content: StreamReader<u8>,
) -> Result<Told, Error> {
    let named = name.to_owned();
    match operation {
        "create" => {
            let made = blobstore::create_container(named).await?;
            return Ok(Told::Text(made.name().await?));
        }
        "exists-container" => {
            return Ok(Told::Text(blobstore::container_exists(named).await?.to_string()));
        }
        "delete-container" => {
            blobstore::delete_container(named).await?;
            return Ok(Told::Text("()".to_owned()));
        }
        _ => {}
    }
    let container = blobstore::get_container(named).await?;
    let at = |object: &str| ObjectId { container: name.to_owned(), object: object.to_owned() };
    let whole = object.to_owned();
    Ok(Told::Text(match operation {
        "put" => format!("{:?}", container.write_data(whole, content).await?),
        "get" => return Ok(Told::Stream(container.get_data(whole, 0, u64::MAX).await?)),
        "part" => return Ok(Told::Stream(container.get_data(whole, 2, 4).await?)),
        "has" => container.has_object(whole).await?.to_string(),
        "info" => {
            let info = container.object_info(whole).await?;
            let recent = info.created_at > 1_700_000_000_000_000_000;
            format!("{} {} {} {recent}", info.name, info.container, info.size)
        }
        "info-container" => container.info().await?.name,
        "delete" => format!("{:?}", container.delete_object(whole).await?),
        "clear" => format!("{:?}", container.clear().await?),
        "list" => {
            let mut names = container.list_objects().await?;
            let mut count = 0;
            while names.next().await.is_some() {
                count += 1;
            }
            count.to_string()
        }
        "copy" => {
            let to = at(&text(content).await);
            format!("{:?}", blobstore::copy_object(at(object), to).await?)
        }
        "through" => {
            let from = container.get_data(whole, 0, u64::MAX).await?;
            format!("{:?}", container.write_data(format!("{object}-2"), through(from)).await?)
        }
        "move" => {
            let to = at(&text(content).await);
            format!("{:?}", blobstore::move_object(at(object), to).await?)
        }
        _ => "which?".to_owned(),
    }))
}

async fn text(mut content: StreamReader<u8>) -> String {
    let mut all = Vec::new();
    loop {
        let (result, piece) = content.read(Vec::with_capacity(4096)).await;
        all.extend(piece);
        if !matches!(result, StreamResult::Complete(_)) {
            return String::from_utf8_lossy(&all).into_owned();
        }
    }
}

/// The same bytes, by way of this guest.
fn through(mut from: StreamReader<u8>) -> StreamReader<u8> {
    let (mut writer, reader) = wit_stream::new();
    wasip3::spawn_local(async move {
        let mut room = Vec::with_capacity(1 << 20);
        loop {
            let (result, piece) = from.read(room).await;
            let unwritten = writer.write_all(piece).await;
            if !unwritten.is_empty() || !matches!(result, StreamResult::Complete(_)) {
                return;
            }
            room = unwritten;
            room.clear();
        }
    });
    reader
}

fn said(text: String) -> StreamReader<u8> {
    let (mut writer, reader) = wit_stream::new();
    wasip3::spawn_local(async move {
        let _unread = writer.write_all(text.into_bytes()).await;
    });
    reader
}
