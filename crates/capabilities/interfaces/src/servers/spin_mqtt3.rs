//! `spin:mqtt@3.0.0`: asynchronous.

use reef_messaging::MqttBroker;
use wasmtime::component::{Accessor, Resource};

use self::spin::mqtt::mqtt::{self, HostConnection, HostConnectionWithStore};
use super::{held, mqtt_values};
use crate::{Capable, OfInstance, View};

wasmtime::component::bindgen!({
    path: "wit/spin-mqtt-3.0.0.wit",
    imports: { default: trappable },
    with: { "spin:mqtt/mqtt.connection": reef_messaging::MqttBroker },
});

mqtt_values!(mqtt);

type Answer<T> = wasmtime::Result<Result<T, Error>>;

impl mqtt::Host for View<'_> {}

impl HostConnection for View<'_> {
    fn drop(&mut self, connection: Resource<MqttBroker>) -> wasmtime::Result<()> {
        self.table.delete(connection)?;
        Ok(())
    }
}

impl<T: Capable> HostConnectionWithStore<T> for OfInstance<T> {
    async fn open(
        store: &Accessor<T, Self>,
        address: String,
        username: String,
        password: String,
        keep_alive: u64,
    ) -> Answer<Resource<MqttBroker>> {
        Ok(store.with(|mut access| {
            let mut view = access.get();
            let broker = view.mqtt(&address, (&username, &password), keep_alive);
            broker.and_then(|broker| view.keep(broker)).map_err(unopened)
        }))
    }

    async fn publish(
        store: &Accessor<T, Self>,
        connection: Resource<MqttBroker>,
        topic: String,
        payload: Vec<u8>,
        qos: Qos,
    ) -> Answer<()> {
        let (broker, caller) = held(store, &connection)?;
        let published = broker.publish(&caller, &topic, payload.into(), quality(qos)).await;
        Ok(published.map_err(Into::into))
    }
}
