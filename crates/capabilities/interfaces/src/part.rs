//! Interfaces that a part of a composition may have for its own, with links of its own.
//!
//! One component has one import of an interface, whoever in it uses that; so a part's own import has a name of
//! its own, and is bound here. What comes from it (a bucket) carries its link, so that only what opens differs.

use reef_capability::Failure;

use crate::{Part, View, config, key_value, secrets};

/// Interfaces that can be a part's own.
pub const PARTS: &[&[&str]] = &[config::PARTS, key_value::PARTS, secrets::PARTS];

impl View<'_> {
    /// What one part of the composition has.
    pub(crate) fn part(&self, part: u32) -> Result<Part, Failure> {
        let found = self.instance.granted().parts.get(&part).cloned();
        found.ok_or_else(|| Failure::Denied(format!("part {part} has no links")))
    }
}
