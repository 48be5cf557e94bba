use std::collections::BTreeMap;
use std::fmt::Write;

use reef_meter::{BOUNDS, HistogramSnapshot};

use super::{Family, Kind, Sample, Value};

/// The Prometheus text format, version 0.0.4: the one that every scraper reads
/// (<https://prometheus.io/docs/instrumenting/exposition_formats/>).
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// More label sets than this in one family are left out and counted in `reef_metrics_samples_dropped`: a
/// mistake in a label must not take down the scraper.
pub const MAX_SAMPLES_PER_FAMILY: usize = 10_000;

pub(super) fn render(families: Vec<Family>) -> String {
    let mut by_name: BTreeMap<&'static str, Family> = BTreeMap::new();
    let mut dropped = 0;
    for family in families {
        match by_name.get_mut(family.name) {
            None => drop(by_name.insert(family.name, family)),
            Some(known) if known.kind == family.kind => known.samples.extend(family.samples),
            Some(_) => dropped += family.samples.len(),
        }
    }
    let mut out = String::with_capacity(16 * 1024);
    for family in by_name.values() {
        dropped += push_family(&mut out, family);
    }
    let dropped = Family::new(
        "reef_metrics_samples_dropped",
        Kind::Gauge,
        "Samples left out of this scrape: too many label sets, or two kinds of one name.",
    )
    .with(&[], Value::Integer(dropped as u64));
    push_family(&mut out, &dropped);
    out
}

/// Returns how many samples were left out. Writing to a string does not fail.
fn push_family(out: &mut String, family: &Family) -> usize {
    let kind = match family.kind {
        Kind::Counter => "counter",
        Kind::Gauge => "gauge",
        Kind::Histogram => "histogram",
    };
    let _ = write!(out, "# HELP {} ", family.name);
    push_escaped(out, family.help, false);
    let _ = writeln!(out, "\n# TYPE {} {kind}", family.name);
    let mut written = 0;
    for sample in &family.samples {
        if written == MAX_SAMPLES_PER_FAMILY {
            break;
        }
        let name = family.name;
        match (&sample.value, family.kind) {
            (Value::Histogram(histogram), Kind::Histogram) => {
                push_histogram(out, name, sample, histogram);
            }
            (Value::Integer(value), Kind::Counter | Kind::Gauge) => {
                push_sample(out, name, "", sample, None, *value);
            }
            (Value::Float(value), Kind::Counter | Kind::Gauge) => {
                push_sample(out, name, "", sample, None, number(*value));
            }
            _ => continue,
        }
        written += 1;
    }
    family.samples.len() - written
}

fn push_histogram(out: &mut String, name: &str, sample: &Sample, histogram: &HistogramSnapshot) {
    let mut cumulated = 0_u64;
    for (i, count) in histogram.counts.iter().enumerate() {
        cumulated = cumulated.saturating_add(*count);
        let bound = match BOUNDS.get(i) {
            Some(nanos) => number(*nanos as f64 / 1e9),
            None => "+Inf".to_owned(),
        };
        push_sample(out, name, "_bucket", sample, Some(&bound), cumulated);
    }
    push_sample(out, name, "_sum", sample, None, number(histogram.sum().as_secs_f64()));
    // The same as the last bucket, also while observations are being made.
    push_sample(out, name, "_count", sample, None, cumulated);
}

fn push_sample(
    out: &mut String,
    name: &str,
    suffix: &str,
    sample: &Sample,
    bound: Option<&str>,
    value: impl std::fmt::Display,
) {
    let _ = write!(out, "{name}{suffix}");
    let labels = sample.labels.iter().map(|(name, value)| (*name, value.as_str()));
    let mut separator = '{';
    for (label, text) in labels.chain(bound.map(|bound| ("le", bound))) {
        let _ = write!(out, "{separator}{label}=\"");
        push_escaped(out, text, true);
        out.push('"');
        separator = ',';
    }
    if separator == ',' {
        out.push('}');
    }
    let _ = writeln!(out, " {value}");
}

fn number(value: f64) -> String {
    match value {
        f64::INFINITY => "+Inf".to_owned(),
        f64::NEG_INFINITY => "-Inf".to_owned(),
        value => value.to_string(),
    }
}

fn push_escaped(out: &mut String, text: &str, quoted: bool) {
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '"' if quoted => out.push_str("\\\""),
            c => out.push(c),
        }
    }
}
