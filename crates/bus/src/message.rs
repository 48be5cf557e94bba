//! Messages.

use std::sync::Arc;

use bytes::Bytes;
use reef_app::Subject;

use crate::MessageError;

/// A message: cheap to clone, for each that has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    subject: Arc<str>,
    body: Bytes,
    reply_to: Option<Arc<str>>,
    headers: Option<Arc<[(String, String)]>>,
}

impl Message {
    /// A message that nobody is to answer.
    ///
    /// # Errors
    /// When its subject is none, or a pattern.
    pub fn new(subject: &str, body: impl Into<Bytes>) -> Result<Self, MessageError> {
        Ok(Self { subject: checked(subject)?, body: body.into(), reply_to: None, headers: None })
    }

    /// The same with a subject to answer to.
    ///
    /// # Errors
    /// When that is none, or a pattern.
    pub fn with_reply_to(mut self, subject: &str) -> Result<Self, MessageError> {
        self.reply_to = Some(checked(subject)?);
        Ok(self)
    }

    /// The same with names and values beside its body.
    #[must_use]
    pub fn with_headers(mut self, headers: Vec<(String, String)>) -> Self {
        self.headers = (!headers.is_empty()).then(|| headers.into());
        self
    }

    /// What it is about.
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// What it says.
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// Where it is answered.
    pub fn reply_to(&self) -> Option<&str> {
        self.reply_to.as_deref()
    }

    /// Names and values beside its body.
    pub fn headers(&self) -> &[(String, String)] {
        self.headers.as_deref().unwrap_or_default()
    }

    /// What it takes of a queue's bytes.
    pub(crate) fn size(&self) -> usize {
        let headers = self.headers().iter().map(|(name, value)| name.len() + value.len());
        let reply_to = self.reply_to.as_ref().map_or(0, |subject| subject.len());
        self.subject.len() + reply_to + headers.sum::<usize>() + self.body.len()
    }
}

fn checked(subject: &str) -> Result<Arc<str>, MessageError> {
    let parsed: Subject = subject.parse()?;
    match parsed.is_exact() {
        true => Ok(subject.into()),
        false => Err(MessageError::Pattern(subject.to_owned())),
    }
}
