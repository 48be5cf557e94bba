//! `spin:redis@3.0.0`: asynchronous.

use reef_capability::Failure;
use reef_messaging::RedisServer;
use wasmtime::component::{Accessor, Resource};

use self::spin::redis::redis::{self, Error, HostConnection, HostConnectionWithStore};
use super::{about, bytes, held, number, redis_errors, redis_values, texts, with};
use crate::{Capable, OfInstance, View};

wasmtime::component::bindgen!({
    path: "wit/spin-redis-3.0.0.wit",
    imports: { default: trappable },
    with: { "spin:redis/redis.connection": reef_messaging::RedisServer },
});

redis_values!(redis);
redis_errors!(Error);

type Answer<T> = wasmtime::Result<Result<T, Error>>;

fn told<T>(done: Result<T, Failure>) -> Answer<T> {
    Ok(done.map_err(Into::into))
}

fn count(value: reef_redis::redis::Value) -> Result<u32, Failure> {
    Ok(u32::try_from(number(value)?).unwrap_or(u32::MAX))
}

impl redis::Host for View<'_> {}

impl HostConnection for View<'_> {
    fn drop(&mut self, connection: Resource<RedisServer>) -> wasmtime::Result<()> {
        self.table.delete(connection)?;
        Ok(())
    }
}

impl<T: Capable> HostConnectionWithStore<T> for OfInstance<T> {
    async fn open(store: &Accessor<T, Self>, address: String) -> Answer<Resource<RedisServer>> {
        Ok(store.with(|mut access| {
            let mut view = access.get();
            let server = view.redis(&address);
            server.and_then(|server| view.keep(server)).map_err(unopened)
        }))
    }

    async fn publish(
        store: &Accessor<T, Self>,
        connection: Resource<RedisServer>,
        channel: String,
        payload: Vec<u8>,
    ) -> Answer<()> {
        let (server, caller) = held(store, &connection)?;
        told(
            server
                .ask(&caller, &about("PUBLISH", &[channel.as_bytes(), &payload]))
                .await
                .map(|_| ()),
        )
    }

    async fn get(
        store: &Accessor<T, Self>,
        connection: Resource<RedisServer>,
        key: String,
    ) -> Answer<Option<Vec<u8>>> {
        let (server, caller) = held(store, &connection)?;
        told(server.ask(&caller, &about("GET", &[key])).await.and_then(bytes))
    }

    async fn set(
        store: &Accessor<T, Self>,
        connection: Resource<RedisServer>,
        key: String,
        value: Vec<u8>,
    ) -> Answer<()> {
        let (server, caller) = held(store, &connection)?;
        told(server.ask(&caller, &about("SET", &[key.as_bytes(), &value])).await.map(|_| ()))
    }

    async fn incr(
        store: &Accessor<T, Self>,
        connection: Resource<RedisServer>,
        key: String,
    ) -> Answer<i64> {
        let (server, caller) = held(store, &connection)?;
        told(server.ask(&caller, &about("INCR", &[key])).await.and_then(number))
    }

    async fn del(
        store: &Accessor<T, Self>,
        connection: Resource<RedisServer>,
        keys: Vec<String>,
    ) -> Answer<u32> {
        let (server, caller) = held(store, &connection)?;
        told(server.ask(&caller, &about("DEL", &keys)).await.and_then(count))
    }

    async fn sadd(
        store: &Accessor<T, Self>,
        connection: Resource<RedisServer>,
        key: String,
        values: Vec<String>,
    ) -> Answer<u32> {
        let (server, caller) = held(store, &connection)?;
        told(server.ask(&caller, &with("SADD", &key, &values)).await.and_then(count))
    }

    async fn smembers(
        store: &Accessor<T, Self>,
        connection: Resource<RedisServer>,
        key: String,
    ) -> Answer<Vec<String>> {
        let (server, caller) = held(store, &connection)?;
        told(server.ask(&caller, &about("SMEMBERS", &[key])).await.and_then(texts))
    }

    async fn srem(
        store: &Accessor<T, Self>,
        connection: Resource<RedisServer>,
        key: String,
        values: Vec<String>,
    ) -> Answer<u32> {
        let (server, caller) = held(store, &connection)?;
        told(server.ask(&caller, &with("SREM", &key, &values)).await.and_then(count))
    }

    async fn execute(
        store: &Accessor<T, Self>,
        connection: Resource<RedisServer>,
        name: String,
        arguments: Vec<RedisParameter>,
    ) -> Answer<Vec<RedisResult>> {
        let (server, caller) = held(store, &connection)?;
        told(server.ask(&caller, &command(&name, arguments)).await.and_then(results))
    }
}
