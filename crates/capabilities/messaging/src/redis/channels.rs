//! Channels: messages for who is there when they are published.

use async_trait::async_trait;
use reef_capability::Failure;
use reef_redis::{Matching, Server, matching};
use tokio::runtime::Handle;

use crate::{Delivery, Interest, Message, Subscription, Syntax};

struct Channels {
    pattern: String,
    messages: Matching,
    ended: bool,
}

pub(super) async fn subscribe(
    server: &Server,
    runtime: &Handle,
    interest: &Interest,
) -> Result<Box<dyn Subscription>, Failure> {
    if interest.queue.is_some() {
        let why = "channels of Redis know no queues; with config.durable = \"true\" there are streams, which do";
        return Err(Failure::Unsupported(why.to_owned()));
    }
    let messages = matching(server, &glob(&interest.subject), runtime).await;
    let messages = messages.map_err(|error| Failure::unreachable(format!("Redis: {error}")))?;
    Ok(Box::new(Channels { pattern: interest.subject.to_string(), messages, ended: false }))
}

/// A pattern of Redis's that matches what the subject's does, and more.
fn glob(pattern: &str) -> String {
    let tokens = pattern.split('.').map(|token| match token {
        "*" | ">" => "*".to_owned(),
        token => {
            let escaped = |c: char| match c {
                '*' | '?' | '[' | ']' | '\\' | '^' | '-' => vec!['\\', c],
                c => vec![c],
            };
            token.chars().flat_map(escaped).collect()
        }
    });
    tokens.collect::<Vec<_>>().join(".")
}

#[async_trait]
impl Subscription for Channels {
    async fn next(&mut self) -> Option<Result<Delivery, Failure>> {
        loop {
            let Some((channel, body)) = self.messages.recv().await else {
                let lost = || Err(Failure::lost("Redis: the connection was lost"));
                return (!self.ended).then(lost);
            };
            let missed = self.messages.missed();
            if missed > 0 {
                let pattern = &*self.pattern;
                tracing::warn!(
                    pattern,
                    missed,
                    "Messages of Redis came faster than they were taken."
                );
            }
            // One that is no text is no subject.
            let Ok(subject) = std::str::from_utf8(&channel) else { continue };
            if Syntax::Tokens.matches(&self.pattern, subject) {
                let message = Message::new(subject, body);
                return Some(Ok(Delivery { message, attempt: 1, receipt: None }));
            }
        }
    }

    async fn end(&mut self) {
        self.ended = true;
        self.messages.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_glob_takes_nothing_by_its_letters() {
        assert_eq!(glob("orders.*.x"), "orders.*.x");
        assert_eq!(glob("orders.>"), "orders.*");
        assert_eq!(glob("a[b].c-d?"), "a\\[b\\].c\\-d\\?");
    }
}
