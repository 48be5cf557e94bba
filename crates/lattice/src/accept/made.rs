//! All that a workload is made of, so that two revisions of it can be compared.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Component, Path, PathBuf},
};

use globset::GlobBuilder;
use reef_app::{Application, Link, Name, Part, Scale, Source, Template, Workload};
use serde_json::{Value, json};

use crate::record::{self, File};

use super::{Draft, parts::Parts};

/// What starts a wildcard.
const WILDCARDS: [char; 4] = ['*', '?', '[', '{'];

/// What the workloads of one revision are made of.
#[derive(Debug)]
pub(super) struct Made<'m> {
    application: &'m Application,
    parts: &'m Parts<'m>,
    values: &'m BTreeMap<String, String>,
    files: &'m [File],
    /// Those that are known beside the ones that are pinned in the manifest.
    digests: BTreeMap<&'m str, &'m str>,
}

impl<'m> Made<'m> {
    pub(super) fn of_draft(draft: &Draft<'m>, parts: &'m Parts<'m>) -> Self {
        let digests = draft.digests.iter();
        let digests = digests.map(|(name, digest)| (name.as_str(), digest.as_str()));
        Self {
            application: draft.application,
            parts,
            values: draft.values,
            files: draft.files,
            digests: digests.collect(),
        }
    }

    pub(super) fn of_revision(
        revision: &'m record::Revision,
        application: &'m Application,
        parts: &'m Parts<'m>,
    ) -> Self {
        let digests = revision.workloads.iter();
        let digests = digests.map(|(name, planned)| (name.as_str(), &*planned.revision.digest));
        Self {
            application,
            parts,
            values: &revision.values,
            files: &revision.files,
            digests: digests.collect(),
        }
    }

    /// What the artifact of a workload is.
    pub(super) fn digest<'w>(&self, workload: &'w Workload) -> Option<&'w str>
    where
        'm: 'w,
    {
        let known = self.digests.get(workload.name.as_str()).copied();
        known.or(workload.digest.as_ref().map(|digest| digest.as_str()))
    }

    /// What a workload is made of with its parts; none, where there is no such workload or it cannot be told.
    pub(super) fn of(&self, name: &Name) -> Option<Value> {
        let all = self.parts.all_of(name.as_str());
        let made = all.into_iter().map(|one| Some((one.name.to_string(), self.own(one)?)));
        let made: serde_json::Map<_, _> = made.collect::<Option<_>>()?;
        (!made.is_empty()).then_some(Value::Object(made))
    }

    fn own(&self, workload: &Workload) -> Option<Value> {
        let scale = &workload.scale;
        let words = Workload {
            description: None,
            digest: None,
            build: None,
            rollout: None,
            scale: Scale {
                reuse: scale.reuse,
                concurrent: scale.concurrent,
                idle: scale.idle,
                ..Scale::default()
            },
            ..workload.clone()
        };
        let files = self.files.iter().filter(|file| sees(workload, &file.path));
        let files: BTreeMap<_, _> = files.map(|file| (&file.path, file.digest.as_str())).collect();
        Some(json!({
            "words": serde_json::to_value(words).ok()?,
            "digest": self.digest(workload)?,
            "files": files,
            "values": self.values(workload)?,
        }))
    }

    /// The variables that it uses, with all that says what they are.
    fn values(&self, workload: &Workload) -> Option<Value> {
        let names = |template: &Template| template.variables().cloned().collect::<Vec<_>>();
        let mut used: BTreeSet<_> =
            workload.templates().flat_map(|template| names(template)).collect();
        let is_given = |name: &Name| self.values.contains_key(name.as_str());
        let sources = &self.application.variable_sources;
        let from_sources = !sources.is_empty() && !used.iter().all(is_given);
        if from_sources {
            let settings = sources.iter().flat_map(|source| source.config.values());
            used.extend(settings.flat_map(|template| names(template)));
        }
        let variables = used.into_iter().map(|name| {
            let variable = self.application.variables.get(&reef_document::At::from(name.clone()));
            let default = variable.and_then(|variable| variable.default.clone());
            let value = self.values.get(name.as_str()).cloned().or(default);
            (name.to_string(), value)
        });
        let variables: BTreeMap<_, _> = variables.collect();
        let sources = match from_sources {
            true => serde_json::to_value(sources).ok()?,
            false => Value::Null,
        };
        Some(json!({ "variables": variables, "sources": sources }))
    }
}

/// Whether a workload is made of a file of the manifest's folder, or sees it.
fn sees(workload: &Workload, path: &str) -> bool {
    let path = plain(Path::new(path));
    let below = |from: &Path| path.starts_with(plain(from));
    let is = |text: &str| path == plain(Path::new(text));
    let source = |source: &Source| matches!(source, Source::File(file) if below(file));
    let setting = |link: &Link| {
        let texts = link.config.values().filter_map(|template| match template.parts() {
            [Part::Text(text)] => Some(text),
            _ => None,
        });
        texts.into_iter().any(|text| is(text))
    };
    let linked = |link: &Link| {
        link.component.as_ref().is_some_and(|component| source(component)) || setting(link)
    };
    let tls = workload.tls.iter().flat_map(|tls| tls.roots.iter().chain(&tls.cert).chain(&tls.key));
    let mut folders = workload.trigger.http.iter().filter_map(|trigger| trigger.files.as_ref());
    source(&workload.source)
        || workload.links.iter().any(linked)
        || tls.into_iter().any(|file| is(file))
        || folders.any(|folder| below(folder))
        || workload.files.iter().any(|files| {
            let from = files.from.as_str();
            let here = if from.contains(WILDCARDS) {
                matches(from, &path)
            } else {
                below(Path::new(from))
            };
            here && !files.except.iter().any(|except| matches(except, &path))
        })
}

/// Whether a pattern is that of a path. One that is none is everything: then a change of any file is one.
fn matches(pattern: &str, path: &Path) -> bool {
    let glob = GlobBuilder::new(pattern).literal_separator(true).build();
    glob.map_or(true, |glob| glob.compile_matcher().is_match(path))
}

/// A path without what leads nowhere.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir if plain.pop() => {}
            other => plain.push(other),
        }
    }
    plain
}
