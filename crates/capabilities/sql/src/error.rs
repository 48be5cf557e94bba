//! Why a statement failed.

use reef_capability::Failure;

/// Why a statement failed: what every capability says, and what the database itself said, if it did.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{failure}")]
pub struct SqlError {
    /// What every capability says.
    pub failure: Failure,
    /// What the database said.
    pub said: Option<Box<Said>>,
}

/// What a database said of a statement that it refused.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Said {
    /// How bad it is: `ERROR`.
    pub severity: String,
    /// The state, five characters as SQL has them, or the number of the error: `23505`.
    pub code: String,
    /// What is wrong.
    pub message: String,
    /// More of it.
    pub detail: Option<String>,
    /// What else it said, by name: `constraint`, `hint`, `table`.
    pub extras: Vec<(String, String)>,
}

/// What comes of a use of a database.
pub type Result<T, E = SqlError> = std::result::Result<T, E>;

impl From<Failure> for SqlError {
    fn from(failure: Failure) -> Self {
        Self { failure, said: None }
    }
}

impl SqlError {
    /// What was asked for makes no sense.
    pub fn invalid(why: impl Into<String>) -> Self {
        Failure::Invalid(why.into()).into()
    }

    /// A number of parameters that the statement does not have.
    pub fn parameters(given: usize, wanted: usize) -> Self {
        let s = if wanted == 1 { "" } else { "s" };
        Self::invalid(format!("the statement has {wanted} parameter{s}, and {given} were given"))
    }

    /// A value that does not fit the parameter of that index, counted from 0.
    pub fn parameter(index: usize, why: impl std::fmt::Display) -> Self {
        Self::invalid(format!("parameter {} {why}", index + 1))
    }
}
