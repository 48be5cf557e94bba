//! What a link is to.

use std::{fmt, sync::Arc};

use reef_capability::{Failure, SettingError};

use crate::{Messaging, Terms};

/// What a link is to: a backend, and the terms on which its workload uses it.
pub struct Channel {
    backend: Arc<dyn Messaging>,
    terms: Terms,
}

impl Channel {
    /// A backend on these terms.
    ///
    /// # Errors
    /// When subjects of the terms are none of the backend's.
    pub fn new(backend: Arc<dyn Messaging>, terms: Terms) -> Result<Self, SettingError> {
        let syntax = backend.syntax();
        let wrong = |name, why| SettingError::Wrong { name, why };
        for pattern in terms.subjects.iter().flatten() {
            syntax.check(pattern).map_err(|why| wrong("subjects", format!("is wrong: {why}")))?;
        }
        if let Some(subject) = &terms.dead_letter {
            syntax
                .check(subject)
                .map_err(|why| wrong("dead-letter", format!("is wrong: {why}")))?;
            if !syntax.is_exact(subject) {
                return Err(wrong("dead-letter", "is a pattern of several subjects".to_owned()));
            }
        }
        Ok(Self { backend, terms })
    }

    /// A backend without terms of the workload's own.
    pub fn unlimited(backend: Arc<dyn Messaging>) -> Self {
        Self { backend, terms: Terms::default() }
    }

    /// What carries the messages.
    pub fn backend(&self) -> &Arc<dyn Messaging> {
        &self.backend
    }

    /// On which terms.
    pub fn terms(&self) -> &Terms {
        &self.terms
    }

    /// How often a message is handled at most.
    pub fn max_deliver(&self) -> u32 {
        let default = if self.backend.keeps() { 5 } else { 1 };
        self.terms.max_deliver.unwrap_or(default)
    }

    /// Whether the workload may publish there.
    ///
    /// # Errors
    /// When not: the text says what would allow it.
    pub(crate) fn allows(&self, workload: &str, subject: &str) -> Result<(), Failure> {
        let Some(subjects) = &self.terms.subjects else { return Ok(()) };
        let syntax = self.backend.syntax();
        if subjects.iter().any(|pattern| syntax.matches(pattern, subject)) {
            return Ok(());
        }
        Err(Failure::Denied(format!(
            "{workload} may not publish to `{subject}`: its link to `wasmcloud:messaging` has \
             config.subjects = \"{}\"; add the subject there",
            subjects.join(",")
        )))
    }
}

impl fmt::Debug for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Channel").field("backend", &self.backend).finish_non_exhaustive()
    }
}
