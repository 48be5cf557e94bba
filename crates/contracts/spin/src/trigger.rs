//! Triggers: which component each starts, and how.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use reef_app::{CronTrigger, MqttTrigger, RedisTrigger, Schedule, StartTrigger, Triggers};
use reef_document::{At, Diagnostics};

use crate::{
    component::{Described, templated},
    field::{Field, error, warning},
    http_trigger,
    id::is_kebab,
    known::Known,
    middleware::Middleware,
    schema::{self, Common, Component, MqttDefaults, NoDefaults, RedisDefaults, Table},
};

/// A trigger as it stands in the manifest.
pub(crate) struct Raw {
    pub(crate) kind: At<String>,
    pub(crate) field: Field<()>,
    /// The component, where the trigger does not name it: in version 1.
    pub(crate) component: Option<At<String>>,
}

/// A trigger, read.
pub(crate) struct Trigger {
    own: Own,
    common: Common,
    pub(crate) component: Option<At<String>>,
}

enum Own {
    Http(schema::HttpTrigger),
    Redis(schema::RedisTrigger),
    Cron(schema::CronTrigger),
    Mqtt(schema::MqttTrigger),
    Command,
}

/// What all triggers of a type have in common: `[application.trigger.TYPE]`.
#[derive(Default)]
pub(crate) struct Defaults {
    /// What stands before every route (version 1).
    pub(crate) base: Option<At<String>>,
    redis: Option<At<String>>,
    mqtt: Option<MqttDefaults>,
}

/// What triggers come to.
#[derive(Default)]
pub(crate) struct Started {
    /// By the component that they start.
    pub(crate) triggers: BTreeMap<String, Many>,
    pub(crate) responses: Vec<reef_app::FixedResponse>,
    pub(crate) middleware: Middleware,
}

/// Triggers while they are collected.
#[derive(Default)]
pub(crate) struct Many {
    pub(crate) http: Vec<reef_app::HttpTrigger>,
    redis: Vec<RedisTrigger>,
    cron: Vec<CronTrigger>,
    mqtt: Vec<MqttTrigger>,
    start: Vec<StartTrigger>,
}

impl From<Many> for Triggers {
    fn from(many: Many) -> Self {
        Self {
            http: many.http.into(),
            redis: many.redis.into(),
            cron: many.cron.into(),
            mqtt: many.mqtt.into(),
            start: many.start.into(),
            ..Self::default()
        }
    }
}

impl Defaults {
    /// Reads the settings of each type.
    pub(crate) fn read(table: Table<()>, found: &mut Diagnostics) -> Self {
        let mut all = Self::default();
        for (kind, field) in table {
            match kind.as_str() {
                "http" => {
                    let read = field.cast::<schema::HttpDefaults>().read(found);
                    all.base = read.and_then(|read| read.base);
                }
                "redis" => {
                    let read = field.cast::<RedisDefaults>().read(found);
                    all.redis = read.and_then(|read| read.address);
                }
                "mqtt" => all.mqtt = field.cast::<MqttDefaults>().read(found),
                "cron" | "command" => {
                    field.cast::<NoDefaults>().read(found);
                }
                _ => found.push(unknown(&kind)),
            }
        }
        all
    }
}

fn unknown(kind: &At<String>) -> reef_document::Diagnostic {
    error(format!("triggers of the type `{kind}` are not supported"), kind.span())
        .help("there is `command`, `cron`, `http`, `mqtt`, `redis`")
}

impl Raw {
    fn read(self, found: &mut Diagnostics) -> Option<Trigger> {
        let Self { kind, field, component } = self;
        let span = field.span();
        let (own, common) = match kind.as_str() {
            "http" => {
                let read = field.cast::<schema::HttpTrigger>().read(found)?;
                let common = read.common(span);
                (Own::Http(read), common)
            }
            "redis" => {
                let read = field.cast::<schema::RedisTrigger>().read(found)?;
                let common = read.common(span);
                (Own::Redis(read), common)
            }
            "cron" => {
                let read = field.cast::<schema::CronTrigger>().read(found)?;
                let common = read.common(span);
                (Own::Cron(read), common)
            }
            "mqtt" => {
                let read = field.cast::<schema::MqttTrigger>().read(found)?;
                let common = read.common(span);
                (Own::Mqtt(read), common)
            }
            "command" => {
                let read = field.cast::<schema::CommandTrigger>().read(found)?;
                let common = read.common(span);
                (Own::Command, common)
            }
            _ => {
                found.push(unknown(&kind));
                return None;
            }
        };
        Some(Trigger { own, common, component })
    }
}

impl Trigger {
    fn kind(&self) -> &'static str {
        match self.own {
            Own::Http(_) => "http",
            Own::Redis(_) => "redis",
            Own::Cron(_) => "cron",
            Own::Mqtt(_) => "mqtt",
            Own::Command => "command",
        }
    }

    /// Whether it is one of `http`.
    pub(crate) fn is_http(&self) -> bool {
        matches!(self.own, Own::Http(_))
    }
}

/// Reads triggers, and gives the components that are written in them names and a place among the
/// others.
///
/// Names are those that Spin gives (`crates/manifest/src/normalize.rs`).
pub(crate) fn read_all(
    raw: Vec<Raw>,
    profile: Option<&str>,
    components: &mut BTreeMap<String, Described>,
    found: &mut Diagnostics,
) -> Vec<Trigger> {
    let mut all: Vec<_> = raw.into_iter().filter_map(|one| one.read(found)).collect();
    let mut ids: BTreeSet<String> = all.iter().filter_map(Trigger::own_id).collect();
    let mut counters = BTreeMap::<&str, usize>::new();
    for trigger in &mut all {
        let kind = trigger.kind();
        let id = trigger.own_id().unwrap_or_else(|| {
            let of = trigger.common.component.as_ref().and_then(Field::text);
            let natural = of.map(|of| format!("{of}-{kind}-trigger"));
            let natural = natural.filter(|natural| !ids.contains(natural));
            let counter = counters.entry(kind).or_insert(0);
            let id = natural.unwrap_or_else(|| {
                loop {
                    *counter += 1;
                    let id = format!("{kind}-trigger{counter}");
                    if !ids.contains(&id) {
                        break id;
                    }
                }
            });
            ids.insert(id.clone());
            id
        });
        if let Some(components) = &trigger.common.components {
            let message = format!("the components of `{kind}` triggers have no effect");
            found.push(warning(message, Some(components.span())).help("leave them out"));
        }
        let Some(field) = &trigger.common.component else { continue };
        if let Some(named) = field.text() {
            trigger.component = Some(named);
            continue;
        }
        let id = inline_id(&id, components);
        let id = At::new(id, field.span());
        let component = field.read(found).unwrap_or_else(|| broken(field));
        let described = Described::new(id.clone(), component, profile, found);
        components.insert(id.value.clone(), described);
        trigger.component = Some(id);
    }
    all
}

/// What stands for a component that cannot be read, so that nobody misses it.
pub(crate) fn broken<T>(field: &Field<T>) -> Component {
    let mut field = field.clone();
    let source = field.take("source").map(Field::from);
    Component { source, ..Component::default() }
}

fn inline_id(trigger: &str, components: &BTreeMap<String, Described>) -> String {
    let natural = format!("{trigger}-component");
    if is_kebab(&natural) && natural.len() <= 63 && !components.contains_key(&natural) {
        return natural;
    }
    let mut counter = 1;
    loop {
        let id = format!("inline-component{counter}");
        if !components.contains_key(&id) {
            return id;
        }
        counter += 1;
    }
}

impl Trigger {
    fn own_id(&self) -> Option<String> {
        self.common.id.as_ref()?.text().map(|id| id.value).filter(|id| !id.is_empty())
    }
}

/// Says what each trigger starts.
pub(crate) fn start(
    triggers: &[Trigger],
    defaults: &Defaults,
    known: &Known,
    found: &mut Diagnostics,
) -> Started {
    let mut started = Started::default();
    let mut commanded = false;
    for trigger in triggers {
        if let Own::Http(own) = &trigger.own {
            http_trigger::start(
                trigger,
                &trigger.common,
                own,
                defaults,
                known,
                &mut started,
                found,
            );
            continue;
        }
        if let Some(dependencies) = &trigger.common.dependencies {
            let message = format!("triggers of the type `{}` have no middleware", trigger.kind());
            found.push(error(message, Some(dependencies.span())).help("leave `dependencies` out"));
        }
        let Some(id) = trigger.component_of(known, found) else { continue };
        let many = started.triggers.entry(id.value.clone()).or_default();
        match &trigger.own {
            Own::Http(_) => {}
            Own::Redis(own) => many.redis.extend(redis(own, &id, defaults, found)),
            Own::Cron(own) => many.cron.extend(cron(own, &id, found)),
            Own::Mqtt(own) => many.mqtt.extend(mqtt(own, &id, defaults, found)),
            Own::Command if commanded => {
                let message = format!("`{id}` is not run: of several commands Spin runs the first");
                found.push(warning(message, id.span()).help("leave this trigger out"));
            }
            Own::Command => {
                commanded = true;
                many.start.push(StartTrigger::default());
            }
        }
    }
    started
}

impl Trigger {
    /// The component that it starts, which is there.
    pub(crate) fn component_of(
        &self,
        known: &Known,
        found: &mut Diagnostics,
    ) -> Option<At<String>> {
        let Some(id) = &self.component else {
            let message = "this trigger starts no component";
            let span = self.common.span.clone();
            found
                .push(error(message, Some(span)).help("name one: `component = \"shopping-cart\"`"));
            return None;
        };
        if !known.components.contains_key(id.as_str()) {
            let message = format!("there is no component `{id}`");
            found.push(error(message, id.span()).help(known.components()));
            return None;
        }
        Some(id.clone())
    }
}

fn redis(
    own: &schema::RedisTrigger,
    id: &At<String>,
    defaults: &Defaults,
    found: &mut Diagnostics,
) -> Option<RedisTrigger> {
    let Some(address) = own.address.as_ref().or(defaults.redis.as_ref()) else {
        let message = format!("the Redis trigger of `{id}` has no server");
        let help =
            "add `address = \"redis://localhost:6379\"` here or to `[application.trigger.redis]`";
        found.push(error(message, id.span()).help(help));
        return None;
    };
    let channel = needed(own.channel.as_ref(), "channel", id, found)?;
    let (address, channel) = (templated(address.clone(), found), templated(channel, found));
    Some(RedisTrigger { address: address?, channel: channel? })
}

/// Of six fields, the first for seconds. Two things are written otherwise here than in Spin's plugin
/// (the crate `tokio-cron-scheduler`): a step from a number on, `1/2`, has its end, `1-59/2`; and a day
/// that has to fit both the month's and the week's, where both are named, has a `+`.
fn cron(
    own: &schema::CronTrigger,
    id: &At<String>,
    found: &mut Diagnostics,
) -> Option<CronTrigger> {
    let expression = needed(own.cron_expression.as_ref(), "cron_expression", id, found)?;
    let mut fields: Vec<_> = expression.split_whitespace().map(str::to_owned).collect();
    if fields.len() >= 6 {
        for (field, last) in fields.iter_mut().zip(["59", "59", "23", "31", "12", "7"]) {
            *field = with_end(field, last);
        }
    }
    if fields.len() >= 6 && fields[3] != "*" && fields[3] != "?" {
        let weekday = &mut fields[5];
        if weekday != "*" && weekday != "?" && !weekday.starts_with('+') {
            weekday.insert(0, '+');
        }
    }
    match fields.join(" ").parse::<Schedule>() {
        Ok(schedule) => {
            let schedule = expression.map(|_| schedule);
            Some(CronTrigger { schedule, timezone: None, args: Vec::new() })
        }
        Err(fault) => {
            let help = "write six fields, the first for seconds: `0 */5 * * * *`";
            found.push(error(fault.to_string(), expression.span()).help(help));
            None
        }
    }
}

/// A list in which each step from a number on has an end.
fn with_end(field: &str, last: &str) -> String {
    let each = field.split(',').map(|one| match one.split_once('/') {
        Some((from, step))
            if from.bytes().all(|byte| byte.is_ascii_digit()) && !from.is_empty() =>
        {
            format!("{from}-{last}/{step}")
        }
        _ => one.to_owned(),
    });
    each.collect::<Vec<_>>().join(",")
}

fn mqtt(
    own: &schema::MqttTrigger,
    id: &At<String>,
    defaults: &Defaults,
    found: &mut Diagnostics,
) -> Option<MqttTrigger> {
    let topic = needed(own.topic.as_ref(), "topic", id, found);
    let qos = qos(own.qos.as_ref(), found);
    let Some(broker) = defaults.mqtt.as_ref() else {
        let message = format!("the MQTT trigger of `{id}` has no broker");
        let help = "add `[application.trigger.mqtt]` with its `address`";
        found.push(error(message, id.span()).help(help));
        return None;
    };
    let address = needed(broker.address.as_ref(), "address", id, found);
    // Empty is what an anonymous client writes.
    let optional = |text: &Option<At<String>>, found: &mut Diagnostics| {
        let text = text.clone().filter(|text| !text.is_empty())?;
        templated(text, found)
    };
    Some(MqttTrigger {
        topic: templated(topic?, found)?,
        address: templated(address?, found)?,
        username: optional(&broker.username, found),
        password: optional(&broker.password, found),
        qos,
        keep_alive: keep_alive(broker.keep_alive_interval.as_ref(), found),
    })
}

fn qos(field: Option<&Field<u8>>, found: &mut Diagnostics) -> u8 {
    let Some(field) = field else { return 0 };
    match number(field, found) {
        Some(qos) if qos <= 2 => qos,
        None => 0,
        Some(_) => {
            let help = "write \"0\" (at most once), \"1\" (at least once) or \"2\" (exactly once)";
            found.push(error("there is no such quality of service", Some(field.span())).help(help));
            0
        }
    }
}

/// None for none at all.
fn keep_alive(
    field: Option<&Field<u64>>,
    found: &mut Diagnostics,
) -> Option<reef_app::Written<Duration>> {
    let field = field?;
    match number(field, found)? {
        0 => None,
        seconds if seconds <= u64::from(u16::MAX) => Some(Duration::from_secs(seconds).into()),
        _ => {
            found.push(
                error("this is longer than MQTT has it", Some(field.span()))
                    .help("write seconds, at most 65535"),
            );
            None
        }
    }
}

/// A number that the plugin wants as text.
fn number<T: std::str::FromStr + serde::de::DeserializeOwned>(
    field: &Field<T>,
    found: &mut Diagnostics,
) -> Option<T> {
    let Some(text) = field.text() else { return field.read(found) };
    let number = text.parse().ok();
    if number.is_none() {
        let message = format!("`{}` is not a whole number, or too large", text.value);
        found.push(error(message, text.span()).help("write digits only"));
    }
    number
}

fn needed(
    text: Option<&At<String>>,
    field: &str,
    id: &At<String>,
    found: &mut Diagnostics,
) -> Option<At<String>> {
    if text.is_none() {
        let message = format!("a trigger of `{id}` has no `{field}`");
        found.push(error(message, id.span()).help(format!("add `{field}`")));
    }
    text.cloned()
}
