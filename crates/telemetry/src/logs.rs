use std::env;
use std::fmt::Debug;
use std::io::{self, IsTerminal, Write};
use std::sync::Arc;

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Context, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::{Layer, Registry};

use crate::Error;

pub use self::journal::{Journal, JournalEntry};

mod journal;
mod line;
#[cfg(test)]
mod tests;

/// The form of a log line.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// For a person: time in UTC, level, target, message, `key=value`.
    #[default]
    Human,
    /// For a machine: one JSON object a line.
    Json,
}

/// Whether human lines carry ANSI colour.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Color {
    /// When standard error is a terminal and `NO_COLOR` is not set (<https://no-color.org>).
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

impl Color {
    fn wanted(self) -> bool {
        match self {
            Self::Always => true,
            Self::Never => false,
            Self::Auto => {
                env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
                    && io::stderr().is_terminal()
            }
        }
    }
}

/// What is logged, and how.
#[derive(Debug, Clone)]
pub struct LogConfig {
    /// The form of a line.
    pub format: LogFormat,
    /// A level, or a list of `TARGET=LEVEL`, as in `info,reef_http=debug`.
    pub filter: String,
    /// Colour, for human lines.
    pub color: Color,
    /// Keeps the last lines, for whoever asks for them later.
    pub journal: Option<Arc<Journal>>,
}

impl LogConfig {
    /// The filter is the first of `flag` (`--log`), `REEF_LOG` and `default`.
    #[must_use]
    pub fn from_env(format: LogFormat, flag: Option<String>, default: &str) -> Self {
        let variable = || env::var("REEF_LOG").ok().filter(|filter| !filter.trim().is_empty());
        let filter = flag.or_else(variable).unwrap_or_else(|| default.to_owned());
        Self { format, filter, color: Color::Auto, journal: None }
    }
}

/// Sends this process's logs to standard error. Once per process; starts no thread.
///
/// Lines that cannot be written (the reader is gone, the disk is full) are lost in silence: there is no
/// better place to complain.
///
/// # Errors
/// [`Error::LogFilter`] and [`Error::LogsAlreadySetUp`].
pub fn init(config: &LogConfig) -> Result<(), Error> {
    // One write per line: standard error is not buffered, and lines of several threads must not mix.
    init_to(config, |line: &[u8]| drop(io::stderr().lock().write_all(line)))
}

/// The same with each line, ending in a line feed, given to `sink`.
///
/// # Errors
/// [`Error::LogFilter`] and [`Error::LogsAlreadySetUp`].
pub fn init_to<F>(config: &LogConfig, sink: F) -> Result<(), Error>
where
    F: Fn(&[u8]) + Send + Sync + 'static,
{
    tracing::subscriber::set_global_default(subscriber(config, sink)?)
        .map_err(|_| Error::LogsAlreadySetUp)
}

/// The subscriber behind [`init`], with each line, ending in a line feed, given to `sink`.
///
/// # Errors
/// [`Error::LogFilter`].
pub fn subscriber<F>(
    config: &LogConfig,
    sink: F,
) -> Result<impl Subscriber + Send + Sync + use<F>, Error>
where
    F: Fn(&[u8]) + Send + Sync + 'static,
{
    let filter: Targets = config
        .filter
        .parse()
        .map_err(|source| Error::LogFilter { filter: config.filter.clone(), source })?;
    let lines = Lines {
        format: config.format,
        color: config.color.wanted(),
        sink: Box::new(sink),
        journal: config.journal.clone(),
    };
    Ok(Registry::default().with(filter).with(lines))
}

/// Whether a span is one of this project's: those of libraries say what their authors wonder about.
fn is_own(metadata: &Metadata<'_>) -> bool {
    metadata.target().starts_with("reef")
}

type Sink = dyn Fn(&[u8]) + Send + Sync;

struct Lines {
    format: LogFormat,
    color: bool,
    sink: Box<Sink>,
    journal: Option<Arc<Journal>>,
}

impl<S> Layer<S> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        if let Some(span) = context.span(id).filter(|span| is_own(span.metadata())) {
            let mut fields = Fields::default();
            attributes.record(&mut fields);
            span.extensions_mut().insert(fields);
        }
    }

    fn on_record(&self, id: &Id, record: &Record<'_>, context: Context<'_, S>) {
        if let Some(span) = context.span(id)
            && let Some(fields) = span.extensions_mut().get_mut::<Fields>()
        {
            record.record(fields);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let message = fields.take_message();
        // Innermost first: an inner value hides an outer one of the same name.
        for span in context.event_scope(event).into_iter().flatten() {
            if let Some(outer) = span.extensions().get::<Fields>() {
                fields.inherit(outer);
            }
        }
        let line = line::Line { metadata: event.metadata(), message: &message, fields: &fields.0 };
        let text = match self.format {
            LogFormat::Human => line.human(self.color),
            LogFormat::Json => line.json(),
        };
        (self.sink)(text.as_bytes());
        if let Some(journal) = &self.journal {
            let line = match self.format {
                LogFormat::Human => line.json(),
                LogFormat::Json => text,
            };
            let workload = fields.0.iter().find(|(name, _)| *name == "workload");
            let workload = workload.and_then(|(_, value)| value.as_str()).map(Into::into);
            journal.record(JournalEntry { workload, line: line.into() });
        }
    }
}

/// Named values in the order they were recorded, each name once.
#[derive(Debug, Default)]
struct Fields(Vec<(&'static str, serde_json::Value)>);

impl Fields {
    fn set(&mut self, field: &Field, value: serde_json::Value) {
        let name = field.name();
        match self.0.iter_mut().find(|(known, _)| *known == name) {
            Some((_, old)) => *old = value,
            None => self.0.push((name, value)),
        }
    }

    fn take_message(&mut self) -> String {
        match self.0.iter().position(|(name, _)| *name == "message") {
            Some(at) => match self.0.remove(at).1 {
                serde_json::Value::String(message) => message,
                other => other.to_string(),
            },
            None => String::new(),
        }
    }

    fn inherit(&mut self, outer: &Self) {
        for (name, value) in &outer.0 {
            if !self.0.iter().any(|(known, _)| known == name) {
                self.0.push((name, value.clone()));
            }
        }
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.set(field, format!("{value:?}").into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.set(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.set(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.set(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.set(field, value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        let number = serde_json::Number::from_f64(value);
        // JSON has no NaN and no infinity.
        self.set(field, number.map_or_else(|| value.to_string().into(), Into::into));
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        let mut text = value.to_string();
        let mut cause = value.source();
        while let Some(error) = cause {
            text.push_str(": ");
            text.push_str(&error.to_string());
            cause = error.source();
        }
        self.set(field, text.into());
    }
}
