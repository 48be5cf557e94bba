//! A message handler. What it does with a message is said by the variable `DO`: `print` it, `answer`
//! it (so without the variable, too), `ask` the subject `TO` and answer what that answered, `pass` it on to `TO`, `fail`, `trap`, or
//! `sleep` as many milliseconds as the body says. Each message is printed first.

wit_bindgen::generate!({ world: "messages", path: "wit", generate_all });

use exports::wasmcloud::messaging::handler::Guest;
use wasmcloud::messaging::{consumer, types::BrokerMessage};

struct Messages;

export!(Messages);

impl Guest for Messages {
    fn handle_message(message: BrokerMessage) -> Result<(), String> {
        let text = String::from_utf8_lossy(&message.body).into_owned();
        println!("got {text} at {}", message.subject);
        match variable("DO").as_str() {
            "print" => Ok(()),
            "answer" | "" => answer(&message, format!("answer to {text}").into_bytes()),
            "ask" => {
                let reply = consumer::request(&variable("TO"), &message.body, 10_000)?;
                answer(&message, reply.body)
            }
            "pass" => publish(variable("TO"), message.body),
            "sleep" => {
                let millis = text.parse().map_err(|error| format!("{text}: {error}"))?;
                std::thread::sleep(std::time::Duration::from_millis(millis));
                Ok(())
            }
            "fail" => Err("told to fail".to_owned()),
            "trap" => core::arch::wasm32::unreachable(),
            other => Err(format!("{other:?} is nothing that it can do")),
        }
    }
}

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_default()
}

fn answer(message: &BrokerMessage, body: Vec<u8>) -> Result<(), String> {
    match &message.reply_to {
        Some(to) => publish(to.clone(), body),
        None => Ok(()),
    }
}

fn publish(subject: String, body: Vec<u8>) -> Result<(), String> {
    consumer::publish(&BrokerMessage { subject, body, reply_to: None })
}
