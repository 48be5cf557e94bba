//! `wasi:otel`: what a guest traces by itself, as spans below the request that it works for.
//!
//! Spans go where the host's own go, those of a request that is not recorded nowhere. Log records go into the
//! host's log, as those of `wasi:logging` do, and, as metrics, to where [`Signals`] lead: without those, metrics
//! have no place, which is said once. What gauges and sums are is kept with the workload's meter, too.

mod log;
mod metrics;
mod span;
mod value;

use std::time::Instant;

use opentelemetry::trace::SpanContext as OtelContext;
use opentelemetry_proto::tonic::{
    common::v1::InstrumentationScope, logs::v1::LogRecord as SentRecord, metrics::v1::ScopeMetrics,
};
use wasmtime::{StoreContextMut, component::Linker};

use self::wasi::otel::{
    logs::LogRecord,
    metrics::ResourceMetrics,
    tracing::{SpanContext, SpanData, TraceFlags},
};
use crate::{
    guest::ComponentGuest,
    trace::{Traced, traced},
    voice::Severity,
};

wasmtime::component::bindgen!({ path: "wit", world: "otel" });

const TRACING: &str = "wasi:otel/tracing@0.2.0-rc.2";
const METRICS: &str = "wasi:otel/metrics@0.2.0-rc.2";
const LOGS: &str = "wasi:otel/logs@0.2.0-rc.2";

/// Where a workload's own metrics and log records go, in the form in which they are sent.
pub trait Signals: Send + Sync {
    /// Takes metrics, of which so many data points were left out already.
    ///
    /// # Errors
    /// What more was left out, and why. The text is for the guest.
    fn metrics(&self, metrics: Vec<ScopeMetrics>, left_out: u64) -> Result<(), String>;

    /// Whether metrics go anywhere.
    fn take_metrics(&self) -> bool;

    /// Takes a log record.
    fn log(&self, scope: Option<InstrumentationScope>, record: SentRecord);

    /// Whether log records go anywhere.
    fn take_logs(&self) -> bool;
}

type Store<'a> = StoreContextMut<'a, ComponentGuest>;

/// Offers the interfaces if their package is `wanted`.
pub(crate) fn add_to_linker(
    linker: &mut Linker<ComponentGuest>,
    wanted: impl Fn(&str) -> bool,
) -> wasmtime::Result<()> {
    if !wanted("wasi:otel/") {
        return Ok(());
    }
    let mut tracing = linker.instance(TRACING)?;
    tracing.func_wrap("outer-span-context", |mut store: Store<'_>, (): ()| {
        let outer = traced(&mut store)?.and_then(Traced::context);
        Ok((outer.map_or_else(no_context, |outer| context(&outer)),))
    })?;
    // A span is exported when it ends, with all that is known of it.
    tracing.func_wrap("on-start", |_: Store<'_>, (_,): (SpanContext,)| Ok(()))?;
    tracing.func_wrap("on-end", |mut store: Store<'_>, (span,): (SpanData,)| {
        if let Some(traced) = traced(&mut store)?
            && let (Some(spans), Some(outer)) = (&traced.spans, traced.context())
        {
            match span::read(span, &outer) {
                Ok(span) => spans.pass_on(span),
                Err(why) => {
                    let workload = &**store.data().name();
                    tracing::debug!(workload, "A span of the guest was left out: {why}");
                }
            }
        }
        Ok(())
    })?;
    linker
        .instance(METRICS)?
        .func_wrap("export", |store: Store<'_>, (metrics,): (ResourceMetrics,)| {
            Ok((export(store.data(), metrics),))
        })?;
    linker.instance(LOGS)?.func_wrap("on-emit", |mut store: Store<'_>, (record,): (LogRecord,)| {
        let body = record.body.as_deref().map(value::text).unwrap_or_default();
        let scope = record.instrumentation_scope.as_ref().map(|scope| &*scope.name);
        let context = record.event_name.as_deref().or(scope).unwrap_or_default();
        let trace_id = record.trace_id.as_deref().filter(|id| value::is_hex(id, 32));
        store.data().voice().log(severity(record.severity_number), context, &body, trace_id);
        if let Some(signals) = store.data().signals().filter(|signals| signals.take_logs()).cloned()
        {
            let outer = traced(&mut store)?.and_then(Traced::context);
            let (scope, record) = log::read(record, outer.as_ref());
            signals.log(scope, record);
        }
        Ok(())
    })
}

/// Sends on what a guest measured.
///
/// # Errors
/// What of it was left out, and why.
fn export(guest: &ComponentGuest, given: ResourceMetrics) -> Result<(), String> {
    let now = Instant::now();
    metrics::each(&given, |name, said| guest.limits().meter().own().say(name, said, now));
    let Some(signals) = guest.signals().filter(|signals| signals.take_metrics()) else {
        guest.voice().metrics_without_way();
        return Ok(());
    };
    let metrics::Read { scopes, too_many, wrong, .. } = metrics::read(given);
    let mut why = Vec::new();
    if too_many > 0 {
        let most = metrics::MOST_POINTS;
        why.push(format!("{too_many} data points are too many: at most {most} are taken at once"));
    }
    if wrong > 0 {
        why.push(format!(
            "{wrong} data points are none: their buckets do not fit, or are too many"
        ));
    }
    if let Err(more) = signals.metrics(scopes, too_many + wrong) {
        why.push(more);
    }
    match why.is_empty() {
        true => Ok(()),
        false => Err(format!("not all was taken: {}", why.join("; "))),
    }
}

/// OpenTelemetry, "Logs Data Model", "Field: SeverityNumber".
fn severity(number: Option<u8>) -> Severity {
    match number.unwrap_or(9) {
        0..=4 => Severity::Trace,
        5..=8 => Severity::Debug,
        9..=12 => Severity::Info,
        13..=16 => Severity::Warn,
        17..=20 => Severity::Error,
        _ => Severity::Critical,
    }
}

fn context(outer: &OtelContext) -> SpanContext {
    let flags = match outer.is_sampled() {
        true => TraceFlags::SAMPLED,
        false => TraceFlags::empty(),
    };
    let state = outer.trace_state().header();
    let members = state.split(',').filter_map(|member| member.split_once('='));
    SpanContext {
        trace_id: outer.trace_id().to_string(),
        span_id: outer.span_id().to_string(),
        trace_flags: flags,
        is_remote: outer.is_remote(),
        trace_state: members.map(|(key, value)| (key.to_owned(), value.to_owned())).collect(),
    }
}

/// As there is no request, or none that belongs to a trace.
fn no_context() -> SpanContext {
    context(&OtelContext::NONE)
}
