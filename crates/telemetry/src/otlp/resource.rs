//! Who says what is sent: this process, or one of its workloads.

use opentelemetry::{Key, KeyValue};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{IdGenerator as _, RandomIdGenerator};

use crate::attributes;

/// Names of attributes (OpenTelemetry semantic conventions, "Service").
const SERVICE: Key = Key::from_static_str("service.name");
const INSTANCE: Key = Key::from_static_str("service.instance.id");

/// The process's resource, and what is made of it for a workload.
pub(crate) struct Resources {
    own: Resource,
    /// `service.instance.id`: another one each time a process starts.
    instance: String,
}

impl Resources {
    /// What the environment says, with a name in any case.
    pub(crate) fn new(service: Option<&str>) -> Self {
        let found = Resource::builder().build();
        let named = found
            .get(&SERVICE)
            .map(|name| name.to_string())
            .filter(|name| !name.starts_with("unknown_service"));
        let name = service.map(str::to_owned).or(named).unwrap_or_else(|| "reef".to_owned());
        let given = found.get(&INSTANCE).map(|instance| instance.to_string());
        let instance = given.unwrap_or_else(random);
        let own = Resource::builder()
            .with_service_name(name)
            .with_attribute(KeyValue::new(INSTANCE, instance.clone()))
            .build();
        Self { own, instance }
    }

    /// The process's.
    pub(crate) const fn own(&self) -> &Resource {
        &self.own
    }

    /// A workload's, which is a service by itself: `shop/cart` is one of the application `shop`.
    pub(crate) fn of(&self, workload: &str) -> Resource {
        let own = self.own.iter();
        let own = own.map(|(key, value)| KeyValue::new(key.clone(), value.clone()));
        let application = workload.split_once('/').map(|(application, _)| application.to_owned());
        let application =
            application.map(|application| KeyValue::new(attributes::APPLICATION, application));
        Resource::builder_empty()
            .with_attributes(own)
            .with_attribute(KeyValue::new(SERVICE, workload.to_owned()))
            .with_attribute(KeyValue::new(INSTANCE, self.instance.clone()))
            .with_attribute(KeyValue::new(attributes::WORKLOAD, workload.to_owned()))
            .with_attributes(application)
            .build()
    }
}

/// A random UUID (RFC 9562, version 4).
fn random() -> String {
    let mut bytes = RandomIdGenerator::default().new_trace_id().to_bytes();
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let mut text = String::with_capacity(36);
    for (at, byte) in bytes.iter().enumerate() {
        if matches!(at, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        text.push_str(&format!("{byte:02x}"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_workload_is_a_service_of_its_own() {
        let resources = Resources::new(Some("host"));
        let shop = resources.of("shop/cart");
        let get = |resource: &Resource, name: &'static str| {
            resource.get(&Key::from_static_str(name)).map(|value| value.to_string())
        };
        for (name, own, workload) in [
            ("service.name", Some("host"), Some("shop/cart")),
            ("reef.workload", None, Some("shop/cart")),
            ("reef.application", None, Some("shop")),
            ("telemetry.sdk.language", Some("rust"), Some("rust")),
        ] {
            assert_eq!(get(resources.own(), name).as_deref(), own, "{name}");
            assert_eq!(get(&shop, name).as_deref(), workload, "{name}");
        }
        let instance = get(resources.own(), "service.instance.id");
        assert_eq!(get(&shop, "service.instance.id"), instance);
        assert_eq!(get(&resources.of("cart"), "reef.application"), None);
        let lengths: Vec<_> = random().split('-').map(str::len).collect();
        assert_eq!(lengths, [8, 4, 4, 4, 12]);
        assert_ne!(random(), random());
    }
}
