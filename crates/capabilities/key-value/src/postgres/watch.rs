//! Changes, as a trigger of the table tells them.

use std::{sync::Arc, time::Duration};

use reef_capability::Failure;
use reef_postgres::{Notifications, Pooled, tokio_postgres::types::Type};
use tokio::time::timeout;

use super::{Parameters, batch, column, failure, query};
use crate::{Change, Told};

/// How often a silent server is asked whether it is there, and how long it has to say so.
const SILENT: Duration = Duration::from_secs(20);
const ANSWERING: Duration = Duration::from_secs(10);
/// Somebody who watches a bucket, over a connection of their own.
pub(super) struct Watch {
    connection: Pooled,
    said: Notifications,
    bucket: Arc<str>,
    get: Arc<str>,
}

impl Watch {
    /// Begins; `get` is the statement that asks for a value.
    pub(super) async fn begin(
        connection: Pooled,
        table: &str,
        bucket: Arc<str>,
        get: Arc<str>,
    ) -> Result<Self, Failure> {
        let said = connection.listen(table).await.map_err(failure)?;
        Ok(Self { connection, said, bucket, get })
    }

    pub(super) async fn next(mut self) -> Option<(Told, Self)> {
        loop {
            let missed = self.said.missed();
            if missed > 0 {
                return Some((Told::Missed(missed), self));
            }
            let said = match timeout(SILENT, self.said.recv()).await {
                Ok(said) => said?,
                // A server that is gone without a word is noticed only by asking.
                Err(_) => {
                    let asked = timeout(ANSWERING, batch(&mut self.connection, "")).await;
                    match asked {
                        Ok(Ok(())) => continue,
                        _ => return None,
                    }
                }
            };
            let Some((deleted, bucket, key)) = read(&said) else { continue };
            if bucket != *self.bucket {
                continue;
            }
            if deleted {
                return Some((Told::Changed(Change { key, value: None }), self));
            }
            // What was said is that it changed; this is what it is now.
            let (bucket, name) = (self.bucket.as_bytes(), key.as_bytes());
            let parameters: Parameters<'_> = &[(&bucket, Type::BYTEA), (&name, Type::BYTEA)];
            let rows = query(&mut self.connection, &self.get, parameters).await.ok()?;
            let Some(row) = rows.first() else { continue };
            let value = column::<Vec<u8>>(row, 0).ok()?;
            let change = Change { key, value: Some(value.into()) };
            return Some((Told::Changed(change), self));
        }
    }
}

/// Whether something was deleted, the bucket and the key.
fn read(said: &str) -> Option<(bool, String, String)> {
    let deleted = match said.get(..1)? {
        "d" => true,
        "s" => false,
        _ => return None,
    };
    let (bucket, key) = said.get(1..)?.split_once(' ')?;
    Some((deleted, unhex(bucket)?, unhex(key)?))
}

fn unhex(text: &str) -> Option<String> {
    let bytes: Option<Vec<u8>> = text
        .as_bytes()
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
        .collect();
    String::from_utf8(bytes?).ok()
}
