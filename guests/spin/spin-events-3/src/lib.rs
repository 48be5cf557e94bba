//! Spin's events as its SDKs from version 6 on have them, all of them asynchronous: times of `spin:cron`
//! 3.0.0 and messages of `spin:mqtt-trigger` 3.0.0. Each is printed; a message of `trap` or `fail` does
//! that, and so does a time where the variable `DO` says it. A message of a number sleeps for as many
//! milliseconds.

wit_bindgen::generate!({
    inline: "
        package reef-test:events;

        world events {
            use spin:cron/cron-types@3.0.0.{metadata as time, error as cron-error};
            use spin:mqtt-trigger/spin-mqtt-types@3.0.0.{metadata, payload, error};
            export handle-cron-event: async func(metadata: time) -> result<_, cron-error>;
            export handle-message: async func(message: payload, metadata: metadata) -> result<_, error>;
        }

        package spin:cron@3.0.0 {
            interface cron-types {
                record metadata { timestamp: u64 }
                variant error { other(string) }
            }
        }

        package spin:mqtt-trigger@3.0.0 {
            interface spin-mqtt-types {
                variant error { other(string) }
                record metadata { topic: string }
                type payload = list<u8>;
            }
        }
    ",
    generate_all,
});

struct Events;

export!(Events);

impl Guest for Events {
    async fn handle_cron_event(metadata: Time) -> Result<(), CronError> {
        println!("time {}", metadata.timestamp);
        match std::env::var("DO").as_deref() {
            Ok("trap") => core::arch::wasm32::unreachable(),
            Ok("fail") => Err(CronError::Other("told to fail".to_owned())),
            _ => Ok(()),
        }
    }

    async fn handle_message(message: Payload, metadata: Metadata) -> Result<(), Error> {
        let text = String::from_utf8_lossy(&message);
        println!("got {text} at {}", metadata.topic);
        match &message[..] {
            b"trap" => core::arch::wasm32::unreachable(),
            b"fail" => Err(Error::Other("told to fail".to_owned())),
            _ => {
                let millis = text.parse().unwrap_or_default();
                std::thread::sleep(std::time::Duration::from_millis(millis));
                Ok(())
            }
        }
    }
}
