//! A WASI 0.3 command: prints its arguments and environment through a stream, waits one
//! millisecond, and fails when its first argument is `fail`. With `resolve NAME` it also looks a name
//! up; with `wait` it waits for ever and with `spin` it computes for ever. With `cat` it
//! copies standard input to standard output and does nothing else.

use wasip3::cli::{environment, stdin, stdout};
use wasip3::clocks::monotonic_clock;
use wasip3::sockets::ip_name_lookup;

struct Command;

wasip3::cli::command::export!(Command);

impl wasip3::exports::cli::run::Guest for Command {
    async fn run() -> Result<(), ()> {
        let arguments = environment::get_arguments();
        if arguments.get(1).map(String::as_str) == Some("cat") {
            return cat().await;
        }
        let mut text = "hello from WASI 0.3\n".to_owned();
        for (index, argument) in arguments.iter().enumerate() {
            text.push_str(&format!("arg {index}: {argument}\n"));
        }
        let mut variables = environment::get_environment();
        variables.sort();
        for (key, value) in variables {
            text.push_str(&format!("env {key}={value}\n"));
        }
        match (arguments.get(1).map(String::as_str), arguments.get(2)) {
            (Some("resolve"), Some(name)) => {
                let found = ip_name_lookup::resolve_addresses(name.clone()).await;
                text.push_str(&format!("resolved: {found:?}\n"));
            }
            (Some("wait"), _) => monotonic_clock::wait_for(u64::MAX).await,
            (Some("spin"), _) => loop {
                std::hint::black_box(&text);
            },
            _ => {}
        }
        let (mut writer, reader) = wasip3::wit_stream::new();
        let (printed, ()) =
            futures::join!(async { stdout::write_via_stream(reader).await }, async {
                monotonic_clock::wait_for(1_000_000).await;
                let _unread = writer.write_all(text.into_bytes()).await;
                drop(writer);
            });
        printed.map_err(drop)?;
        if arguments.get(1).map(String::as_str) == Some("fail") { Err(()) } else { Ok(()) }
    }
}

async fn cat() -> Result<(), ()> {
    let (mut input, ended) = stdin::read_via_stream();
    let (mut writer, output) = wasip3::wit_stream::new();
    let (printed, ()) = futures::join!(async { stdout::write_via_stream(output).await }, async {
        loop {
            let (result, bytes) = input.read(Vec::with_capacity(64 << 10)).await;
            if !bytes.is_empty() && !writer.write_all(bytes).await.is_empty() {
                break;
            }
            if !matches!(result, wasip3::wit_bindgen::StreamResult::Complete(_)) {
                break;
            }
        }
        drop(writer);
    });
    printed.map_err(drop)?;
    ended.await.map_err(drop)
}
