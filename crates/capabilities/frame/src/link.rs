//! What a workload is linked to.

use std::{fmt, sync::Arc};

use crate::{failure::Failure, gate::Gate};

/// A workload's link to a backend of the capability `C`.
pub struct Link<C: ?Sized> {
    /// The part of the backend that it is to: a bucket, a container, a database. Without, the guest says which.
    pub place: Option<Arc<str>>,
    /// What every use passes through.
    pub gate: Gate,
    /// What does it.
    pub backend: Arc<C>,
}

/// A workload's links to one capability, by their names.
pub struct Links<C: ?Sized> {
    workload: Arc<str>,
    capability: &'static str,
    links: Vec<Arc<Link<C>>>,
}

/// What a link is called whose manifest does not say.
pub(crate) const DEFAULT: &str = "default";

impl<C: ?Sized> Link<C> {
    /// What it is called.
    pub fn name(&self) -> &str {
        self.gate.link()
    }
}

impl<C: ?Sized> Links<C> {
    /// A workload's links to a capability, `capability` as a manifest calls it.
    pub fn new(workload: Arc<str>, capability: &'static str, links: Vec<Arc<Link<C>>>) -> Self {
        Self { workload, capability, links }
    }

    /// The link that a guest means by a name of its own (an identifier, a label), and the place in it.
    ///
    /// One that is called so is meant first; otherwise the name is a place in the `selected` link (`default` if
    /// nothing was selected), if that one leaves it to the guest.
    ///
    /// # Errors
    /// When there is neither: the text says what to write into the manifest.
    pub fn find(
        &self,
        import: &str,
        selected: Option<&str>,
        name: &str,
    ) -> Result<(Arc<Link<C>>, Arc<str>), Failure> {
        let by_name = |name: &str| self.links.iter().find(|link| link.name() == name);
        if selected.is_none()
            && let Some(link) = by_name(if name.is_empty() { DEFAULT } else { name })
        {
            let place = link.place.clone().unwrap_or_else(|| name.into());
            return Ok((link.clone(), place));
        }
        if let Some(link) = by_name(selected.unwrap_or(DEFAULT)) {
            match &link.place {
                None => return Ok((link.clone(), name.into())),
                Some(place) if **place == *name || name.is_empty() => {
                    return Ok((link.clone(), place.clone()));
                }
                Some(_) => {}
            }
        }
        Err(self.refused(import, name))
    }

    /// The link of a name.
    ///
    /// # Errors
    /// When there is none: the text says what to write into the manifest.
    pub fn named(&self, import: &str, name: &str) -> Result<Arc<Link<C>>, Failure> {
        let name = if name.is_empty() { DEFAULT } else { name };
        let link = self.links.iter().find(|link| link.name() == name);
        link.cloned().ok_or_else(|| self.refused(import, name))
    }

    /// The workload that they are of.
    pub fn workload(&self) -> &Arc<str> {
        &self.workload
    }

    /// Whether there is none at all.
    pub fn is_empty(&self) -> bool {
        self.links.is_empty()
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Link<C>>> {
        self.links.iter()
    }

    fn refused(&self, import: &str, name: &str) -> Failure {
        let (workload, capability) = (&*self.workload, self.capability);
        let package = import.split(['/', '@']).next().unwrap_or(import);
        let called = if name.is_empty() || name == DEFAULT {
            String::new()
        } else {
            format!("name = \"{name}\", ")
        };
        let what = match name {
            "" => format!("{package}: it has no link to it"),
            name => format!("`{name}` of {package}: no link of it is called so"),
        };
        let why = format!(
            "{workload} may not use {what}; \
             add link = [{{ import = \"{package}\", {called}capability = \"{capability}\" }}]"
        );
        tracing::warn!(workload, denied = "link", grant = package, link = name, "{why}");
        Failure::Denied(why)
    }
}

impl<C: ?Sized> fmt::Debug for Link<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").field("gate", &self.gate).finish_non_exhaustive()
    }
}

impl<C: ?Sized> fmt::Debug for Links<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Links")
            .field("workload", &self.workload)
            .field("links", &self.links)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
