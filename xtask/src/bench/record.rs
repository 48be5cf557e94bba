//! What was measured, and what it says: `results.json` and `summary.md`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::machine::{self, Machine};
use super::statistics::{greatest, least, mean, median};

/// The runs of one day on one machine: a benchmark that runs again takes the place of its last run.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Results {
    pub(super) machine: Machine,
    pub(super) benches: BTreeMap<String, Bench>,
}

/// One benchmark: its circumstances, everything it measured, and what that says.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Bench {
    pub(super) started: String,
    pub(super) commit: String,
    /// Of the last minute, before and after.
    pub(super) load_average: [f64; 2],
    pub(super) rounds: u32,
    pub(super) seconds: u64,
    pub(super) versions: BTreeMap<String, String>,
    /// What was measured, each with its command line.
    pub(super) commands: BTreeMap<String, String>,
    /// Subject, then metric, then one value a round.
    pub(super) samples: BTreeMap<String, BTreeMap<String, Vec<f64>>>,
    pub(super) findings: Vec<Finding>,
    /// What could not be measured, and what a reader must know.
    pub(super) notes: Vec<String>,
}

/// One line of the summary.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Finding {
    pub(super) what: String,
    pub(super) unit: String,
    pub(super) ours: Option<f64>,
    pub(super) peer: Option<(String, f64)>,
    /// Ours by the peer's: of the medians, and the least and greatest of one round.
    pub(super) ratio: Option<[f64; 3]>,
    pub(super) target: Option<Target>,
    /// `None` without a target or a measurement.
    pub(super) met: Option<bool>,
}

/// What was promised.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(super) enum Target {
    RatioAtLeast(f64),
    RatioAtMost(f64),
    Below(f64),
}

// === impl Bench ===

impl Bench {
    /// Everything is there: what follows is measured.
    pub(super) fn begin(&mut self) {
        self.load_average[0] = machine::load_average();
    }

    pub(super) fn push(&mut self, subject: &str, metric: &str, value: f64) {
        let metrics = self.samples.entry(subject.to_owned()).or_default();
        metrics.entry(metric.to_owned()).or_default().push(value);
    }

    pub(super) fn note(&mut self, note: String) {
        if !self.notes.contains(&note) {
            eprintln!("{note}");
            self.notes.push(note);
        }
    }

    pub(super) fn values(&self, subject: &str, metric: &str) -> &[f64] {
        self.samples.get(subject).and_then(|metrics| metrics.get(metric)).map_or(&[], Vec::as_slice)
    }

    pub(super) fn median(&self, subject: &str, metric: &str) -> Option<f64> {
        median(self.values(subject, metric))
    }

    /// Compares two subjects by one metric.
    pub(super) fn compare(
        &mut self,
        what: &str,
        (metric, unit): (&str, &str),
        ours: &str,
        peer: &str,
        target: Option<Target>,
    ) {
        let (our, their) = (self.values(ours, metric), self.values(peer, metric));
        let finding = Finding::compare(what, unit, our, (peer, their), target);
        self.findings.push(finding);
    }

    /// A note with the mean, median and least of one subject's metric.
    pub(super) fn describe(&mut self, subject: &str, (metric, unit): (&str, &str)) {
        let values = self.values(subject, metric);
        let (Some(mean), Some(middle), Some(least)) = (mean(values), median(values), least(values))
        else {
            return;
        };
        let [mean, middle, least] = [mean, middle, least].map(number);
        let times = values.len();
        self.note(format!(
            "{subject}: mean {mean} {unit}, median {middle} {unit}, least {least} {unit} of {times}."
        ));
    }

    /// States one subject's metric, with what it must stay below.
    pub(super) fn state(
        &mut self,
        what: &str,
        (metric, unit): (&str, &str),
        ours: &str,
        target: Option<Target>,
    ) {
        let finding = Finding::alone(what, unit, self.values(ours, metric), target);
        self.findings.push(finding);
    }
}

// === impl Finding ===

impl Finding {
    fn compare(
        what: &str,
        unit: &str,
        ours: &[f64],
        (peer, theirs): (&str, &[f64]),
        target: Option<Target>,
    ) -> Self {
        let (our, their) = (median(ours), median(theirs));
        let rounds: Vec<f64> = ours.iter().zip(theirs).map(|(our, their)| our / their).collect();
        let ratio = our.zip(their).and_then(|(our, their)| {
            let middle = our / their;
            Some([middle, least(&rounds)?, greatest(&rounds)?])
        });
        Self {
            what: what.to_owned(),
            unit: unit.to_owned(),
            ours: our,
            peer: their.map(|their| (peer.to_owned(), their)),
            met: target.and_then(|target| target.met(our, ratio)),
            ratio,
            target,
        }
    }

    fn alone(what: &str, unit: &str, ours: &[f64], target: Option<Target>) -> Self {
        Self {
            what: what.to_owned(),
            unit: unit.to_owned(),
            ours: median(ours),
            peer: None,
            ratio: None,
            met: target.and_then(|target| target.met(median(ours), None)),
            target,
        }
    }

    fn row(&self) -> String {
        let nothing = || "–".to_owned();
        let value = |value: f64| format!("{} {}", number(value), self.unit).trim_end().to_owned();
        let met = match (self.met, self.target) {
            (Some(true), _) => "yes",
            (Some(false), _) => "**no**",
            (None, Some(_)) => "not measured",
            (None, None) => "",
        };
        format!(
            "| {} | {} | {} | {} | {} | {met} |",
            self.what,
            self.ours.map_or_else(nothing, value),
            self.peer
                .as_ref()
                .map_or_else(nothing, |(name, its)| { format!("{} ({name})", value(*its)) }),
            self.ratio.map_or_else(nothing, |[middle, least, greatest]| {
                format!("{middle:.2} ({least:.2}–{greatest:.2})")
            }),
            self.target.map_or_else(String::new, |target| target.say(&self.unit)),
        )
    }
}

// === impl Target ===

impl Target {
    fn met(self, ours: Option<f64>, ratio: Option<[f64; 3]>) -> Option<bool> {
        match self {
            Self::RatioAtLeast(bound) => ratio.map(|[middle, ..]| middle >= bound),
            Self::RatioAtMost(bound) => ratio.map(|[middle, ..]| middle <= bound),
            Self::Below(bound) => ours.map(|ours| ours < bound),
        }
    }

    fn say(self, unit: &str) -> String {
        match self {
            Self::RatioAtLeast(bound) => format!("ratio ≥ {bound}"),
            Self::RatioAtMost(bound) => format!("ratio ≤ {bound}"),
            Self::Below(bound) => format!("< {} {unit}", number(bound)).trim_end().to_owned(),
        }
    }
}

// === impl Results ===

impl Results {
    /// What the folder holds of this machine, or nothing yet.
    pub(super) fn open(folder: &Path, machine: &Machine) -> Self {
        let earlier = fs::read(folder.join("results.json")).ok();
        earlier
            .and_then(|bytes| serde_json::from_slice::<Self>(&bytes).ok())
            .filter(|earlier| earlier.machine == *machine)
            .unwrap_or_else(|| Self { machine: machine.clone(), benches: BTreeMap::new() })
    }

    pub(super) fn write(&self, folder: &Path) -> Result<()> {
        let json = serde_json::to_vec_pretty(self)?;
        fs::create_dir_all(folder)
            .and_then(|()| fs::write(folder.join("results.json"), json))
            .and_then(|()| fs::write(folder.join("summary.md"), self.summary()))
            .with_context(|| format!("cannot write to {}", folder.display()))
    }

    /// As Markdown.
    pub(super) fn summary(&self) -> String {
        let machine = &self.machine;
        let mut text = format!(
            "# Speed\n\n{}, {} cores, {} GiB, {}, Linux {}.\n\
             Medians of alternating rounds; in brackets the least and the greatest ratio of one round. \
             `results.json` has every value and every command line.\n",
            machine.processor, machine.cores, machine.memory_gib, machine.system, machine.kernel,
        );
        for (name, bench) in &self.benches {
            text.push_str(&bench.summary(name));
        }
        text
    }
}

impl Bench {
    /// As Markdown.
    pub(super) fn summary(&self, name: &str) -> String {
        let [before, after] = self.load_average;
        let versions: Vec<String> =
            self.versions.iter().map(|(name, version)| format!("{name} {version}")).collect();
        let mut text = format!(
            "\n## {name}\n\n{}, commit {}, {} rounds of {} s, load average {before:.2} before and \
             {after:.2} after; {}.\n\n\
             | what | ours | peer | ratio | target | met |\n| --- | --- | --- | --- | --- | --- |\n",
            self.started,
            self.commit,
            self.rounds,
            self.seconds,
            versions.join(", "),
        );
        for finding in &self.findings {
            let _ = writeln!(text, "{}", finding.row());
        }
        for note in &self.notes {
            let _ = write!(text, "\n- {}", note.replace('\n', " "));
        }
        if !self.notes.is_empty() {
            text.push('\n');
        }
        text
    }
}

/// Three significant digits, and all before the point.
fn number(value: f64) -> String {
    let decimals = match value.abs() {
        0.0 | 100.0.. => 0,
        10.0.. => 1,
        1.0.. => 2,
        _ => 3,
    };
    format!("{value:.decimals$}")
}

#[cfg(test)]
mod tests;
