//! Text that refers to variables.

use std::{fmt, str::FromStr};

use crate::{name::Name, text::as_text};

/// Text with references to variables in double braces: `Hello {{ name }}`. Braces that are meant are
/// written twice as often: `{{{{`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Template {
    parts: Vec<Part>,
}

/// A piece of a template.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Part {
    /// Itself.
    Text(String),
    /// The value of a variable.
    Variable(Name),
}

/// Not a template.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// Braces without an end.
    #[error(
        "`{{{{` has no `}}}}`: write `{{{{ variable }}}}`, or `{{{{{{{{` for the braces themselves"
    )]
    Open,
    /// Something other than a name in braces.
    #[error("`{{{{{0}}}}}` names no variable: in braces is the name of one")]
    Name(String),
}

/// A template refers to a variable that has no value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the variable `{0}` has no value")]
pub struct Unresolved(pub Name);

impl Template {
    /// Text without references.
    pub fn literal(text: impl Into<String>) -> Self {
        let text = text.into();
        Self { parts: if text.is_empty() { Vec::new() } else { vec![Part::Text(text)] } }
    }

    /// What it is made of.
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// The variables that it refers to.
    pub fn variables(&self) -> impl Iterator<Item = &Name> {
        self.parts.iter().filter_map(|part| match part {
            Part::Variable(name) => Some(name),
            Part::Text(_) => None,
        })
    }

    /// The text with the variables' values in it.
    ///
    /// # Errors
    /// When one has none.
    pub fn resolve<'v>(
        &self,
        value: impl Fn(&Name) -> Option<&'v str>,
    ) -> Result<String, Unresolved> {
        let mut text = String::new();
        for part in &self.parts {
            match part {
                Part::Text(part) => text.push_str(part),
                Part::Variable(name) => {
                    text.push_str(value(name).ok_or_else(|| Unresolved(name.clone()))?);
                }
            }
        }
        Ok(text)
    }
}

impl FromStr for Template {
    type Err = TemplateError;

    fn from_str(text: &str) -> Result<Self, TemplateError> {
        let mut parts = Vec::new();
        let mut plain = String::new();
        let mut rest = text;
        while let Some(at) = rest.find("{{") {
            plain.push_str(&rest[..at]);
            let inside = &rest[at + 2..];
            if let Some(after) = inside.strip_prefix("{{") {
                plain.push_str("{{");
                rest = after;
                continue;
            }
            let (name, after) = inside.split_once("}}").ok_or(TemplateError::Open)?;
            let variable = name.trim().parse();
            let variable = variable.map_err(|_| TemplateError::Name(name.to_owned()))?;
            if !plain.is_empty() {
                parts.push(Part::Text(std::mem::take(&mut plain)));
            }
            parts.push(Part::Variable(variable));
            rest = after;
        }
        plain.push_str(rest);
        if !plain.is_empty() {
            parts.push(Part::Text(plain));
        }
        Ok(Self { parts })
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for part in &self.parts {
            match part {
                Part::Text(text) => f.write_str(&text.replace("{{", "{{{{"))?,
                Part::Variable(name) => write!(f, "{{{{ {name} }}}}")?,
            }
        }
        Ok(())
    }
}

as_text!(Template, "Template", "Text; `{{ name }}` stands for the value of a variable");
