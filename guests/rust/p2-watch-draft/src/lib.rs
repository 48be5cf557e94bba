//! Is told of the changes of a key-value store by the first draft of `wasi:keyvalue`, and prints them with what the
//! store has for the key by then.

wit_bindgen::generate!({
    path: "../../../crates/capabilities/interfaces/wit/wasi-keyvalue-0.2.0-draft.wit",
    inline: "
        package reef-test:watch;

        world watch {
            import wasi:keyvalue/store@0.2.0-draft;
            export wasi:keyvalue/watcher@0.2.0-draft;
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
        let value = String::from_utf8_lossy(&value).into_owned();
        println!("first draft: {key} was set to {value}, and is {:?}", bucket.exists(&key));
    }

    fn on_delete(bucket: Bucket, key: String) {
        println!("first draft: {key} was deleted, and is {:?}", bucket.exists(&key));
    }
}
