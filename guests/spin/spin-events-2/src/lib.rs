//! Spin's events as its SDKs up to version 5 have them: times of `fermyon:spin-cron` 2.0.0 and messages of
//! `fermyon:spin/inbound-redis`. Each is printed; a message of `trap` or `fail` does that, and so does a
//! time where the variable `DO` says it.

wit_bindgen::generate!({
    inline: "
        package reef-test:events;

        world events {
            use fermyon:spin-cron/cron-types@2.0.0.{metadata, error};
            export handle-cron-event: func(metadata: metadata) -> result<_, error>;
            export fermyon:spin/inbound-redis;
        }

        package fermyon:spin-cron@2.0.0 {
            interface cron-types {
                record metadata { timestamp: u64 }
                variant error { other(string) }
            }
        }

        package fermyon:spin {
            interface redis-types {
                enum error { success, error }
                type payload = list<u8>;
            }
            interface inbound-redis {
                use redis-types.{payload, error};
                handle-message: func(message: payload) -> result<_, error>;
            }
        }
    ",
    generate_all,
});

use exports::fermyon::spin::inbound_redis::{Error as RedisError, Payload};

struct Events;

export!(Events);

impl Guest for Events {
    fn handle_cron_event(metadata: Metadata) -> Result<(), Error> {
        println!("time {}", metadata.timestamp);
        match std::env::var("DO").as_deref() {
            Ok("trap") => core::arch::wasm32::unreachable(),
            Ok("fail") => Err(Error::Other("told to fail".to_owned())),
            _ => Ok(()),
        }
    }
}

impl exports::fermyon::spin::inbound_redis::Guest for Events {
    fn handle_message(message: Payload) -> Result<(), RedisError> {
        println!("got {}", String::from_utf8_lossy(&message));
        match &message[..] {
            b"trap" => core::arch::wasm32::unreachable(),
            b"fail" => Err(RedisError::Error),
            _ => Ok(()),
        }
    }
}
