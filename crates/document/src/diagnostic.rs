//! What is wrong with a document, and where.

use std::{fmt, ops::Range, sync::Arc};

use miette::{LabeledSpan, NamedSource, SourceCode};

/// A document's text under its name.
#[derive(Clone, Debug)]
pub struct Source(Arc<NamedSource<String>>);

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// The document cannot be used.
    Error,
    /// It can, and a person should know.
    Warning,
}

/// One thing that is wrong, for people.
#[derive(Clone, Debug)]
pub struct Diagnostic {
    severity: Severity,
    message: String,
    label: Option<String>,
    span: Option<Range<usize>>,
    help: Option<String>,
    source: Option<Source>,
}

/// Everything that is wrong.
#[derive(Clone, Debug, Default)]
pub struct Diagnostics(Vec<Diagnostic>);

// === impl Source ===

impl Source {
    /// A text and what messages call it: a path mostly.
    pub fn new(name: impl AsRef<str>, text: impl Into<String>) -> Self {
        Self(Arc::new(NamedSource::new(name, text.into())))
    }

    /// Its name.
    pub fn name(&self) -> &str {
        self.0.name()
    }

    /// Its text.
    pub fn text(&self) -> &str {
        self.0.inner()
    }

    /// The line and column of a place, both from one; columns in characters.
    pub fn line_and_column(&self, at: usize) -> (usize, usize) {
        let before = self.text().get(..at).unwrap_or(self.text());
        let start = before.rfind('\n').map_or(0, |newline| newline + 1);
        (before.matches('\n').count() + 1, before[start..].chars().count() + 1)
    }
}

// === impl Diagnostic ===

impl Diagnostic {
    /// Something that makes the document unusable.
    pub fn error(message: impl Into<String>) -> Self {
        Self::new(Severity::Error, message.into())
    }

    /// Something that a person should know.
    pub fn warning(message: impl Into<String>) -> Self {
        Self::new(Severity::Warning, message.into())
    }

    fn new(severity: Severity, message: String) -> Self {
        Self { severity, message, label: None, span: None, help: None, source: None }
    }

    /// Where, in bytes of the text.
    #[must_use]
    pub fn at(mut self, span: Range<usize>) -> Self {
        self.span = Some(span);
        self
    }

    /// What is said at the place itself.
    #[must_use]
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = Some(label.into());
        self
    }

    /// What to do.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Of which text.
    #[must_use]
    pub fn of(mut self, source: &Source) -> Self {
        self.source = Some(source.clone());
        self
    }

    /// Says where it is so, when it is not so everywhere.
    #[must_use]
    pub fn among(mut self, which: &str) -> Self {
        self.message = format!("{which}: {}", self.message);
        self
    }

    /// How bad it is.
    pub fn severity(&self) -> Severity {
        self.severity
    }

    /// What is wrong.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// What to do.
    pub fn help_text(&self) -> Option<&str> {
        self.help.as_deref()
    }

    /// The text it is about.
    pub fn source_text(&self) -> Option<&Source> {
        self.source.as_ref()
    }

    /// Where.
    pub fn span(&self) -> Option<Range<usize>> {
        self.span.clone()
    }

    /// The line and column of the place, both from one.
    pub fn line_and_column(&self) -> Option<(usize, usize)> {
        Some(self.source.as_ref()?.line_and_column(self.span.as_ref()?.start))
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Diagnostic {}

impl miette::Diagnostic for Diagnostic {
    fn severity(&self) -> Option<miette::Severity> {
        Some(match self.severity {
            Severity::Error => miette::Severity::Error,
            Severity::Warning => miette::Severity::Warning,
        })
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.help.as_ref().map(|help| Box::new(help) as _)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.span.as_ref()?;
        self.source.as_ref().map(|source| &*source.0 as _)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let span = self.span.clone()?;
        let label = LabeledSpan::new_with_span(self.label.clone(), span);
        Some(Box::new(std::iter::once(label)))
    }
}

// === impl Diagnostics ===

impl Diagnostics {
    /// Adds one.
    pub fn push(&mut self, diagnostic: Diagnostic) {
        self.0.push(diagnostic);
    }

    /// Whether one of them makes the document unusable.
    pub fn has_errors(&self) -> bool {
        self.0.iter().any(|diagnostic| diagnostic.severity == Severity::Error)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Each of them, in the order of their places.
    pub fn iter(&self) -> impl Iterator<Item = &Diagnostic> {
        self.0.iter()
    }

    /// Puts those of one text in the order of their places, and says which text that is.
    pub fn settle(&mut self, source: &Source) {
        for diagnostic in &mut self.0 {
            diagnostic.source.get_or_insert_with(|| source.clone());
        }
        self.0.sort_by_key(|diagnostic| diagnostic.span.as_ref().map(|span| span.start));
    }
}

impl From<Diagnostic> for Diagnostics {
    fn from(diagnostic: Diagnostic) -> Self {
        Self(vec![diagnostic])
    }
}

impl Extend<Diagnostic> for Diagnostics {
    fn extend<I: IntoIterator<Item = Diagnostic>>(&mut self, diagnostics: I) {
        self.0.extend(diagnostics);
    }
}

impl IntoIterator for Diagnostics {
    type Item = Diagnostic;
    type IntoIter = std::vec::IntoIter<Diagnostic>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}
