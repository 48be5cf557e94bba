//! `fermyon:spin@2.0.0`: Redis and MQTT.

wasmtime::component::bindgen!({
    path: "wit/fermyon-spin-2.0.0-redis-mqtt.wit",
    imports: { default: async | trappable },
    with: {
        "fermyon:spin/redis.connection": reef_messaging::RedisServer,
        "fermyon:spin/mqtt.connection": reef_messaging::MqttBroker,
    },
});

mod redis {
    use reef_capability::Failure;
    use reef_messaging::RedisServer;
    use wasmtime::component::Resource;

    use super::{
        super::{about, bytes, number, redis_errors, redis_values, texts, with},
        fermyon::spin::redis::{self, Error, HostConnection},
    };
    use crate::View;

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
        async fn open(&mut self, address: String) -> Answer<Resource<RedisServer>> {
            let server = self.redis(&address);
            Ok(server.and_then(|server| self.keep(server)).map_err(unopened))
        }

        async fn publish(
            &mut self,
            connection: Resource<RedisServer>,
            channel: String,
            payload: Vec<u8>,
        ) -> Answer<()> {
            let (server, caller) = self.held(&connection)?;
            told(
                server
                    .ask(&caller, &about("PUBLISH", &[channel.as_bytes(), &payload]))
                    .await
                    .map(|_| ()),
            )
        }

        async fn get(
            &mut self,
            connection: Resource<RedisServer>,
            key: String,
        ) -> Answer<Option<Vec<u8>>> {
            let (server, caller) = self.held(&connection)?;
            told(server.ask(&caller, &about("GET", &[key])).await.and_then(bytes))
        }

        async fn set(
            &mut self,
            connection: Resource<RedisServer>,
            key: String,
            value: Vec<u8>,
        ) -> Answer<()> {
            let (server, caller) = self.held(&connection)?;
            told(server.ask(&caller, &about("SET", &[key.as_bytes(), &value])).await.map(|_| ()))
        }

        async fn incr(&mut self, connection: Resource<RedisServer>, key: String) -> Answer<i64> {
            let (server, caller) = self.held(&connection)?;
            told(server.ask(&caller, &about("INCR", &[key])).await.and_then(number))
        }

        async fn del(
            &mut self,
            connection: Resource<RedisServer>,
            keys: Vec<String>,
        ) -> Answer<u32> {
            let (server, caller) = self.held(&connection)?;
            told(server.ask(&caller, &about("DEL", &keys)).await.and_then(count))
        }

        async fn sadd(
            &mut self,
            connection: Resource<RedisServer>,
            key: String,
            values: Vec<String>,
        ) -> Answer<u32> {
            let (server, caller) = self.held(&connection)?;
            told(server.ask(&caller, &with("SADD", &key, &values)).await.and_then(count))
        }

        async fn smembers(
            &mut self,
            connection: Resource<RedisServer>,
            key: String,
        ) -> Answer<Vec<String>> {
            let (server, caller) = self.held(&connection)?;
            told(server.ask(&caller, &about("SMEMBERS", &[key])).await.and_then(texts))
        }

        async fn srem(
            &mut self,
            connection: Resource<RedisServer>,
            key: String,
            values: Vec<String>,
        ) -> Answer<u32> {
            let (server, caller) = self.held(&connection)?;
            told(server.ask(&caller, &with("SREM", &key, &values)).await.and_then(count))
        }

        async fn execute(
            &mut self,
            connection: Resource<RedisServer>,
            name: String,
            arguments: Vec<RedisParameter>,
        ) -> Answer<Vec<RedisResult>> {
            let (server, caller) = self.held(&connection)?;
            told(server.ask(&caller, &command(&name, arguments)).await.and_then(results))
        }

        async fn drop(&mut self, connection: Resource<RedisServer>) -> wasmtime::Result<()> {
            self.table.delete(connection)?;
            Ok(())
        }
    }
}

mod mqtt {
    use reef_messaging::MqttBroker;
    use wasmtime::component::Resource;

    use super::{
        super::mqtt_values,
        fermyon::spin::mqtt::{self, HostConnection},
    };
    use crate::View;

    mqtt_values!(mqtt);

    type Answer<T> = wasmtime::Result<Result<T, Error>>;

    impl mqtt::Host for View<'_> {}

    impl HostConnection for View<'_> {
        async fn open(
            &mut self,
            address: String,
            username: String,
            password: String,
            keep_alive: u64,
        ) -> Answer<Resource<MqttBroker>> {
            let broker = self.mqtt(&address, (&username, &password), keep_alive);
            Ok(broker.and_then(|broker| self.keep(broker)).map_err(unopened))
        }

        async fn publish(
            &mut self,
            connection: Resource<MqttBroker>,
            topic: String,
            payload: Vec<u8>,
            qos: Qos,
        ) -> Answer<()> {
            let (broker, caller) = self.held(&connection)?;
            let published = broker.publish(&caller, &topic, payload.into(), quality(qos)).await;
            Ok(published.map_err(Into::into))
        }

        async fn drop(&mut self, connection: Resource<MqttBroker>) -> wasmtime::Result<()> {
            self.table.delete(connection)?;
            Ok(())
        }
    }
}
