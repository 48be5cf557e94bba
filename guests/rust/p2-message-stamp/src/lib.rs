//! What stands between a guest and its broker: it exports `wasmcloud:messaging` and imports it, and each message that goes
//! through it is stamped with what is called `stamp` in its configuration.

wit_bindgen::generate!({
    path: "../../../crates/capabilities/interfaces/wit/wasmcloud-messaging-0.2.0.wit",
    inline: "
        package reef-test:message-stamp;

        world stamp {
            import wasi:config/store@0.2.0-rc.1;
            import wasmcloud:messaging/consumer@0.2.0;
            export wasmcloud:messaging/consumer@0.2.0;
        }

        package wasi:config@0.2.0-rc.1 {
            interface store {
                variant error { upstream(string), io(string) }
                get: func(key: string) -> result<option<string>, error>;
            }
        }
    ",
    world: "reef-test:message-stamp/stamp",
    generate_all,
});

use exports::wasmcloud::messaging::consumer::Guest;
use wasmcloud::messaging::{consumer, types::BrokerMessage};

struct Stamp;

export!(Stamp);

fn stamped(mut body: Vec<u8>) -> Vec<u8> {
    let stamp = wasi::config::store::get("stamp").ok().flatten().unwrap_or_default();
    body.extend_from_slice(stamp.as_bytes());
    body
}

impl Guest for Stamp {
    fn request(subject: String, body: Vec<u8>, timeout_ms: u32) -> Result<BrokerMessage, String> {
        consumer::request(&subject, &stamped(body), timeout_ms)
    }

    fn publish(message: BrokerMessage) -> Result<(), String> {
        consumer::publish(&BrokerMessage { body: stamped(message.body), ..message })
    }
}
