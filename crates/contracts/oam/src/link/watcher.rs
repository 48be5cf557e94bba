//! Links from key-value stores: what a component is told of their changes.

use std::collections::BTreeMap;

use reef_app::{Change, Name, Template, WatchTrigger};
use reef_document::{At, Diagnostic, Diagnostics};

use super::Ends;
use crate::{
    capability::{Capability, Provider},
    read::Reader,
    settings::{Values, backend, placed, text},
};

/// The setting that says what is told: `SET@key, DEL@key`. It is the provider's, and of no other link.
pub(super) const WATCH: &str = "watch";
/// What such an interface is called, in the drafts and before.
const WATCHERS: [&str; 2] = ["watcher", "watch"];

/// What a store tells a component: all that happens in it, or what `watch` says.
pub(super) fn watches<'m>(
    reader: &mut Reader<'m>,
    ends: Ends<'m>,
    provider: &Provider,
    mut values: Values,
    found: &mut Diagnostics,
) {
    let told = |one: &&At<String>| WATCHERS.contains(&one.as_str());
    if let Some(other) = ends.link.interfaces.iter().find(|one| !told(one)) {
        let error = format!("a key-value store does not call `{}/{}`", ends.package(), other.value);
        found.push(
            placed(Diagnostic::error(error), other)
                .help("a link from a store is of `watcher`; one to it belongs to the component"),
        );
        return;
    }
    let store = ends.source.name.clone().map(|_| ends.source.name.value.to_string());
    let mut all = WatchTrigger::of(store);
    let watch = values.remove(WATCH);
    let triggers = match watch.as_ref().and_then(|place| Some((place, text(place)?))) {
        None => vec![all],
        Some((place, list)) => {
            let mut keys = BTreeMap::<&str, Option<Change>>::new();
            for one in list.split(',').map(str::trim).filter(|one| !one.is_empty()) {
                let (change, key) = match one.split_once('@').map(|(what, key)| (what.trim(), key))
                {
                    Some((what, key)) if what.eq_ignore_ascii_case("set") => (Change::Set, key),
                    Some((what, key)) if what.eq_ignore_ascii_case("del") => (Change::Delete, key),
                    _ => {
                        let error = format!("`{one}` is no change of a key");
                        let error = placed(Diagnostic::error(error), place);
                        found.push(error.help("write `SET@key` or `DEL@key`, with commas between"));
                        continue;
                    }
                };
                let both = |only: &mut Option<Change>| *only = only.filter(|only| *only == change);
                keys.entry(key.trim()).and_modify(both).or_insert(Some(change));
            }
            let each = keys.into_iter().map(|(key, only)| {
                all.key = Some(place.clone().map(|_| key.to_owned()));
                all.only = only;
                all.clone()
            });
            each.collect()
        }
    };
    backend(&mut values, provider);
    // What components open there that do not choose.
    values.entry("bucket".to_owned()).or_insert(Template::literal("default").into());
    let Some(workload) = reader.workload_of(ends.target.name.as_str()) else { return };
    workload.trigger.watch.0.extend(triggers);
    let name = ends.source.name.as_str();
    if !workload.links.iter().any(|one| one.name.as_deref() == Some(name)) {
        let mut link = reef_app::Link::of("");
        link.import = ends.link.package.clone().map(|_| ends.package());
        link.name = Some(name.to_owned());
        link.capability = Capability::KeyValue.name().parse::<Name>().ok().map(At::from);
        link.config = values;
        workload.links.push(link);
    }
}
