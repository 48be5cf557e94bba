//! `wasi:otel`: what a guest traces by itself, as spans below the request that it works for.
//!
//! Spans go where the host's own go, those of a request that is not recorded nowhere. Log records go into the
//! host's log, as those of `wasi:logging` do. Metrics are refused: the host has no way out for those of guests.

mod span;

use opentelemetry::trace::SpanContext as OtelContext;
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
    linker.instance(METRICS)?.func_wrap("export", |_: Store<'_>, (_,): (ResourceMetrics,)| {
        let why = "this host does not export metrics of guests; it counts requests, links and resources itself";
        Ok((Err::<(), String>(why.to_owned()),))
    })?;
    linker.instance(LOGS)?.func_wrap("on-emit", |store: Store<'_>, (record,): (LogRecord,)| {
        let body = record.body.as_deref().map(span::text).unwrap_or_default();
        let scope = record.instrumentation_scope.as_ref().map(|scope| &*scope.name);
        let context = record.event_name.as_deref().or(scope).unwrap_or_default();
        let trace_id = record.trace_id.as_deref().filter(|id| span::is_hex(id, 32));
        store.data().voice().log(severity(record.severity_number), context, &body, trace_id);
        Ok(())
    })
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
