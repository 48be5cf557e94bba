//! Interfaces that a part of a composition may have for its own, with links of its own.
//!
//! One component has one import of an interface, whoever in it uses that; so a part's own import has a name of
//! its own, and is bound here. What comes from it (a bucket) carries its link, so that only what opens differs.

use crate::{View, key_value};

/// Interfaces that can be a part's own.
pub const PARTS: &[&[&str]] = &[key_value::PARTS];

impl View<'_> {
    /// What one part of the composition may use.
    pub(crate) fn granted_to(&self, part: u32) -> Option<std::sync::Arc<crate::Capabilities>> {
        self.instance.granted().parts.get(&part).cloned()
    }
}
