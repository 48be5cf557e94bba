//! What messages are about.

use std::{fmt, str::FromStr};

use crate::text::as_text;

/// A pattern of subjects, as NATS has them: tokens with dots between them. `*` stands for one token,
/// `>` at the end for one or more.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Subject(Box<str>);

/// Not a pattern of subjects.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a subject: write tokens with dots between them, `*` for any one of them, `>` at the end for all that follow"
)]
pub struct SubjectError(String);

/// The longest subject that NATS servers take by default is longer; nobody writes such.
const LONGEST: usize = 1024;

impl Subject {
    /// The pattern.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether a message about `subject` is one of these.
    pub fn matches(&self, subject: &str) -> bool {
        let mut tokens = subject.split('.');
        let mut patterns = self.0.split('.');
        loop {
            match (patterns.next(), tokens.next()) {
                (None, None) => return true,
                (Some(">"), Some(_)) => return true,
                (Some("*"), Some(_)) => {}
                (Some(pattern), Some(token)) if pattern == token => {}
                _ => return false,
            }
        }
    }

    /// Whether it is one subject and not a pattern of several.
    pub fn is_exact(&self) -> bool {
        !self.0.split('.').any(|token| matches!(token, "*" | ">"))
    }
}

impl FromStr for Subject {
    type Err = SubjectError;

    fn from_str(text: &str) -> Result<Self, SubjectError> {
        let error = || SubjectError(text.chars().take(80).collect());
        let tokens = text.split('.').count();
        for (at, token) in text.split('.').enumerate() {
            let wild = token.contains(['*', '>']);
            let allowed = match token {
                "*" => true,
                ">" => at + 1 == tokens,
                token => !token.is_empty() && !wild,
            };
            if !allowed || token.contains(|c: char| c.is_whitespace() || c.is_control()) {
                return Err(error());
            }
        }
        if text.len() > LONGEST { Err(error()) } else { Ok(Self(text.into())) }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

as_text!(Subject, "Subject", "`orders.new`, `orders.*`, `orders.>`");
