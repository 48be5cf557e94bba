//! A handler of Redis messages, written with Spin's SDK 7. Each message is printed; one of `trap` or `fail`
//! does that, and one of a number sleeps for as many milliseconds.

use spin_sdk::redis_subscriber;

#[redis_subscriber]
async fn on_message(message: Vec<u8>) -> Result<(), String> {
    let text = String::from_utf8_lossy(&message);
    println!("got {text}");
    match &message[..] {
        b"trap" => core::arch::wasm32::unreachable(),
        b"fail" => Err("told to fail".to_owned()),
        _ => {
            let millis = text.parse().unwrap_or_default();
            std::thread::sleep(std::time::Duration::from_millis(millis));
            Ok(())
        }
    }
}
