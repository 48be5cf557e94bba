//! Byte streams in, byte streams out, in constant memory: what `reef run --invoke 'rot13(@file)'`
//! drives without granting any file to the component.

use wit_bindgen::StreamReader;
use wit_bindgen::StreamResult;

wit_bindgen::generate!({ world: "streams", path: "wit" });

const CHUNK: usize = 64 << 10;

struct Streams;

export!(Streams);

impl Guest for Streams {
    async fn rot13(input: StreamReader<u8>) -> StreamReader<u8> {
        transform(input, |chunk| {
            for byte in chunk {
                *byte = match *byte {
                    letter @ (b'a'..=b'z') => b'a' + (letter - b'a' + 13) % 26,
                    letter @ (b'A'..=b'Z') => b'A' + (letter - b'A' + 13) % 26,
                    other => other,
                };
            }
        })
    }

    async fn count(mut input: StreamReader<u8>) -> u64 {
        let mut total = 0;
        let mut buffer = Vec::with_capacity(CHUNK);
        loop {
            let (result, chunk) = input.read(buffer).await;
            total += chunk.len() as u64;
            if !matches!(result, StreamResult::Complete(_)) {
                return total;
            }
            buffer = emptied(chunk);
        }
    }

    fn upper(input: Vec<u8>) -> Vec<u8> {
        input.to_ascii_uppercase()
    }

    async fn zeros(n: u64) -> StreamReader<u8> {
        let (mut writer, reader) = wit_stream::new();
        wit_bindgen::spawn_local(async move {
            let mut left = n;
            while left > 0 {
                let size = left.min(CHUNK as u64);
                if !writer.write_all(vec![0; size as usize]).await.is_empty() {
                    return; // nobody reads any more
                }
                left -= size;
            }
        });
        reader
    }

    async fn passthrough(input: StreamReader<u8>) -> StreamReader<u8> {
        transform(input, |_| {})
    }

    async fn break_midway(input: StreamReader<u8>) -> StreamReader<u8> {
        let mut chunks = 0;
        transform(input, move |_| {
            chunks += 1;
            if chunks > 1 {
                core::arch::wasm32::unreachable();
            }
        })
    }
}

/// A stream of the input's chunks, each changed in place, pumped by a task of its own.
fn transform(
    mut input: StreamReader<u8>,
    mut change: impl FnMut(&mut [u8]) + 'static,
) -> StreamReader<u8> {
    let (mut writer, reader) = wit_stream::new();
    wit_bindgen::spawn_local(async move {
        let mut buffer = Vec::with_capacity(CHUNK);
        loop {
            let (result, mut chunk) = input.read(buffer).await;
            change(&mut chunk);
            let ended = !matches!(result, StreamResult::Complete(_));
            // What `write_all` returns is what nobody wanted to read.
            let unread = writer.write_all(chunk).await;
            if ended || !unread.is_empty() {
                return;
            }
            buffer = emptied(unread);
        }
    });
    reader
}

/// The same allocation, ready for the next read.
fn emptied(mut buffer: Vec<u8>) -> Vec<u8> {
    buffer.clear();
    buffer.reserve_exact(CHUNK);
    buffer
}
