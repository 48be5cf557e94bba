//! A message handler of `wasmcloud:messaging` 0.3. What it does with a message is said by the variable `DO`: `print`
//! it, `answer` it, `ask` the subject `TO` and answer what that answered, ask for a `retry`, `reject` it, or say that
//! it would `fail` again. Each message is printed first.

wit_bindgen::generate!({
    path: "../../../crates/capabilities/interfaces/wit/wasmcloud-messaging-0.3.0.wit",
    inline: "
        package reef-test:messages;

        world messages {
            import wasmcloud:messaging/consumer@0.3.0;
            export wasmcloud:messaging/handler@0.3.0;
        }
    ",
    world: "reef-test:messages/messages",
    generate_all,
});

use exports::wasmcloud::messaging::handler::Guest;
use wasmcloud::messaging::{
    consumer,
    types::{BrokerMessage, HandleMessageError},
};
use wit_bindgen::StreamReader;

struct Messages;

export!(Messages);

impl Guest for Messages {
    async fn handle_message(message: BrokerMessage) -> Result<(), HandleMessageError> {
        let BrokerMessage { subject, body, reply_to } = message;
        let text = String::from_utf8_lossy(&body.collect().await).into_owned();
        println!("got {text} at {subject}");
        match variable("DO").as_str() {
            "print" => Ok(()),
            "answer" => answer(reply_to, format!("answer to {text}").into_bytes()).await,
            "ask" => {
                let asked =
                    consumer::request(variable("TO"), stream(text.into_bytes()), Some(10_000));
                let reply = asked.await.map_err(other)?;
                answer(reply_to, reply.body.collect().await).await
            }
            "retry" => Err(HandleMessageError::Retry),
            "reject" => Err(HandleMessageError::Reject),
            what => Err(HandleMessageError::Other(format!("told to {what}"))),
        }
    }
}

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_default()
}

fn other(error: impl std::fmt::Debug) -> HandleMessageError {
    HandleMessageError::Other(format!("{error:?}"))
}

/// A stream of these bytes.
fn stream(bytes: Vec<u8>) -> StreamReader<u8> {
    let (mut writer, reader) = wit_stream::new();
    wit_bindgen::spawn_local(async move {
        writer.write_all(bytes).await;
    });
    reader
}

async fn answer(to: Option<String>, body: Vec<u8>) -> Result<(), HandleMessageError> {
    let Some(subject) = to else { return Ok(()) };
    let message = BrokerMessage { subject, body: stream(body), reply_to: None };
    consumer::publish(message).await.map_err(other)
}
