//! Links to message brokers, and from them: over NATS where the provider says at which servers, else over the bus of
//! this host.

use reef_app::{MessageTrigger, Name, Subject, Template};
use reef_document::{At, Diagnostic, Diagnostics};

use super::Ends;
use crate::{
    capability::{Capability, Provider},
    read::Reader,
    settings::{Values, nearest, placed, text},
};

/// Where the servers of NATS are.
const SERVERS: &str = "cluster_uris";
/// Settings of NATS, and what a link of this host calls them.
const NATS: [(&str, &str); 3] =
    [(SERVERS, "url"), ("tls_ca", "tls-roots"), ("tls_ca_file", "tls-roots")];
/// The two parts of a file of credentials.
const JWT: &str = "client_jwt";
const SEED: &str = "client_seed";
/// Settings that mean nothing here.
const IDLE: [&str; 4] =
    ["custom_inbox_prefix", "hosts", "consumer_partitions", "producer_partitions"];
/// Settings of what is subscribed to.
const SUBSCRIBED: [&str; 4] = ["subscriptions", "consumers", "topic", "consumer_group"];

/// The settings of a link to NATS; none if it is to the bus of this host.
pub(super) fn config(
    values: &Values,
    provider: &Provider,
    found: &mut Diagnostics,
) -> Option<Values> {
    let over_nats = provider.backend.as_deref().is_none_or(|backend| backend == "nats");
    let over_nats = over_nats && values.contains_key(SERVERS);
    for (key, value) in values {
        let (key, of_nats) = (key.as_str(), NATS.iter().any(|(name, _)| name == key));
        let of_nats = of_nats || key == JWT || key == SEED;
        if SUBSCRIBED.contains(&key) || (over_nats && of_nats) {
            continue;
        }
        if of_nats || IDLE.contains(&key) {
            let warning = match over_nats {
                true => format!("`{key}` has no effect"),
                false => {
                    format!("`{key}` has no effect: messages are on this host's own bus")
                }
            };
            found.push(placed(Diagnostic::warning(warning), value).help("leave it out"));
        } else {
            let error = format!("`{key}` is no setting of messages");
            let known = SUBSCRIBED.into_iter().chain(IDLE);
            let known = known.chain(NATS.map(|(name, _)| name)).chain([JWT, SEED]);
            found.push(placed(Diagnostic::error(error), value).help(nearest(key, known)));
        }
    }
    if !over_nats {
        return None;
    }
    let mut config = Values::new();
    config.insert("backend".to_owned(), Template::literal("nats").into());
    for (key, name) in NATS {
        if let Some(value) = values.get(key) {
            config.insert(name.to_owned(), value.clone());
        }
    }
    match (values.get(JWT), values.get(SEED)) {
        (Some(jwt), Some(seed)) => {
            let file = format!(
                "-----BEGIN NATS USER JWT-----\n{}\n------END NATS USER JWT------\n\n\
                 -----BEGIN USER NKEY SEED-----\n{}\n------END USER NKEY SEED------\n",
                jwt.value, seed.value
            );
            match file.parse::<Template>() {
                Ok(file) => {
                    config.insert("credentials".to_owned(), jwt.clone().map(|_| file));
                }
                Err(error) => found.push(placed(Diagnostic::error(error.to_string()), jwt)),
            }
        }
        (None, Some(seed)) => {
            config.insert("nkey".to_owned(), seed.clone());
        }
        (Some(jwt), None) => {
            let error = Diagnostic::error("`client_jwt` is of no use without `client_seed`");
            found.push(placed(error, jwt).help("give both, as secrets"));
        }
        (None, None) => {}
    }
    Some(config)
}

/// What a provider of messages hands to a component.
pub(super) fn subscriptions<'m>(
    reader: &mut Reader<'m>,
    ends: Ends<'m>,
    provider: &Provider,
    values: &Values,
    found: &mut Diagnostics,
) {
    let config = config(values, provider, found);
    if let Some(value) = values.get("consumers") {
        let error = Diagnostic::error("nothing is kept for `consumers` here");
        found.push(placed(error, value).help("write `subscriptions: orders.*`"));
    }
    let of = |key: &str| values.get(key).and_then(|value| Some((value, text(value)?)));
    let list = of("subscriptions").map(|(place, list)| {
        let each = list.split(',').map(str::trim).filter(|one| !one.is_empty());
        (
            place,
            each.map(|one| one.split_once('|').map_or((one, None), |(s, q)| (s, Some(q))))
                .collect(),
        )
    });
    let topic = || {
        let (place, topic) = of("topic")?;
        Some((place, vec![(topic, of("consumer_group").map(|(_, group)| group))]))
    };
    let listed: Option<(_, Vec<_>)> = list.or_else(topic);
    let Some((place, listed)) = listed.filter(|(_, listed)| !listed.is_empty()) else {
        let error = format!("`{}` is sent no messages", ends.target.name);
        return found.push(placed(Diagnostic::error(error), &ends.link.target.name).help(
            "say which in the link's `source.config`: `subscriptions: \"orders.new, orders.*\"`",
        ));
    };
    // The link that they come over, which is no leave to publish.
    let link = config.map(|mut config| {
        config.insert("subjects".to_owned(), Template::literal("").into());
        (ends.source.name.clone(), config)
    });
    let mut triggers = Vec::new();
    for (subject, queue) in listed {
        let subject = subject.parse::<Subject>().map_err(|error| error.to_string());
        let queue = queue.map(str::parse::<Name>).transpose().map_err(|error| error.to_string());
        match (subject, queue) {
            (Ok(subject), Ok(queue)) => triggers.push(MessageTrigger {
                subject: place.clone().map(|_| subject),
                queue: queue.map(|queue| place.clone().map(|_| queue)),
                link: link.as_ref().map(|(name, _)| name.clone()),
            }),
            (subject, queue) => {
                for error in [subject.err(), queue.err()].into_iter().flatten() {
                    found.push(placed(Diagnostic::error(error), place));
                }
            }
        }
    }
    if let Some(workload) = reader.workload_of(ends.target.name.as_str()) {
        workload.trigger.message.0.extend(triggers);
        let known = |name: &str| workload.links.iter().any(|one| one.name.as_deref() == Some(name));
        if let Some((name, config)) = link
            && !known(name.as_str())
        {
            let mut link = reef_app::Link::of("");
            link.import = ends.link.package.clone().map(|_| ends.package());
            link.name = Some(name.value.to_string());
            link.capability = Capability::Messaging.name().parse::<Name>().ok().map(At::from);
            link.config = config;
            workload.links.push(link);
        }
    }
}
