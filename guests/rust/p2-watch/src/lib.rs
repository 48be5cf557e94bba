//! Is told of the changes of a key-value store by the second draft of `wasi:keyvalue`, and prints them with what the
//! store has for the key by then. The variable `DO` says what it does beside that: `trap`, `trap-once` for each key, or
//! `sleep` for the milliseconds in `FOR`.

wit_bindgen::generate!({
    path: "../../../crates/capabilities/interfaces/wit/wasi-keyvalue-0.2.0-draft2.wit",
    inline: "
        package reef-test:watch;

        world watch {
            import wasi:keyvalue/store@0.2.0-draft2;
            export wasi:keyvalue/watcher@0.2.0-draft2;
        }
    ",
    world: "reef-test:watch/watch",
    generate_all,
});

use exports::wasi::keyvalue::watcher::Guest;
use wasi::keyvalue::store::Bucket;

struct Watch;

export!(Watch);

impl Guest for Watch {
    fn on_set(bucket: Bucket, key: String, value: Vec<u8>) {
        println!("{key} was set to {}, and is {}", text(&value), now(&bucket, &key));
        act(&bucket, &key);
    }

    fn on_delete(bucket: Bucket, key: String) {
        println!("{key} was deleted, and is {}", now(&bucket, &key));
        act(&bucket, &key);
    }
}

fn act(bucket: &Bucket, key: &str) {
    match variable("DO").as_str() {
        "trap" => panic!("told to trap"),
        "trap-once" => {
            let tried = format!("tried/{key}");
            if !matches!(bucket.exists(&tried), Ok(true)) {
                bucket.set(&tried, b"yes").expect("the store takes it");
                panic!("told to trap once");
            }
        }
        "sleep" => {
            let millis = variable("FOR").parse().unwrap_or_default();
            std::thread::sleep(std::time::Duration::from_millis(millis));
        }
        _ => {}
    }
}

fn now(bucket: &Bucket, key: &str) -> String {
    match bucket.get(key) {
        Ok(Some(value)) => text(&value),
        Ok(None) => "nothing".to_owned(),
        Err(error) => format!("{error:?}"),
    }
}

fn text(value: &[u8]) -> String {
    String::from_utf8_lossy(value).into_owned()
}

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_default()
}
