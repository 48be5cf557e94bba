//! A message handler of `wasi:messaging`. What it does with a message is said by the variable `DO`: `print` it,
//! `answer` it, `ask` the topic `TO` over the link `LINK` and answer what that answered, `pass` it on there, or `fail`.
//! Each message is printed first, with what is beside it.

wit_bindgen::generate!({
    path: "../../../crates/capabilities/interfaces/wit/wasi-messaging-0.2.0-draft.wit",
    inline: "
        package reef-test:messages;

        world messages {
            import wasi:messaging/producer@0.2.0-draft;
            import wasi:messaging/request-reply@0.2.0-draft;
            export wasi:messaging/incoming-handler@0.2.0-draft;
        }
    ",
    world: "reef-test:messages/messages",
    generate_all,
});

use exports::wasi::messaging::incoming_handler::Guest;
use wasi::messaging::{
    producer, request_reply,
    types::{Client, Error, Message},
};

struct Messages;

export!(Messages);

impl Guest for Messages {
    fn handle(message: Message) -> Result<(), Error> {
        let text = String::from_utf8_lossy(&message.data()).into_owned();
        let (topic, kind) = (message.topic().unwrap_or_default(), message.content_type());
        println!("got {text} at {topic}, {kind:?}, {:?}", message.metadata());
        match variable("DO").as_str() {
            "print" => Ok(()),
            "answer" => {
                let answer = Message::new(format!("answer to {text}").as_bytes());
                request_reply::reply(&message, answer)
            }
            "ask" => {
                let client = Client::connect(&variable("LINK"))?;
                let replies = request_reply::request(&client, &variable("TO"), &message, None)?;
                let answer = replies.into_iter().next().map(|reply| reply.data());
                request_reply::reply(&message, Message::new(&answer.unwrap_or_default()))
            }
            "pass" => {
                let client = Client::connect(&variable("LINK"))?;
                let passed = Message::new(&message.data());
                passed.set_content_type("text/plain");
                passed.add_metadata("one", "1");
                passed.add_metadata("two", "2");
                passed.remove_metadata("one");
                producer::send(&client, &variable("TO"), passed)
            }
            what => Err(Error::Other(format!("told to {what}"))),
        }
    }
}

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_default()
}
