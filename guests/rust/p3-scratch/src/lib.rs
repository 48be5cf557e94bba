//! Does to files of the first directory that it is given what its query says, by WASI 0.3:
//! `write:a:0:100,rm:a` answers `ok,ok`, or what went wrong.

use wasip3::filesystem::preopens::get_directories;
use wasip3::filesystem::types::{Descriptor, DescriptorFlags, ErrorCode, OpenFlags, PathFlags};
use wasip3::http::types::{ErrorCode as HttpError, Fields, Request, Response};
use wasip3::{wit_future, wit_stream};

struct Scratch;

wasip3::http::service::export!(Scratch);

impl wasip3::exports::http::handler::Guest for Scratch {
    async fn handle(request: Request) -> Result<Response, HttpError> {
        let target = request.get_path_with_query().unwrap_or_default();
        let query = target.split_once('?').map_or("", |(_, query)| query);
        let directories = get_directories();
        let (root, _) = directories.first().expect("it is given a directory");
        let mut said = Vec::new();
        for step in query.split(',') {
            let done = one(root, step).await;
            said.push(done.map_or_else(|code| format!("{code:?}"), |()| "ok".to_owned()));
        }
        let text = said.join(",");
        let (mut body, reader) = wit_stream::new();
        let (_, trailers) = wit_future::new(|| Ok(None));
        let (response, _sent) = Response::new(Fields::new(), Some(reader), trailers);
        wasip3::spawn_local(async move {
            let _unread = body.write_all(text.into_bytes()).await;
        });
        Ok(response)
    }
}

async fn one(root: &Descriptor, step: &str) -> Result<(), ErrorCode> {
    let parts: Vec<&str> = step.split(':').collect();
    let number = |at: usize| parts.get(at).and_then(|text| text.parse().ok()).unwrap_or(0_u64);
    match parts.as_slice() {
        ["write", path, ..] => write(&open(root, path).await?, Some(number(2)), number(3)).await,
        ["append", path, ..] => write(&open(root, path).await?, None, number(2)).await,
        ["size", path, ..] => open(root, path).await?.set_size(number(2)).await,
        ["rm", path] => root.unlink_file_at((*path).to_owned()).await,
        ["mkdir", path] => root.create_directory_at((*path).to_owned()).await,
        ["mv", from, to] => root.rename_at((*from).to_owned(), root, (*to).to_owned()).await,
        ["is", path, ..] => {
            let stat = open(root, path).await?.stat().await?;
            if stat.size == number(2) { Ok(()) } else { Err(ErrorCode::Invalid) }
        }
        _ => Err(ErrorCode::Unsupported),
    }
}

async fn open(root: &Descriptor, path: &str) -> Result<Descriptor, ErrorCode> {
    let flags = DescriptorFlags::READ | DescriptorFlags::WRITE;
    root.open_at(PathFlags::empty(), path.to_owned(), OpenFlags::CREATE, flags).await
}

async fn write(file: &Descriptor, at: Option<u64>, count: u64) -> Result<(), ErrorCode> {
    let (mut bytes, reader) = wit_stream::new();
    let written = match at {
        Some(at) => file.write_via_stream(reader, at),
        None => file.append_via_stream(reader),
    };
    // What is not taken is what did not fit.
    let _left = bytes.write_all(vec![b'x'; count as usize]).await;
    drop(bytes);
    written.await
}
