//! Messages.

use bytes::Bytes;

/// A message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Message {
    /// What it is about.
    pub subject: String,
    /// What it says.
    pub body: Bytes,
    /// Where it is answered.
    pub reply_to: Option<String>,
    /// Names and values beside it. A backend that has no such thing leaves them out.
    pub headers: Vec<(String, String)>,
}

impl Message {
    /// A message that nobody is to answer.
    pub fn new(subject: impl Into<String>, body: impl Into<Bytes>) -> Self {
        Self { subject: subject.into(), body: body.into(), reply_to: None, headers: Vec::new() }
    }

    /// Bytes of all of it.
    pub fn size(&self) -> usize {
        let headers = self.headers.iter().map(|(name, value)| name.len() + value.len());
        let reply_to = self.reply_to.as_ref().map_or(0, String::len);
        self.subject.len() + reply_to + headers.sum::<usize>() + self.body.len()
    }
}
