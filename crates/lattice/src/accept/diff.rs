//! What differs between two revisions, in words.

use std::{
    collections::{BTreeMap, HashSet},
    fmt,
};

use serde_json::Value;

use crate::record::Revision;

/// The longest value that is shown, in characters.
const LONGEST: usize = 80;

/// By what elements of lists are known.
const NAMES: [&str; 7] = ["name", "route", "import", "label", "backend", "from", "subject"];

/// Something that is otherwise in the later revision.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Difference {
    /// Of which workload; none, where it is of the application.
    pub workload: Option<String>,
    /// What: `scale.instances`, `link[wasi:keyvalue].config.bucket`, `value of greeting`, `file data/a.txt`. Nothing, where it is the
    /// workload itself.
    pub what: String,
    /// What it was; none, where it is new.
    pub before: Option<String>,
    /// What it is; none, where it is gone.
    pub after: Option<String>,
}

/// What differs: that of the application first, then workload by workload. What of it is rolled out is what the
/// numbers of [`Revision::workloads`] say.
pub fn diff(old: &Revision, new: &Revision) -> Vec<Difference> {
    let (old_own, mut old_workloads) = divided(&old.application);
    let (new_own, new_workloads) = divided(&new.application);
    let mut all = Vec::new();
    compare(None, &old_own, &new_own, &mut all);
    let named = |what: &str, values: &BTreeMap<String, String>| -> BTreeMap<String, String> {
        values.iter().map(|(name, value)| (format!("{what} {name}"), value.clone())).collect()
    };
    compare(None, &named("value of", &old.values), &named("value of", &new.values), &mut all);
    let files = |revision: &Revision| {
        let files = revision.files.iter();
        let files = files.map(|file| (file.path.clone(), file.digest.as_str().to_owned()));
        named("file", &files.collect())
    };
    compare(None, &files(old), &files(new), &mut all);
    for (name, after) in new_workloads {
        match old_workloads.remove(&name) {
            Some(before) => compare(Some(&name), &before, &after, &mut all),
            None => all.push(Difference {
                after: Some(after.get("source").cloned().unwrap_or_default()),
                ..Difference::of(name)
            }),
        }
    }
    for (name, before) in old_workloads {
        all.push(Difference {
            before: Some(before.get("source").cloned().unwrap_or_default()),
            ..Difference::of(name)
        });
    }
    all
}

impl Difference {
    fn of(workload: String) -> Self {
        Self { workload: Some(workload), what: String::new(), before: None, after: None }
    }
}

/// `front: scale.instances: 3 -> 5`.
impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(workload) = &self.workload {
            write!(f, "{workload}: ")?;
        }
        if !self.what.is_empty() {
            write!(f, "{}: ", self.what)?;
        }
        match (&self.before, &self.after) {
            (Some(before), Some(after)) => write!(f, "{} -> {}", short(before), short(after)),
            (None, Some(after)) => write!(f, "new, {}", short(after)),
            (Some(before), None) => write!(f, "gone, was {}", short(before)),
            (None, None) => Ok(()),
        }
    }
}

fn short(text: &str) -> String {
    let mut short: String =
        text.chars().take(LONGEST).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if text.chars().nth(LONGEST).is_some() {
        short.push('…');
    }
    short
}

fn compare(
    workload: Option<&str>,
    before: &BTreeMap<String, String>,
    after: &BTreeMap<String, String>,
    all: &mut Vec<Difference>,
) {
    let mut names: Vec<_> = before.keys().chain(after.keys()).collect();
    names.sort();
    names.dedup();
    for name in names {
        let (before, after) = (before.get(name), after.get(name));
        if before != after {
            all.push(Difference {
                workload: workload.map(str::to_owned),
                what: name.clone(),
                before: before.cloned(),
                after: after.cloned(),
            });
        }
    }
}

type Flat = BTreeMap<String, String>;

/// The application's own fields, and those of its workloads.
fn divided(application: &Value) -> (Flat, BTreeMap<String, Flat>) {
    let (mut own, mut workloads) = (Flat::new(), BTreeMap::new());
    for (key, value) in application.as_object().into_iter().flatten() {
        match value.as_array() {
            Some(all) if key == "workload" => {
                for workload in all {
                    let name = workload.get("name").and_then(Value::as_str).unwrap_or_default();
                    let flat: &mut Flat = workloads.entry(name.to_owned()).or_default();
                    flatten(workload, String::new(), flat);
                    flat.remove("name");
                }
            }
            _ => flatten(value, key.clone(), &mut own),
        }
    }
    (own, workloads)
}

/// Each value by its path. (As deep as a record is, which its reader bounds.)
fn flatten(value: &Value, path: String, flat: &mut Flat) {
    match value {
        Value::Object(entries) => {
            for (key, value) in entries {
                let dot = if path.is_empty() { "" } else { "." };
                flatten(value, format!("{path}{dot}{key}"), flat);
            }
        }
        Value::Array(elements) if elements.iter().any(Value::is_object) => {
            let mut known = HashSet::new();
            for (at, element) in elements.iter().enumerate() {
                let name = NAMES.iter().find_map(|name| element.get(name)?.as_str());
                // Two of one name are told apart by where they stand.
                let name = name.filter(|name| known.insert(*name));
                let place = format!("{path}[{}]", name.map_or(at.to_string(), str::to_owned));
                flatten(element, place, flat);
            }
        }
        Value::Array(elements) => {
            let all: Vec<_> = elements.iter().map(text).collect();
            flat.insert(path, all.join(", "));
        }
        other => {
            flat.insert(path, text(other));
        }
    }
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
