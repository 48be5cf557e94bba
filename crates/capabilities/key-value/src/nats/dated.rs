//! When a value was written: what its writer says beside it, or else the server.

use std::time::Duration;

use async_nats::{HeaderMap, HeaderValue, jetstream::message::StreamMessage};
use bytes::Bytes;
use reef_capability::Failure;
use reef_nats::unreached;

use super::{MARKED, Nats, OPERATION, ROLLUP, TTL, is_there, version};
use crate::{Dated, SetOptions, Stamp, Version};

/// When, and by whom: `1767225600000 0123456789abcdef`.
const WRITTEN: &str = "Reef-Written";
/// JetStream drops a second one of the same, if that comes soon after.
const ID: &str = "Nats-Msg-Id";

/// Has a message say when it was written.
pub(super) fn stamp(headers: &mut HeaderMap, Stamp { at, by }: Stamp) {
    headers.insert(WRITTEN, format!("{at} {by:016x}").as_str());
    headers.insert(ID, format!("reef-{by:016x}-{at}").as_str());
}

impl Nats {
    /// Writes to a key with a stamp, if what was last written is what is expected.
    pub(super) async fn write_dated(
        &self,
        bucket: &str,
        key: &str,
        write: Dated,
        expected: Option<Option<&Version>>,
    ) -> Result<bool, Failure> {
        let expected = match expected {
            None => None,
            Some(None) => Some(0),
            Some(Some(Version(version))) => match <[u8; 8]>::try_from(&**version) {
                Ok(version) => Some(u64::from_be_bytes(version)),
                Err(_) => return Ok(false),
            },
        };
        // That they expire cannot be said to every server.
        let known = self.bucket(bucket).await.map_err(unreached)?;
        let options = SetOptions { expires: write.expires, ..SetOptions::default() };
        let mut headers = self.expiry(bucket, options).await?;
        stamp(&mut headers, write.stamp);
        let value = match write.value {
            Some(value) => value,
            None => {
                headers.insert(OPERATION, "PURGE");
                headers.insert(ROLLUP, "sub");
                if known.expires {
                    headers.insert(TTL, HeaderValue::from(MARKED.as_secs()));
                }
                Bytes::new()
            }
        };
        self.write(bucket, key, value, headers, expected).await.map_err(unreached)
    }
}

pub(super) fn read(message: &StreamMessage) -> Dated {
    let by_server = || {
        let at = u64::try_from(message.time.unix_timestamp_nanos() / 1_000_000);
        Stamp { at: at.unwrap_or_default(), by: 0 }
    };
    let said = message.headers.get(WRITTEN).map(HeaderValue::as_str);
    let there = is_there(message);
    Dated {
        value: there.then(|| message.payload.clone()),
        expires: left(message).filter(|_| there),
        version: version(message.sequence),
        stamp: said.and_then(parsed).unwrap_or_else(by_server),
    }
}

fn parsed(text: &str) -> Option<Stamp> {
    let (at, by) = text.split_once(' ')?;
    Some(Stamp { at: at.parse().ok()?, by: u64::from_str_radix(by, 16).ok()? })
}

/// What is left of a value's time.
fn left(message: &StreamMessage) -> Option<Duration> {
    let all: u64 = message.headers.get(TTL)?.as_str().parse().ok()?;
    let age = (async_nats::datetime::now() - message.time).whole_seconds();
    Some(Duration::from_secs(all.saturating_sub(u64::try_from(age).unwrap_or_default()).max(1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_is_read_as_it_is_written() {
        let mut headers = HeaderMap::new();
        let written = Stamp { at: 1_767_225_600_000, by: 0xfe };
        stamp(&mut headers, written);
        assert_eq!(parsed(headers.get(WRITTEN).unwrap().as_str()), Some(written));
        for garbage in ["", "1", "x y", "1 xyz", "-1 0"] {
            assert_eq!(parsed(garbage), None, "{garbage}");
        }
    }
}
