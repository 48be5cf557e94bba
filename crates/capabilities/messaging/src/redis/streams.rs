//! Streams: messages that are kept, and shared by the members of a consumer group.
//!
//! A message that was given to a member is its own until it is acknowledged. Members say all the while that they
//! have theirs (`XCLAIM`); those of one that fell silent are taken over by another (`XAUTOCLAIM`).

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use reef_capability::Failure;
use reef_redis::{
    Client, CommandError, Server,
    redis::{Cmd, Value, cmd},
};
use tokio::{runtime::Handle, sync::mpsc, task::AbortHandle, time::Instant};

use super::{ANSWERING, failed};
use crate::{Delivery, Interest, Message, Receipt, Subscription, Syntax};

/// Fields of a message.
const BODY: &[u8] = b"body";
const REPLY_TO: &[u8] = b"reply-to";
const HEADER: &[u8] = b"header:";
/// How long one question for messages lasts.
const BLOCK: Duration = Duration::from_secs(1);
/// A member that had nothing to do for so long is not there any more.
const GONE: Duration = Duration::from_secs(3600);

/// One member of a group.
#[derive(Debug)]
struct Member {
    /// For what is short.
    client: Client,
    /// For questions that wait, which hold up what comes after them.
    waiting: Client,
    stream: String,
    group: String,
    name: String,
    ack_wait: Duration,
}

struct Stream {
    member: Arc<Member>,
    messages: mpsc::Receiver<Result<Delivery, Failure>>,
    task: AbortHandle,
    ended: bool,
}

#[derive(Debug)]
struct Entry {
    member: Arc<Member>,
    id: String,
}

/// The command that adds a message.
pub(super) fn add(message: &Message, max_length: Option<u64>) -> Cmd {
    let mut add = cmd("XADD");
    add.arg(&message.subject);
    if let Some(most) = max_length {
        add.arg("MAXLEN").arg("~").arg(most);
    }
    add.arg("*").arg(BODY).arg(&message.body[..]);
    if let Some(reply_to) = &message.reply_to {
        add.arg(REPLY_TO).arg(reply_to);
    }
    for (name, value) in &message.headers {
        add.arg([HEADER, name.as_bytes()].concat()).arg(value);
    }
    add
}

pub(super) async fn subscribe(
    server: &Server,
    client: &Client,
    runtime: &Handle,
    interest: &Interest,
) -> Result<Box<dyn Subscription>, Failure> {
    if !Syntax::Tokens.is_exact(&interest.subject) {
        return Err(Failure::Unsupported(format!(
            "`{}` is a pattern, and a stream of Redis is one subject",
            interest.subject
        )));
    }
    let member = Arc::new(Member {
        client: client.clone(),
        waiting: Client::new(server.clone(), ANSWERING + BLOCK, runtime.clone()),
        stream: interest.subject.to_string(),
        group: interest.queue.as_ref().unwrap_or(&interest.name).to_string(),
        name: format!("reef-{:016x}", fastrand::u64(..)),
        ack_wait: interest.ack_wait,
    });
    member.join().await?;
    let (sender, messages) = mpsc::channel(interest.most.clamp(1, 1000));
    let reading = member.clone();
    let task = runtime.spawn(async move {
        if let Err(failure) = reading.read(&sender).await {
            let _ = sender.send(Err(failure)).await;
        }
    });
    Ok(Box::new(Stream { member, messages, task: task.abort_handle(), ended: false }))
}

impl Member {
    async fn ask(&self, command: &Cmd) -> Result<Value, Failure> {
        self.client.ask::<Value>(command).await.map_err(failed)
    }

    fn command(&self, name: &str) -> Cmd {
        let mut command = cmd(name);
        command.arg(&self.stream).arg(&self.group);
        command
    }

    /// Makes the group, if it is not there; what the stream has is for it.
    async fn join(&self) -> Result<(), Failure> {
        let mut create = cmd("XGROUP");
        create.arg("CREATE").arg(&self.stream).arg(&self.group).arg("0").arg("MKSTREAM");
        match self.client.ask::<Value>(&create).await {
            Err(CommandError::Refused { code, .. }) if code == "BUSYGROUP" => {}
            made => return made.map(drop).map_err(failed),
        }
        // Members that are gone, and left nothing behind.
        let mut members = cmd("XINFO");
        members.arg("CONSUMERS").arg(&self.stream).arg(&self.group);
        for member in array(self.ask(&members).await?) {
            let (mut name, mut pending, mut idle) = (String::new(), 1, 0);
            let mut fields = array(member).into_iter();
            while let (Some(field), Some(value)) = (fields.next(), fields.next()) {
                match &*text(&field) {
                    "name" => name = text(&value),
                    "pending" => pending = number(&value),
                    "idle" => idle = number(&value),
                    _ => {}
                }
            }
            if pending == 0 && idle > i64::try_from(GONE.as_millis()).unwrap_or(i64::MAX) {
                self.leave(&name).await?;
            }
        }
        Ok(())
    }

    async fn leave(&self, name: &str) -> Result<(), Failure> {
        let mut leave = cmd("XGROUP");
        leave.arg("DELCONSUMER").arg(&self.stream).arg(&self.group).arg(name);
        self.ask(&leave).await.map(drop)
    }

    /// Reads for as long as somebody takes what is read.
    async fn read(
        self: &Arc<Self>,
        sender: &mpsc::Sender<Result<Delivery, Failure>>,
    ) -> Result<(), Failure> {
        let mut looked: Option<Instant> = None;
        loop {
            // Those that nobody takes yet stay where they are.
            match sender.reserve().await {
                Ok(place) => drop(place),
                Err(_) => return Ok(()),
            }
            let room = sender.capacity().max(1);
            if looked.is_none_or(|looked| looked.elapsed() > self.ack_wait / 2) {
                looked = Some(Instant::now());
                for delivery in self.take_over(room).await? {
                    let _ = sender.send(Ok(delivery)).await;
                }
                continue;
            }
            for delivery in self.next(room).await? {
                let _ = sender.send(Ok(delivery)).await;
            }
        }
    }

    /// New messages, if some come soon.
    async fn next(self: &Arc<Self>, most: usize) -> Result<Vec<Delivery>, Failure> {
        let block = BLOCK.min(self.ack_wait / 2).as_millis();
        let block = u64::try_from(block).unwrap_or(u64::MAX).max(1);
        let mut read = cmd("XREADGROUP");
        read.arg("GROUP").arg(&self.group).arg(&self.name).arg("COUNT").arg(most);
        read.arg("BLOCK").arg(block).arg("STREAMS").arg(&self.stream).arg(">");
        let answer = self.waiting.ask::<Value>(&read).await.map_err(failed)?;
        // One stream: its name, and its entries.
        let streams = match answer {
            Value::Map(streams) => streams.into_iter().next().map(|(_, entries)| entries),
            other => array(other).into_iter().next().and_then(|stream| array(stream).pop()),
        };
        let entries = streams.map(array).unwrap_or_default();
        let entries = entries.into_iter().filter_map(entry);
        Ok(entries.map(|(id, message)| self.delivery(id, message, 1)).collect())
    }

    /// Messages of members that fell silent, and those that were lost on their way to this one.
    async fn take_over(self: &Arc<Self>, most: usize) -> Result<Vec<Delivery>, Failure> {
        let mut claim = self.command("XAUTOCLAIM");
        let idle = u64::try_from(self.ack_wait.as_millis()).unwrap_or(u64::MAX);
        claim.arg(&self.name).arg(idle).arg("0-0").arg("COUNT").arg(most);
        let answer = array(self.ask(&claim).await?);
        let entries = answer.into_iter().nth(1).map(array).unwrap_or_default();
        let mut deliveries = Vec::new();
        // One that was trimmed meanwhile has nothing in it.
        for (id, message) in entries.into_iter().filter_map(entry) {
            let attempt = self.attempts(&id).await?;
            deliveries.push(self.delivery(id, message, attempt));
        }
        Ok(deliveries)
    }

    /// How often a message was given to somebody.
    async fn attempts(&self, id: &str) -> Result<u32, Failure> {
        let mut pending = self.command("XPENDING");
        pending.arg(id).arg(id).arg(1);
        let found = array(self.ask(&pending).await?).into_iter().next();
        let count = found.and_then(|entry| array(entry).into_iter().nth(3));
        Ok(count.map_or(1, |count| u32::try_from(number(&count)).unwrap_or(u32::MAX)).max(1))
    }

    fn delivery(self: &Arc<Self>, id: String, message: Message, attempt: u32) -> Delivery {
        let message = Message { subject: self.stream.clone(), ..message };
        let receipt = Box::new(Entry { member: self.clone(), id });
        Delivery { message, attempt, receipt: Some(receipt) }
    }
}

#[async_trait]
impl Subscription for Stream {
    async fn next(&mut self) -> Option<Result<Delivery, Failure>> {
        if self.ended {
            return None;
        }
        let lost = || Err(Failure::lost("Redis: the stream is not read any more"));
        Some(self.messages.recv().await.unwrap_or_else(lost))
    }

    async fn end(&mut self) {
        self.ended = true;
        self.task.abort();
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.task.abort();
        tracing::debug!(stream = self.member.stream, "A stream of Redis is not read any more.");
    }
}

#[async_trait]
impl Receipt for Entry {
    async fn done(&self) -> Result<(), Failure> {
        let mut done = self.member.command("XACK");
        done.arg(&self.id);
        self.member.ask(&done).await.map(drop)
    }

    async fn again(&self, _after: Duration) -> Result<bool, Failure> {
        // Streams know no pauses.
        Ok(false)
    }

    async fn hold(&self, attempt: u32) -> Result<(), Failure> {
        let mut claim = self.member.command("XCLAIM");
        claim.arg(&self.member.name).arg(0).arg(&self.id);
        claim.arg("RETRYCOUNT").arg(attempt).arg("JUSTID");
        self.member.ask(&claim).await.map(drop)
    }
}

/// An entry's number and fields.
fn entry(value: Value) -> Option<(String, Message)> {
    let mut parts = array(value).into_iter();
    let (id, fields) = (text(&parts.next()?), parts.next()?);
    let fields = match fields {
        Value::Map(fields) => fields,
        Value::Array(flat) => {
            let mut flat = flat.into_iter();
            std::iter::from_fn(|| Some((flat.next()?, flat.next()?))).collect()
        }
        _ => return None,
    };
    let mut message = Message::default();
    for (field, value) in fields {
        let (Value::BulkString(field), Value::BulkString(value)) = (field, value) else { continue };
        // Others may have put something else there; of that, the body is what counts.
        if field == BODY {
            message.body = value.into();
        } else if field == REPLY_TO {
            message.reply_to = String::from_utf8(value).ok();
        } else if let Some(name) = field.strip_prefix(HEADER)
            && let (Ok(name), Ok(value)) = (std::str::from_utf8(name), String::from_utf8(value))
        {
            message.headers.push((name.to_owned(), value));
        }
    }
    Some((id, message))
}

fn array(value: Value) -> Vec<Value> {
    match value {
        Value::Array(values) | Value::Set(values) => values,
        Value::Map(pairs) => pairs.into_iter().flat_map(|(key, value)| [key, value]).collect(),
        _ => Vec::new(),
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::BulkString(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        Value::SimpleString(text) => text.clone(),
        _ => String::new(),
    }
}

fn number(value: &Value) -> i64 {
    match value {
        Value::Int(number) => *number,
        other => text(other).parse().unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bulk(text: &str) -> Value {
        Value::BulkString(text.as_bytes().to_vec())
    }

    #[test]
    fn what_is_no_message_is_none() {
        let fields = ["x", "1", "body", "b", "header:Kind", "k", "reply-to", "r"].map(bulk);
        let value = Value::Array(vec![bulk("1-0"), Value::Array(fields.to_vec())]);
        let (id, message) = entry(value).unwrap();
        assert_eq!((&*id, &message.body[..]), ("1-0", &b"b"[..]));
        assert_eq!(message.headers, [("Kind".to_owned(), "k".to_owned())]);
        assert_eq!(message.reply_to.as_deref(), Some("r"));
        let trimmed = Value::Array(vec![bulk("1-0"), Value::Nil]);
        for odd in [Value::Nil, Value::Int(3), Value::Array(Vec::new()), trimmed] {
            assert!(entry(odd).is_none());
        }
    }
}
