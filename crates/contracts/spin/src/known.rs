//! What is known of a manifest before its components are read.

use std::{
    cell::Cell,
    collections::{BTreeMap, BTreeSet},
};

use reef_app::Name;

use crate::component::Described;

/// What the parts of a manifest have to know of each other.
#[derive(Default)]
pub(crate) struct Known {
    /// The defaults of variables.
    pub(crate) defaults: BTreeMap<String, Option<String>>,
    /// The components, by their ids.
    pub(crate) components: BTreeMap<String, Described>,
    /// Those of them that answer HTTP requests.
    pub(crate) http: BTreeSet<String>,
    /// How many destinations and links there may still be.
    pub(crate) left: Cell<usize>,
}

impl Known {
    /// What a variable is when nobody says.
    pub(crate) fn default_of(&self, name: &Name) -> Option<&str> {
        self.defaults.get(name.as_str())?.as_deref()
    }

    /// Whether there may be one destination or link more.
    pub(crate) fn one_more(&self) -> bool {
        let left = self.left.get().checked_sub(1);
        self.left.set(left.unwrap_or_default());
        left.is_some()
    }

    /// The components that there are, for people.
    pub(crate) fn components(&self) -> String {
        let all: Vec<_> = self.components.keys().map(|id| format!("`{id}`")).collect();
        match &all[..] {
            [] => "there are no components".to_owned(),
            all => format!("there is {}", all.join(", ")),
        }
    }
}
