//! A value of configuration, or a secret.

use std::{fmt, sync::Arc};

use reef_capability::{Failure, Secret};
use zeroize::Zeroizing;

/// A value: text or bytes. It is shown nowhere, and wiped when its last copy is dropped; copies share it.
#[derive(Clone, PartialEq, Eq)]
pub struct Value(Arc<Zeroizing<Vec<u8>>>);

impl Value {
    /// The bytes. To be passed on to whom they are for, and to nobody else.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// The text, if it is text.
    pub fn text(&self) -> Option<&str> {
        std::str::from_utf8(&self.0).ok()
    }

    /// The text of what has to be some.
    ///
    /// # Errors
    /// When it is not.
    pub fn text_of(&self, name: &str) -> Result<&str, Failure> {
        self.text().ok_or_else(|| {
            Failure::Invalid(format!("the value of `{name}` is no text: it is not UTF-8"))
        })
    }

    /// Its size in bytes.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<Vec<u8>> for Value {
    fn from(bytes: Vec<u8>) -> Self {
        Self(Arc::new(Zeroizing::new(bytes)))
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        text.into_bytes().into()
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        text.to_owned().into()
    }
}

impl From<&Secret> for Value {
    fn from(secret: &Secret) -> Self {
        secret.expose().into()
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}
