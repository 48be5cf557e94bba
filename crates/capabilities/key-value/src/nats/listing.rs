//! Keys of a bucket, some at a time.

use std::collections::HashSet;

use async_nats::jetstream::consumer::{DeliverPolicy, ReplayPolicy, push::OrderedConfig};
use futures::StreamExt as _;
use reef_capability::Failure;
use reef_nats::failed;

use super::{ALL, Bucket, Nats, is_value, names};
use crate::Page;

impl Nats {
    /// Keys of a bucket from a revision on, as one of its servers knows them. None where that one has not heard of the
    /// `newest` revision yet.
    pub(super) async fn listed(
        &self,
        bucket: &Bucket,
        prefix: &str,
        from: u64,
        most: usize,
        newest: u64,
    ) -> Result<Option<Page>, Failure> {
        let store = &bucket.store;
        let deliver_policy = match from {
            0 => DeliverPolicy::LastPerSubject,
            // What is there of a key is its last.
            _ if bucket.last_only => DeliverPolicy::ByStartSequence { start_sequence: from + 1 },
            _ => DeliverPolicy::LastPerSubject,
        };
        let config = OrderedConfig {
            deliver_subject: self.connection.ready().await?.new_inbox(),
            description: Some("keys of a bucket".to_owned()),
            filter_subject: format!("{}{ALL}", store.prefix),
            headers_only: true,
            replay_policy: ReplayPolicy::Instant,
            deliver_policy,
            ..OrderedConfig::default()
        };
        let consumer = store.stream.create_consumer(config).await;
        let consumer = consumer.map_err(|error| failed(&error))?;
        if consumer.cached_info().num_pending == 0 {
            return Ok((newest <= from).then(Page::default));
        }
        let mut messages = consumer.messages().await.map_err(|error| failed(&error))?;
        let (mut keys, mut known) = (Vec::new(), HashSet::new());
        while let Some(message) = messages.next().await {
            let message = message.map_err(|error| failed(&error))?;
            let Ok(info) = message.info() else {
                return Err(Failure::Backend(
                    "NATS: a message does not say which it is".to_owned(),
                ));
            };
            let (sequence, pending) = (info.stream_sequence, info.pending);
            let deleted = message.headers.as_ref().is_some_and(|headers| !is_value(headers));
            let name = message.subject.strip_prefix(store.prefix.as_str());
            let key = name.and_then(names::read);
            if let Some(key) = key.filter(|key| key.starts_with(prefix))
                && !deleted
                && sequence > from
                && known.insert(key.clone())
            {
                keys.push(key);
            }
            if pending == 0 {
                return Ok((newest <= sequence.max(from)).then_some(Page { keys, next: None }));
            }
            if keys.len() >= most {
                return Ok(Some(Page { keys, next: Some(sequence.to_string()) }));
            }
        }
        Err(Failure::lost("NATS: the listing ended before its end"))
    }
}
