//! `fermyon:spin/redis`, without a version.

use reef_capability::Failure;
use reef_redis::redis::{Cmd, Value};

use self::fermyon::spin::{
    redis,
    redis_types::{self, Error},
};
use super::{about, bytes, number, redis_values, texts, with};
use crate::View;

wasmtime::component::bindgen!({
    path: "wit/fermyon-spin-redis.wit",
    imports: { default: async | trappable },
});

redis_values!(redis_types);

type Answer<T> = wasmtime::Result<Result<T, Error>>;

impl View<'_> {
    /// The interface has one error for everything; what it was is in the log.
    async fn told_by<T>(
        &mut self,
        address: &str,
        command: Cmd,
        read: impl FnOnce(Value) -> Result<T, Failure>,
    ) -> Answer<T> {
        let (server, caller) = (self.redis(address), self.instance.caller.clone());
        let asking = async { read(server?.ask(&caller, &command).await?) };
        Ok(asking.await.map_err(|failure| {
            tracing::debug!("{failure}");
            Error::Error
        }))
    }
}

impl redis_types::Host for View<'_> {}

impl redis::Host for View<'_> {
    async fn publish(&mut self, address: String, channel: String, payload: Vec<u8>) -> Answer<()> {
        let command = about("PUBLISH", &[channel.as_bytes(), &payload]);
        self.told_by(&address, command, |_| Ok(())).await
    }

    async fn get(&mut self, address: String, key: String) -> Answer<Vec<u8>> {
        let read = |value| Ok(bytes(value)?.unwrap_or_default());
        self.told_by(&address, about("GET", &[key]), read).await
    }

    async fn set(&mut self, address: String, key: String, value: Vec<u8>) -> Answer<()> {
        self.told_by(&address, about("SET", &[key.as_bytes(), &value]), |_| Ok(())).await
    }

    async fn incr(&mut self, address: String, key: String) -> Answer<i64> {
        self.told_by(&address, about("INCR", &[key]), number).await
    }

    async fn del(&mut self, address: String, keys: Vec<String>) -> Answer<i64> {
        self.told_by(&address, about("DEL", &keys), number).await
    }

    async fn sadd(&mut self, address: String, key: String, values: Vec<String>) -> Answer<i64> {
        self.told_by(&address, with("SADD", &key, &values), number).await
    }

    async fn smembers(&mut self, address: String, key: String) -> Answer<Vec<String>> {
        self.told_by(&address, about("SMEMBERS", &[key]), texts).await
    }

    async fn srem(&mut self, address: String, key: String, values: Vec<String>) -> Answer<i64> {
        self.told_by(&address, with("SREM", &key, &values), number).await
    }

    async fn execute(
        &mut self,
        address: String,
        name: String,
        arguments: Vec<RedisParameter>,
    ) -> Answer<Vec<RedisResult>> {
        self.told_by(&address, command(&name, arguments), results).await
    }
}
