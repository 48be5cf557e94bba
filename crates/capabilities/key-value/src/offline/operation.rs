//! What is done to a key while its store cannot be reached, as it is kept.

use std::time::Duration;

use bytes::Bytes;
use reef_capability::Failure;
use reef_journal::{joined, split};

use crate::{Stamp, sum};

/// Something that is done to a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Operation {
    pub(super) bucket: String,
    pub(super) key: String,
    pub(super) what: What,
    pub(super) stamp: Stamp,
    /// Since when the store could not be reached.
    pub(super) since: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum What {
    Set(Bytes, Option<Duration>),
    Delete,
    Add(i64),
}

/// What waiting operations say of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Local {
    /// All of it.
    Value(Option<Bytes>),
    /// So much is to be added to what it is.
    Sum(i64),
}

/// What operations of one key are kept under.
pub(super) fn about(bucket: &str, key: &str) -> Bytes {
    joined(&[bucket.as_bytes(), key.as_bytes()]).into()
}

/// The bucket and the key again.
pub(super) fn named(about: &[u8]) -> Option<(String, String)> {
    let parts = split(about)?;
    let [bucket, key] = &parts[..] else { return None };
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).ok();
    Some((text(bucket)?, text(key)?))
}

impl Operation {
    pub(super) fn written(&self) -> Bytes {
        let (kind, value, number) = match &self.what {
            What::Set(value, expires) => {
                let time = expires.map_or(0, |time| u64::try_from(time.as_millis()).unwrap_or(0));
                (b"s", value.clone(), time.to_be_bytes())
            }
            What::Delete => (b"d", Bytes::new(), [0; 8]),
            What::Add(delta) => (b"a", Bytes::new(), delta.to_be_bytes()),
        };
        let numbers = [self.stamp.at, self.stamp.by, self.since].map(u64::to_be_bytes);
        joined(&[
            kind,
            self.bucket.as_bytes(),
            self.key.as_bytes(),
            &value,
            &number,
            numbers.as_flattened(),
        ])
        .into()
    }

    pub(super) fn read(record: &[u8]) -> Option<Self> {
        let parts = split(record)?;
        let [kind, bucket, key, value, number, numbers] = &parts[..] else { return None };
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).ok();
        let number = <[u8; 8]>::try_from(*number).ok()?;
        let what = match *kind {
            b"s" => {
                let time = u64::from_be_bytes(number);
                let expires = (time != 0).then(|| Duration::from_millis(time));
                What::Set(Bytes::copy_from_slice(value), expires)
            }
            b"d" => What::Delete,
            b"a" => What::Add(i64::from_be_bytes(number)),
            _ => return None,
        };
        let (numbers, []) = numbers.as_chunks::<8>() else { return None };
        let [at, by, since] = <[_; 3]>::try_from(numbers).ok()?.map(u64::from_be_bytes);
        let stamp = Stamp { at, by };
        Some(Self { bucket: text(bucket)?, key: text(key)?, what, stamp, since })
    }

    /// What is left of its value's time; none if that is over.
    pub(super) fn left(&self, now: u64) -> Option<Option<Duration>> {
        let What::Set(_, Some(time)) = &self.what else { return Some(None) };
        let age = Duration::from_millis(now.saturating_sub(self.stamp.at));
        time.checked_sub(age).filter(|left| !left.is_zero()).map(Some)
    }
}

/// What operations of a key, in their order, say of it.
pub(super) fn local(
    operations: impl IntoIterator<Item = Operation>,
    now: u64,
) -> Result<Option<Local>, Failure> {
    let mut local = None;
    for operation in operations {
        local = Some(match (&operation.what, local) {
            (What::Set(value, _), _) => Local::Value(operation.left(now).map(|_| value.clone())),
            (What::Delete, _) => Local::Value(None),
            (What::Add(delta), None) => Local::Sum(*delta),
            (What::Add(delta), Some(Local::Sum(before))) => {
                Local::Sum(before.saturating_add(*delta))
            }
            (What::Add(delta), Some(Local::Value(value))) => {
                let sum = sum(value.as_deref(), *delta)?;
                Local::Value(Some(sum.to_string().into()))
            }
        });
    }
    Ok(local)
}
