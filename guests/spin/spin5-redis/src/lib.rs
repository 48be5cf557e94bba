//! A handler of Redis messages, written with Spin's SDK 5 and built as that says: a core module, which
//! the host makes a component of. Each message is printed.

use bytes::Bytes;
use spin_sdk::redis_component;

#[redis_component]
fn on_message(message: Bytes) -> anyhow::Result<()> {
    println!("got {}", String::from_utf8_lossy(&message));
    Ok(())
}
